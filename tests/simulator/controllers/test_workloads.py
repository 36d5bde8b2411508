"""StatefulSets, Deployments and Jobs as clients of the API server see them."""

from dataclasses import replace

import pytest

from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import (
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    PODS,
    PVCS,
    REPLICASETS,
    STATEFULSETS,
)
from kaito.simulator.controllers.deployment import bound_of
from kaito.simulator.controllers.group import add_control_plane
from kaito.simulator.nodes.options import NodeOptions
from tests.simulator.pods import container, shell
from tests.simulator.world import TestWorld, world

FAST = replace(NodeOptions(), pull_bytes_per_second=1e12, pull_overhead=0.1)


def _template(made: Json | None = None, **annotations: str) -> Json:
    tolerations = [{"operator": "Exists"}]
    return {
        "metadata": {"labels": {"app": "w"}, "annotations": annotations},
        "spec": {"containers": [made or container()], "tolerations": tolerations},
    }


def _object(spec: Json, name: str = "w") -> Json:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def _set(replicas: int, **spec: object) -> Json:
    return _object(
        {
            "replicas": replicas,
            "serviceName": "w",
            "selector": {"matchLabels": {"app": "w"}},
            "template": _template(),
            **spec,
        }
    )


async def _machine(there: TestWorld) -> None:
    there.machines.switch_on("gpu-1")
    await there.clock.sleep(200)


async def _pods(there: TestWorld) -> dict[str, str]:
    """Revision (or template hash) by name."""
    found = (await there.client.list(PODS, namespace="default")).items
    return {
        p.meta.name: p.meta.labels.get("controller-revision-hash")
        or p.meta.labels.get("pod-template-hash")
        or ""
        for p in found
    }


def _status(**fields: object):
    return lambda record: all(record.get("status", k) == v for k, v in fields.items())


def there_is_a_world():
    return world(add_control_plane, options=FAST)


async def test_pods_come_in_order():
    """OrderedReady: the second pod is made when the first is Ready."""
    async with there_is_a_world() as there:
        await there.client.create(STATEFULSETS, _set(2))
        await there.clock.sleep(30)
        assert list(await _pods(there)) == ["w-0"]

        await _machine(there)

        done = await there.until(STATEFULSETS, "w", _status(readyReplicas=2))
        assert done.get("status") == {
            "availableReplicas": 2,
            "collisionCount": 0,
            "currentReplicas": 2,
            "currentRevision": done.get("status", "updateRevision"),
            "observedGeneration": 1,
            "readyReplicas": 2,
            "replicas": 2,
            "updateRevision": done.get("status", "updateRevision"),
            "updatedReplicas": 2,
        }


async def test_pods_come_at_once():
    """Parallel: all pods are made without waiting, each with its identity."""
    async with there_is_a_world() as there:
        await there.client.create(STATEFULSETS, _set(3, podManagementPolicy="Parallel"))
        await there.clock.sleep(5)

        assert list(await _pods(there)) == ["w-0", "w-1", "w-2"]
        pod = await there.client.get(PODS, ObjectKey("default", "w-2"))
        assert pod.get("spec", "hostname") == "w-2"
        assert pod.get("spec", "subdomain") == "w"
        assert pod.meta.labels["statefulset.kubernetes.io/pod-name"] == "w-2"
        assert pod.meta.labels["apps.kubernetes.io/pod-index"] == "2"


async def test_a_new_template_rolls_from_the_top():
    """The highest ordinal is replaced first, one at a time; both revisions are kept."""
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(STATEFULSETS, _set(2))
        first = await there.until(STATEFULSETS, "w", _status(readyReplicas=2))
        old = first.get("status", "currentRevision")

        key = ObjectKey("default", "w")
        await there.client.merge_patch(
            STATEFULSETS, key, {"spec": {"template": _template(version="2")}}
        )
        await there.until(STATEFULSETS, "w", _status(updatedReplicas=1))
        revisions = await _pods(there)
        assert revisions["w-0"] == old
        assert revisions["w-1"] != old

        done = await there.until(STATEFULSETS, "w", _status(updatedReplicas=2, readyReplicas=2))
        done = await there.until(
            STATEFULSETS, "w", lambda s: s.get("status", "currentRevision") != old
        )
        assert set((await _pods(there)).values()) == {done.get("status", "updateRevision")}
        numbers = [r.get("revision") for r in (await there.client.list(CONTROLLERREVISIONS)).items]
        assert sorted(numbers) == [1, 2]


async def test_a_partition_holds_the_lower_ordinals_back():
    """Only ordinals from the partition on get the new template."""
    async with there_is_a_world() as there:
        await _machine(there)
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        await there.client.create(STATEFULSETS, _set(2, updateStrategy=strategy))
        first = await there.until(STATEFULSETS, "w", _status(readyReplicas=2))
        old = first.get("status", "currentRevision")

        await there.client.merge_patch(
            STATEFULSETS,
            ObjectKey("default", "w"),
            {"spec": {"template": _template(version="2")}},
        )
        await there.clock.sleep(120)

        revisions = await _pods(there)
        assert revisions["w-0"] == old
        assert revisions["w-1"] != old


async def test_scaling_down_removes_the_highest():
    """From three to one: w-2 goes, then w-1."""
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(STATEFULSETS, _set(3))
        await there.until(STATEFULSETS, "w", _status(readyReplicas=3))

        await there.client.merge_patch(
            STATEFULSETS, ObjectKey("default", "w"), {"spec": {"replicas": 1}}
        )

        await there.until(STATEFULSETS, "w", _status(replicas=1))
        assert list(await _pods(there)) == ["w-0"]


async def test_orphaned_pods_are_adopted_without_a_restart():
    """Deleted with its pods orphaned and made again with the same template: same pods."""
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(STATEFULSETS, _set(1))
        await there.until(STATEFULSETS, "w", _status(readyReplicas=1))
        before = await there.client.get(PODS, ObjectKey("default", "w-0"))

        key = ObjectKey("default", "w")
        await there.client.delete(STATEFULSETS, key, propagation="Orphan")
        await there.gone(STATEFULSETS, "w")
        orphan = await there.client.get(PODS, ObjectKey("default", "w-0"))
        assert orphan.meta.owners == ()
        made = await there.client.create(STATEFULSETS, _set(1))

        await there.until(STATEFULSETS, "w", _status(readyReplicas=1))
        await there.clock.sleep(60)
        after = await there.client.get(PODS, ObjectKey("default", "w-0"))
        assert after.meta.uid == before.meta.uid
        assert after.meta.controller is not None
        assert after.meta.controller.uid == made.meta.uid


async def test_claims_are_made_from_templates():
    """A volumeClaimTemplate becomes one claim per pod, mounted under the template's name."""
    claim = {
        "metadata": {"name": "weights"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(STATEFULSETS, _set(1, volumeClaimTemplates=[claim]))

        await there.until(STATEFULSETS, "w", _status(readyReplicas=1))

        await there.client.get(PVCS, ObjectKey("default", "weights-w-0"))
        pod = await there.client.get(PODS, ObjectKey("default", "w-0"))
        assert {"name": "weights", "persistentVolumeClaim": {"claimName": "weights-w-0"}} in (
            pod.get("spec", "volumes")
        )


@pytest.mark.parametrize(("value", "up", "number"), [
    ("25%", True, 1), ("25%", False, 0), ("50%", False, 1), (2, True, 2), ("3", False, 3),
])  # fmt: skip
def test_bounds_of_a_rollout(value, up, number):
    """Percentages of three replicas: the surge is rounded up, the unavailable down."""
    assert bound_of(value, 3, up=up) == number


async def test_a_deployment_replaces_its_pods_gradually():
    """A new template gets a new ReplicaSet; the old one ends empty and stays as history."""
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "w"}},
        "template": _template(),
    }
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(DEPLOYMENTS, _object(spec))
        await there.until(DEPLOYMENTS, "w", _status(availableReplicas=3))

        await there.client.merge_patch(
            DEPLOYMENTS,
            ObjectKey("default", "w"),
            {"spec": {"template": _template(version="2")}},
        )
        done = await there.until(
            DEPLOYMENTS,
            "w",
            _status(observedGeneration=2, updatedReplicas=3, replicas=3, availableReplicas=3),
        )

        conditions = {c["type"]: c for c in done.get("status", "conditions")}
        assert conditions["Available"]["reason"] == "MinimumReplicasAvailable"
        await there.clock.sleep(5)
        sets = (await there.client.list(REPLICASETS)).items
        assert sorted(rs.get("spec", "replicas") for rs in sets) == [0, 3]
        revisions = sorted(rs.meta.annotations["deployment.kubernetes.io/revision"] for rs in sets)
        assert revisions == ["1", "2"]


def _job(script: str, **spec: object) -> Json:
    template = _template(shell(script))
    template["spec"]["restartPolicy"] = "Never"
    return _object({"template": template, **spec})


def _conditions(job: Record) -> list[Json]:
    return list(job.get("status", "conditions") or ())


async def test_a_failed_pod_is_replaced_after_a_pause():
    """After ten seconds the first, and never more often than the limit; then the Job fails."""
    async with there_is_a_world() as there:
        await _machine(there)
        began = there.clock.monotonic()
        await there.client.create(JOBS, _job("exit 1", backoffLimit=1))

        done = await there.until(
            JOBS,
            "w",
            lambda j: "Failed" in [c["type"] for c in j.get("status", "conditions") or ()],
        )

        assert there.clock.monotonic() - began >= 10
        assert [(c["type"], c["reason"]) for c in done.get("status", "conditions")] == [
            ("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded"),
        ]  # fmt: skip
        assert done.get("status", "failed") == 2
        pods = (await there.client.list(PODS, namespace="default")).items
        assert len(pods) == 2
        assert [pod.meta.finalizers for pod in pods] == [(), ()]
        await there.clock.sleep(20)
        events = (await there.client.list(EVENTS, namespace="default")).items
        assert "BackoffLimitExceeded" in {event.get("reason") for event in events}


async def test_every_completion_is_counted_once():
    """Three completions, two at a time."""
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(JOBS, _job("sleep 3", completions=3, parallelism=2))

        done = await there.until(JOBS, "w", lambda j: bool(j.get("status", "completionTime")))

        assert done.get("status", "succeeded") == 3
        assert done.get("status", "uncountedTerminatedPods") == {}
        assert len((await there.client.list(PODS, namespace="default")).items) == 3


async def test_a_deleted_job_takes_its_pods():
    """Pods of a deleted Job lose their finalizer and go with it, running or not."""
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(JOBS, _job("sleep 3000"))
        await there.until(JOBS, "w", _status(ready=1))

        await there.client.delete(JOBS, ObjectKey("default", "w"))

        await there.gone(JOBS, "w")
        await there.clock.sleep(60)
        assert (await there.client.list(PODS, namespace="default")).items == []


async def test_a_job_rests_and_goes_on():
    """A suspended Job has no pods and says so; told to go on, it starts anew."""
    async with there_is_a_world() as there:
        await _machine(there)
        await there.client.create(JOBS, _job("sleep 500"))
        await there.until(JOBS, "w", _status(ready=1))
        key = ObjectKey("default", "w")
        await there.client.merge_patch(JOBS, key, {"spec": {"suspend": True}})
        await there.clock.sleep(60)
        job = await there.client.get(JOBS, key)
        assert [(c["type"], c["status"], c["reason"]) for c in _conditions(job)] == [
            ("Suspended", "True", "JobSuspended")
        ]
        assert job.get("status", "startTime") is None
        assert await _pods(there) == {}

        await there.client.merge_patch(JOBS, key, {"spec": {"suspend": False}})
        job = await there.until(JOBS, "w", _status(ready=1))
        assert [(c["status"], c["reason"]) for c in _conditions(job)] == [("False", "JobResumed")]


async def test_a_revision_keeps_why_it_was_made():
    """The Deployment's annotations go to its newest ReplicaSet; going back keeps the history."""
    async with there_is_a_world() as there:
        key = ObjectKey("default", "w")
        why = "kubernetes.io/change-cause"
        spec = {"selector": {"matchLabels": {"app": "w"}}, "template": _template()}
        made = _object(spec)
        made["metadata"]["annotations"] = {why: "first"}
        await there.client.create(DEPLOYMENTS, made)
        await there.clock.sleep(10)
        other = {"spec": {"template": _template(shell("sleep inf"))}}
        await there.client.merge_patch(DEPLOYMENTS, key, other)
        await there.clock.sleep(10)
        noted = {"metadata": {"annotations": {why: "second"}}}
        await there.client.merge_patch(DEPLOYMENTS, key, noted)
        await there.clock.sleep(10)
        assert await _causes(there) == {"1": ("first", None), "2": ("second", None)}

        back = {"spec": {"template": _template()}, "metadata": {"annotations": {why: "third"}}}
        await there.client.merge_patch(DEPLOYMENTS, key, back)
        await there.clock.sleep(10)
        assert await _causes(there) == {"3": ("third", "1"), "2": ("second", None)}


async def _causes(there: TestWorld) -> dict[str, tuple[str | None, str | None]]:
    """Why, and what it was before, by revision."""
    prefix = "deployment.kubernetes.io/revision"
    found = (await there.client.list(REPLICASETS, namespace="default")).items
    noted = [rs.meta.annotations for rs in found]
    return {
        one[prefix]: (one.get("kubernetes.io/change-cause"), one.get(f"{prefix}-history"))
        for one in noted
    }
