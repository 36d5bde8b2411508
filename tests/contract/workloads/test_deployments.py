"""How Deployments roll, stop, go back and give up, here and there."""

from kaito.kube.objects import Json, Record
from kaito.kube.resources import DEPLOYMENTS, NODES, PODS, REPLICASETS
from tests.contract.workloads.scene import IDLE, Said, Scene, is_usable, status_is

REVISION = "deployment.kubernetes.io/revision"


def _deployment(here: Scene, replicas: int, **spec: object) -> Json:
    return {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "w"}},
        "template": here.template(IDLE),
        **spec,
    }


async def _change(here: Scene, version: str | None, **spec: object) -> None:
    template = {"metadata": {"annotations": {"version": version}}}
    patch = {"spec": {"template": template, **spec}}
    await here.client.merge_patch(DEPLOYMENTS, here.key("w"), patch)


def _scaled(way: str, old: str, new: str) -> Said:
    note = f"Scaled {way} replica set w-# from {old} to {new}"
    return "Deployment", "Normal", "ScalingReplicaSet", note


def _reason(deployment: Record, kind: str) -> str:
    conditions = deployment.get("status", "conditions") or ()
    return next((c["reason"] for c in conditions if c["type"] == kind), "")


async def test_a_rollout_keeps_its_bounds(scene):
    """Never more than the surge above, nor fewer ready than may be missing; the old set stays."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        rolling = {"maxSurge": 1, "maxUnavailable": 0}
        strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
        await here.create(DEPLOYMENTS, _deployment(here, 2, strategy=strategy))
        await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=2))
        await _change(here, "2")
        await here.until(
            DEPLOYMENTS,
            "w",
            status_is(observedGeneration=2, updatedReplicas=2, replicas=2, availableReplicas=2),
        )
        sets = await here.settled(REPLICASETS, 2)
        told = {s.meta.annotations[REVISION]: s.get("spec", "replicas") for s in sets}
        assert told == {"1": 0, "2": 2}
        steps = ("up 0 2", "up 0 1", "up 1 2", "down 2 1", "down 1 0")
        await here.told(*(_scaled(*step.split()) for step in steps))


async def test_recreating_ends_the_old_first(scene):
    """The old pods are gone before the new ones are made."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(DEPLOYMENTS, _deployment(here, 1, strategy={"type": "Recreate"}))
        await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=1))
        (old,) = await here.settled(PODS, 1)
        await _change(here, "2")
        await here.until(
            DEPLOYMENTS,
            "w",
            status_is(observedGeneration=2, updatedReplicas=1, availableReplicas=1),
        )
        (new,) = await here.settled(PODS, 1)
        assert new.meta.uid != old.meta.uid


async def test_a_pause_holds_the_template(scene):
    """Scaling goes on, a new template waits."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(DEPLOYMENTS, _deployment(here, 1))
        await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=1))
        await _change(here, "2", paused=True)
        # A real controller writes the condition before it counts.
        await here.until(
            DEPLOYMENTS,
            "w",
            lambda d: (
                _reason(d, "Progressing") == "DeploymentPaused"
                and d.get("status", "updatedReplicas") is None
            ),
        )
        await here.client.merge_patch(DEPLOYMENTS, here.key("w"), {"spec": {"replicas": 2}})
        await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=2))
        assert len(await here.settled(REPLICASETS, 1)) == 1
        await here.client.merge_patch(DEPLOYMENTS, here.key("w"), {"spec": {"paused": False}})
        await here.until(DEPLOYMENTS, "w", status_is(updatedReplicas=2, availableReplicas=2))
        assert len(await here.settled(REPLICASETS, 2)) == 2


async def test_going_back_takes_the_old_set(scene):
    """The old ReplicaSet is scaled up again, as a new revision that remembers the old one."""
    async with scene as here:
        await here.create(DEPLOYMENTS, _deployment(here, 0))
        await here.until(DEPLOYMENTS, "w", status_is(observedGeneration=1))
        (first,) = await here.settled(REPLICASETS, 1)
        await _change(here, "2")
        await here.settled(REPLICASETS, 2)
        await _change(here, None)
        again = await here.until(
            REPLICASETS, first.meta.name, lambda s: s.meta.annotations[REVISION] == "3"
        )
        assert again.meta.annotations["deployment.kubernetes.io/revision-history"] == "1"
        assert len(await here.settled(REPLICASETS, 2)) == 2
        await here.until(DEPLOYMENTS, "w", lambda d: d.meta.annotations.get(REVISION) == "3")


async def test_no_progress_is_told(scene):
    """After the deadline the condition says so; the rollout goes on waiting."""
    async with scene as here:
        await here.create(DEPLOYMENTS, _deployment(here, 1, progressDeadlineSeconds=2))
        late = await here.until(
            DEPLOYMENTS, "w", lambda d: _reason(d, "Progressing") == "ProgressDeadlineExceeded"
        )
        (one,) = await here.settled(REPLICASETS, 1)
        (said,) = (c for c in late.get("status", "conditions") if c["type"] == "Progressing")
        assert said["status"] == "False"
        assert said["message"] == f'ReplicaSet "{one.meta.name}" has timed out progressing.'
        assert _reason(late, "Available") == "MinimumReplicasUnavailable"
        assert late.get("status", "unavailableReplicas") == 1


async def test_old_sets_are_dropped(scene):
    """As many as `revisionHistoryLimit` says stay."""
    async with scene as here:
        await here.create(DEPLOYMENTS, _deployment(here, 0, revisionHistoryLimit=1))
        for version in range(2, 5):
            await here.until(DEPLOYMENTS, "w", status_is(observedGeneration=version - 1))
            await here.settled(REPLICASETS, min(version - 1, 2))
            await _change(here, str(version))
        await here.until(DEPLOYMENTS, "w", lambda d: d.meta.annotations.get(REVISION) == "4")
        sets = await here.settled(REPLICASETS, 2)
        assert sorted(one.meta.annotations[REVISION] for one in sets) == ["3", "4"]


async def test_a_replica_set_replaces_what_is_deleted(scene):
    """The pods' owner is the set, whose owner is the Deployment; both keep their number."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(DEPLOYMENTS, _deployment(here, 1))
        await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=1))
        (pod,) = await here.settled(PODS, 1)
        assert [owner.kind for owner in pod.meta.owners] == ["ReplicaSet"]
        await here.client.delete(PODS, pod.key)
        await here.gone(PODS, pod.meta.name)
        await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=1))
        (other,) = await here.settled(PODS, 1)
        assert other.meta.uid != pod.meta.uid
