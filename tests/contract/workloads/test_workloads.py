"""Workloads behave alike on the embedded cluster and on a real control plane."""

from kaito.kube.objects import Json, Record
from kaito.kube.resources import (
    DEPLOYMENTS,
    ENDPOINTSLICES,
    JOBS,
    NODES,
    PODS,
    REPLICASETS,
    SERVICES,
    STATEFULSETS,
)
from tests.contract.workloads.scene import IDLE, Scene, is_usable, status_is


def _set(scene: Scene, replicas: int = 1, *, gpus: int = 0, **spec: object):
    return {
        "replicas": replicas,
        "serviceName": "w",
        "selector": {"matchLabels": {"app": "w"}},
        "template": scene.template(IDLE, gpus=gpus),
        **spec,
    }


async def _unscheduled(here: Scene) -> Json:
    """The only condition of a pod that nothing was done about."""
    pod = await here.until(PODS, "w-0", lambda p: bool(p.get("status", "conditions")))
    (condition,) = pod.get("status", "conditions")
    return condition


async def test_the_schedulers_words(scene):
    """Nodes count for what refuses them; the GPU is missing until the device plugin reports it."""
    async with scene as here:
        await here.create(STATEFULSETS, _set(here, gpus=2))
        condition = await _unscheduled(here)
        while condition["message"] != "no nodes available to schedule pods":
            # A scheduler may still know the nodes of the scene before; the set makes the pod anew.
            assert "nodes are available" in condition["message"]
            await here.client.delete(PODS, here.key("w-0"), grace_seconds=0)
            condition = await _unscheduled(here)
        assert condition["type"] == "PodScheduled"
        assert condition["reason"] == "Unschedulable"

        node = here.machine("one")
        await here.until(NODES, node, is_usable)

        helpless = "1 Preemption is not helpful for scheduling."
        message = (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, "
            f"preemption: 0/1 nodes are available: {helpless}"
        )
        await here.until(
            PODS, "w-0", lambda p: p.get("status", "conditions")[0]["message"] == message
        )


async def test_a_statefulset_in_order(scene):
    """One pod after the other; the status in full; events in the controller's words."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(STATEFULSETS, _set(here, 2))

        done = await here.until(STATEFULSETS, "w", status_is(readyReplicas=2, availableReplicas=2))

        revision = done.get("status", "updateRevision")
        assert done.get("status") == {
            "availableReplicas": 2,
            "collisionCount": 0,
            "currentReplicas": 2,
            "currentRevision": revision,
            "observedGeneration": 1,
            "readyReplicas": 2,
            "replicas": 2,
            "updateRevision": revision,
            "updatedReplicas": 2,
        }
        pod = (await here.client.get(PODS, here.key("w-1"))).json()
        assert pod["metadata"]["labels"] == {
            "app": "w",
            "apps.kubernetes.io/pod-index": "1",
            "controller-revision-hash": revision,
            "statefulset.kubernetes.io/pod-name": "w-1",
        }
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("w-1", "w")
        assert pod["metadata"]["generateName"] == "w-"
        created = "Create Pod w-{} in StatefulSet w successful"
        await here.told(
            *(("StatefulSet", "Normal", "SuccessfulCreate", created.format(n)) for n in (0, 1))
        )


async def test_a_rollout_starts_at_the_top(scene):
    """After a change w-1 is replaced before w-0; both end with the new revision."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(STATEFULSETS, _set(here, 2))
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=2))
        patch = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
        await here.client.merge_patch(STATEFULSETS, here.key("w"), patch)

        done = await here.until(
            STATEFULSETS,
            "w",
            lambda s: (
                s.get("status", "currentRevision") == s.get("status", "updateRevision")
                and s.get("status", "observedGeneration") == 2
            ),
        )

        assert done.get("status", "updatedReplicas") == 2
        deleted = "Delete Pod w-{} in StatefulSet w successful"
        await here.told(
            *(("StatefulSet", "Normal", "SuccessfulDelete", deleted.format(n)) for n in (0, 1))
        )
        old, new = [
            (await here.client.get(PODS, here.key(name))).meta.creation_timestamp or ""
            for name in ("w-1", "w-0")
        ]
        assert old <= new


async def test_endpoints_of_a_service(scene):
    """Ready pods are ready endpoints, with node, target and the port's number."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        ports = [{"name": "http", "port": 80, "targetPort": 5000}]
        await here.create(SERVICES, {"selector": {"app": "w"}, "ports": ports})
        await here.create(STATEFULSETS, _set(here, 1))
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=1))
        pod = await here.client.get(PODS, here.key("w-0"))

        def is_there(one: Record) -> bool:
            endpoints = one.get("endpoints") or [{}]
            return bool((endpoints[0].get("conditions") or {}).get("ready"))

        (found,) = await here.settled(ENDPOINTSLICES, 1)
        one = await here.until(ENDPOINTSLICES, found.meta.name, is_there)

        assert one.get("endpoints") == [
            {
                "addresses": [pod.get("status", "podIP")],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "hostname": "w-0",
                "nodeName": pod.get("spec", "nodeName"),
                "targetRef": {
                    "kind": "Pod",
                    "name": "w-0",
                    "namespace": here.namespace,
                    "uid": pod.meta.uid,
                },
            }
        ]
        assert one.get("ports") == [{"name": "http", "port": 5000, "protocol": "TCP"}]
        assert dict(one.meta.labels) == {
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": "w",
        }


async def test_a_job_completes(scene):
    """SuccessCriteriaMet, then Complete; the pod keeps no finalizer."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        template = here.template("sleep 200", restartPolicy="Never")
        made = await here.create(JOBS, {"template": template})
        await here.passed(JOBS, made, status_is(active=1))

        done = await here.until(JOBS, "w", lambda j: bool(j.get("status", "completionTime")))

        told = [(c["type"], c["reason"], c["message"]) for c in done.get("status", "conditions")]
        why = ("CompletionsReached", "Reached expected number of succeeded pods")
        assert told == [("SuccessCriteriaMet", *why), ("Complete", *why)]
        status = done.get("status")
        assert {
            k: v for k, v in status.items() if not k.endswith("Time") and k != "conditions"
        } == {
            "ready": 0,
            "succeeded": 1,
            "terminating": 0,
            "uncountedTerminatedPods": {},
        }
        (pod,) = await here.settled(PODS, 1)
        assert pod.meta.finalizers == ()
        await here.told(
            ("Job", "Normal", "SuccessfulCreate", "Created pod: w-*"),
            ("Job", "Normal", "Completed", "Job completed"),
        )


async def test_a_job_fails(scene):
    """With no retry left: FailureTarget, then Failed, with the same reason."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        template = here.template("exit 3", restartPolicy="Never")
        await here.create(JOBS, {"backoffLimit": 0, "template": template})

        done = await here.until(JOBS, "w", lambda j: len(j.get("status", "conditions") or ()) == 2)

        told = [(c["type"], c["reason"], c["message"]) for c in done.get("status", "conditions")]
        why = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        assert told == [("FailureTarget", *why), ("Failed", *why)]
        assert done.get("status", "failed") == 1
        await here.told(("Job", "Warning", "BackoffLimitExceeded", why[1]))


async def test_a_deployment_becomes_available(scene):
    """A ReplicaSet per template, the two conditions, and nothing left after deletion."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(
            DEPLOYMENTS,
            {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "w"}},
                "template": here.template(IDLE),
            },
        )

        done = await here.until(DEPLOYMENTS, "w", status_is(availableReplicas=2))
        done = await here.until(
            DEPLOYMENTS,
            "w",
            lambda d: (
                {c["reason"] for c in d.get("status", "conditions")}
                == {"MinimumReplicasAvailable", "NewReplicaSetAvailable"}
            ),
        )

        status = done.get("status")
        assert {name: value for name, value in status.items() if name != "conditions"} == {
            "availableReplicas": 2,
            "observedGeneration": 1,
            "readyReplicas": 2,
            "replicas": 2,
            "terminatingReplicas": 0,
            "updatedReplicas": 2,
        }
        (owned,) = await here.settled(REPLICASETS, 1)
        assert dict(owned.meta.annotations) == {
            "deployment.kubernetes.io/desired-replicas": "2",
            "deployment.kubernetes.io/max-replicas": "3",
            "deployment.kubernetes.io/revision": "1",
        }
        assert set(owned.meta.labels) == {"app", "pod-template-hash"}
        scaled = "Scaled up replica set w-# from 0 to 2"
        await here.told(("Deployment", "Normal", "ScalingReplicaSet", scaled))
        await here.client.delete(DEPLOYMENTS, here.key("w"))
        await here.settled(REPLICASETS, 0)
        await here.settled(PODS, 0)


async def test_orphans_are_adopted(scene):
    """A StatefulSet that is made again over its orphaned pods takes them as they are."""
    async with scene as here:
        await here.until(NODES, here.machine("one"), is_usable)
        await here.create(STATEFULSETS, _set(here, 1))
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=1))
        before = await here.client.get(PODS, here.key("w-0"))
        await here.client.delete(STATEFULSETS, here.key("w"), propagation="Orphan")
        await here.settled(STATEFULSETS, 0)
        orphan = await here.until(PODS, "w-0", lambda p: p.meta.owners == ())
        assert orphan.meta.uid == before.meta.uid

        made = await here.create(STATEFULSETS, _set(here, 1))

        after = await here.until(PODS, "w-0", lambda p: p.meta.owners != ())
        assert after.meta.uid == before.meta.uid
        assert after.meta.owners[0].uid == made.meta.uid
        await here.until(STATEFULSETS, "w", status_is(readyReplicas=1, updatedReplicas=1))
