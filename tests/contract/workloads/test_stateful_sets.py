"""What a StatefulSet does with order, partitions, claims and history, here and there."""

from kaito.kube.objects import Json
from kaito.kube.resources import CONTROLLERREVISIONS, NODES, PODS, PVCS, STATEFULSETS
from tests.contract.workloads.scene import IDLE, Scene, is_usable, status_is

REVISION = "controller-revision-hash"


def _set(here: Scene, replicas: int, **spec: object) -> Json:
    return {
        "replicas": replicas,
        "serviceName": "w",
        "selector": {"matchLabels": {"app": "w"}},
        "template": here.template(IDLE),
        **spec,
    }


async def _change(here: Scene, version: str | None, **spec: object) -> None:
    template = {"metadata": {"annotations": {"version": version}}}
    patch = {"spec": {"template": template, **spec}}
    await here.client.merge_patch(STATEFULSETS, here.key("w"), patch)


async def test_pods_in_order_wait_for_each_other(scene):
    """Without a node the first pod waits, and there is no second one."""
    async with scene as here:
        await here.create(STATEFULSETS, _set(here, 3))
        await here.until(STATEFULSETS, "w", status_is(replicas=1, observedGeneration=1))
        assert await here.names(PODS) == ["w-0"]


async def test_pods_in_parallel_wait_for_nobody(scene):
    """All are made at once, and all go at once."""
    async with scene as here:
        await here.create(STATEFULSETS, _set(here, 3, podManagementPolicy="Parallel"))
        await here.until(STATEFULSETS, "w", status_is(replicas=3))
        assert await here.names(PODS) == ["w-0", "w-1", "w-2"]
        await here.client.merge_patch(STATEFULSETS, here.key("w"), {"spec": {"replicas": 1}})
        await here.until(STATEFULSETS, "w", status_is(replicas=1))
        (left,) = await here.settled(PODS, 1)
        assert left.meta.name == "w-0"


async def test_a_partition_holds_the_rollout(scene):
    """Only ordinals from the partition on change; lowering it lets the others follow."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        await here.create(STATEFULSETS, _set(here, 2, updateStrategy=rolling))
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=2))
        await _change(here, "2")
        held = await here.until(
            STATEFULSETS,
            "w",
            status_is(observedGeneration=2, updatedReplicas=1, readyReplicas=2, currentReplicas=1),
        )
        old, new = held.get("status", "currentRevision"), held.get("status", "updateRevision")
        assert old != new
        revisions = [pod.meta.labels[REVISION] for pod in await here.settled(PODS, 2)]
        assert revisions == [old, new]

        strategy = {"rollingUpdate": {"partition": 0}}
        await _change(here, "2", updateStrategy=strategy)
        await here.until(STATEFULSETS, "w", status_is(currentRevision=new, readyReplicas=2))


async def test_on_delete_only_who_is_deleted_changes(scene):
    """A new template waits until somebody deletes the pod."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(STATEFULSETS, _set(here, 1, updateStrategy={"type": "OnDelete"}))
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=1))
        before = await here.client.get(PODS, here.key("w-0"))
        await _change(here, "2")
        done = await here.until(STATEFULSETS, "w", status_is(observedGeneration=2))
        assert done.get("status", "updatedReplicas") is None
        assert (await here.client.get(PODS, here.key("w-0"))).meta.uid == before.meta.uid

        await here.client.delete(PODS, here.key("w-0"))
        await here.until(STATEFULSETS, "w", status_is(updatedReplicas=1, readyReplicas=1))
        after = await here.client.get(PODS, here.key("w-0"))
        assert after.meta.labels[REVISION] == done.get("status", "updateRevision")


async def test_going_back_makes_the_old_revision_the_newest(scene):
    """Templates that are equal share a revision; its number grows instead."""
    async with scene as here:
        await here.create(STATEFULSETS, _set(here, 0))
        first = await here.until(STATEFULSETS, "w", status_is(observedGeneration=1))
        await _change(here, "2")
        await here.until(STATEFULSETS, "w", status_is(observedGeneration=2))
        await _change(here, None)
        back = await here.until(
            STATEFULSETS,
            "w",
            status_is(observedGeneration=3, updateRevision=first.get("status", "updateRevision")),
        )
        found = await here.settled(CONTROLLERREVISIONS, 2)
        numbers = {one.meta.name: one.get("revision") for one in found}
        assert numbers.pop(back.get("status", "updateRevision")) == 3
        assert list(numbers.values()) == [2]


async def test_old_revisions_are_dropped(scene):
    """As many as `revisionHistoryLimit` says are kept beside the one in use."""
    async with scene as here:
        await here.create(STATEFULSETS, _set(here, 0, revisionHistoryLimit=1))
        for version in range(2, 5):
            await here.until(STATEFULSETS, "w", status_is(observedGeneration=version - 1))
            await _change(here, str(version))
        await here.until(STATEFULSETS, "w", status_is(observedGeneration=4))
        found = await here.settled(CONTROLLERREVISIONS, 2)
        assert sorted(one.get("revision") for one in found) == [3, 4]


def _claims() -> list[Json]:
    requests = {"resources": {"requests": {"storage": "1Gi"}}}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", **requests}
    return [{"metadata": {"name": "data", "labels": {"own": "yes"}}, "spec": spec}]


async def test_claims_are_made_and_kept(scene):
    """One for each pod, by name; they outlive the pods and the set."""
    async with scene as here:
        spec = _set(here, 2, podManagementPolicy="Parallel", volumeClaimTemplates=_claims())
        await here.create(STATEFULSETS, spec)
        await here.until(STATEFULSETS, "w", status_is(replicas=2))
        claims = await here.settled(PVCS, 2)
        assert [one.meta.name for one in claims] == ["data-w-0", "data-w-1"]
        assert dict(claims[0].meta.labels) == {"app": "w", "own": "yes"}
        assert claims[0].meta.owners == ()
        pod = await here.client.get(PODS, here.key("w-1"))
        assert pod.get("spec", "volumes")[0] == {
            "name": "data",
            "persistentVolumeClaim": {"claimName": "data-w-1"},
        }
        await here.client.delete(STATEFULSETS, here.key("w"), propagation="Foreground")
        await here.gone(STATEFULSETS, "w")
        assert len(await here.settled(PVCS, 2)) == 2


async def test_claims_may_go_with_the_set(scene):
    """`whenDeleted: Delete` makes the set their owner."""
    async with scene as here:
        policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
        claims = {"volumeClaimTemplates": _claims(), "persistentVolumeClaimRetentionPolicy": policy}
        made = await here.create(STATEFULSETS, _set(here, 1, **claims))
        (claim,) = await here.settled(PVCS, 1)
        claim = await here.until(PVCS, "data-w-0", lambda one: one.meta.owners != ())
        assert [(o.kind, o.uid) for o in claim.meta.owners] == [("StatefulSet", made.meta.uid)]


async def test_ordinals_may_start_elsewhere(scene):
    """`ordinals.start` names the first pod."""
    async with scene as here:
        spec = _set(here, 2, podManagementPolicy="Parallel", ordinals={"start": 5})
        await here.create(STATEFULSETS, spec)
        await here.until(STATEFULSETS, "w", status_is(replicas=2))
        assert await here.names(PODS) == ["w-5", "w-6"]


async def test_scaling_down_begins_at_the_top(scene):
    """One pod after the other; its deletion is told."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(STATEFULSETS, _set(here, 3, podManagementPolicy="OrderedReady"))
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=3))
        await here.client.merge_patch(STATEFULSETS, here.key("w"), {"spec": {"replicas": 1}})
        await here.until(STATEFULSETS, "w", status_is(replicas=1, readyReplicas=1))
        (left,) = await here.settled(PODS, 1)
        assert left.meta.name == "w-0"
        deleted = "Delete Pod w-{} in StatefulSet w successful"
        await here.told(
            *(("StatefulSet", "Normal", "SuccessfulDelete", deleted.format(n)) for n in (1, 2))
        )
