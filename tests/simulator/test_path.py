"""The whole world in virtual time: workloads become running pods on machines."""

import json

from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
)
from kaito.kube.transport import Request
from kaito.simulator.controllers.group import add_control_plane
from tests.simulator.pods import VLLM, container, shell
from tests.simulator.world import world

HEALTH = {"httpGet": {"path": "/health", "port": 5000}, "failureThreshold": 60}
ON_MACHINES = [{"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]
GPU = {"limits": {"nvidia.com/gpu": "1"}}


def _of(kind: str, name: str, spec: Json) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def _template(*containers: Json, **spec: object) -> Json:
    return {
        "metadata": {"labels": {"app": "w"}},
        "spec": {"containers": list(containers), "tolerations": ON_MACHINES, **spec},
    }


def server(replicas: int = 1, **spec: object) -> Json:
    """A StatefulSet of GPU inference servers."""
    engine = shell(VLLM, startupProbe=HEALTH, readinessProbe=HEALTH, resources=GPU)
    return _of(
        "StatefulSet",
        "w",
        {
            "replicas": replicas,
            "serviceName": "w-headless",
            "selector": {"matchLabels": {"app": "w"}},
            "template": _template(engine),
            **spec,
        },
    )


def service(name: str = "w", **spec: object) -> Json:
    ports = [{"name": "http", "port": 80, "targetPort": 5000}]
    return _of("Service", name, {"selector": {"app": "w"}, "ports": ports, **spec})


def _ready_replicas(number: int) -> object:
    return lambda record: record.get("status", "readyReplicas") == number


async def test_a_statefulset_becomes_ready_on_a_machine_that_joins_later():
    """Pending with the scheduler's words until a machine with a GPU has joined; then Ready."""
    async with world(add_control_plane) as there:
        await there.client.create(STATEFULSETS, server())
        pod = await there.until(PODS, "w-0", lambda p: bool(p.get("status", "conditions")))
        (condition,) = pod.get("status", "conditions")
        assert condition["reason"] == "Unschedulable"
        assert condition["message"] == "no nodes available to schedule pods"

        there.machines.switch_on("gpu-1")
        pod = await there.until(
            PODS, "w-0", lambda p: "Insufficient" in p.get("status", "conditions")[0]["message"]
        )
        assert pod.get("status", "conditions")[0]["message"].startswith(
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. "
        )

        ready = await there.until(STATEFULSETS, "w", _ready_replicas(1))
        assert ready.get("status", "currentRevision") == ready.get("status", "updateRevision")
        pod = await there.client.get(PODS, ObjectKey("default", "w-0"))
        assert pod.get("spec", "nodeName") == "gpu-1"
        assert pod.meta.labels["apps.kubernetes.io/pod-index"] == "0"
        events = await there.client.list(EVENTS, namespace="default")
        reasons = {event.get("reason") for event in events.items}
        assert {"FailedScheduling", "Scheduled", "SuccessfulCreate"} <= reasons


async def test_curl_in_a_pod_asks_the_service_by_its_address():
    """The seed's last command: a curl pod posts to the Service and its log has the answer."""
    async with world(add_control_plane) as there:
        there.machines.switch_on("gpu-1")
        await there.client.create(SERVICES, service())
        await there.client.create(STATEFULSETS, server())
        await there.until(STATEFULSETS, "w", _ready_replicas(1))
        address = (await there.client.get(SERVICES, ObjectKey("default", "w"))).get(
            "spec", "clusterIP"
        )
        body = json.dumps({"messages": [{"role": "user", "content": "What is AKS?"}]})
        for number, host in enumerate((address, "w", "w.default.svc.cluster.local")):
            url = f"http://{host}/v1/chat/completions"
            argv = ["curl", "-s", "-X", "POST", url, "-d", body]
            asking = container("curl", image="curlimages/curl", args=argv)
            spec = _template(asking, restartPolicy="Never")["spec"]
            await there.client.create(PODS, _of("Pod", f"curl-{number}", spec))

            done = await there.until(
                PODS, f"curl-{number}", lambda p: p.get("status", "phase") == "Succeeded"
            )

            log = await there.client.raw(Request(method="GET", path=f"{_path(done)}/log"))
            assert "What is AKS?" in json.loads(log.body)["choices"][0]["message"]["content"]


def _path(pod: Record) -> str:
    return PODS.path(pod.meta.namespace, pod.meta.name)


async def test_a_tuning_job_runs_to_its_end():
    """Weights, training and push; the Job completes as Kubernetes 1.36 completes it."""
    secret = "eyJhdXRocyI6IHsiYWNyLmF6dXJlY3IuaW8iOiB7ImF1dGgiOiAiWDpZIn19fQ=="
    pusher = shell(
        "oras push $IMAGE x",
        "pusher",
        image="ghcr.io/oras-project/oras:v1.2.2",
        env=[{"name": "IMAGE", "value": "acr.azurecr.io/adapter:0.0.1"}],
    )
    trainer = shell("python3 fine_tuning.py", "train", resources=GPU)
    volume = {"name": "auth", "secret": {"secretName": "push"}}
    template = _template(pusher, initContainers=[trainer], restartPolicy="Never", volumes=[volume])
    async with world(add_control_plane) as there:
        there.machines.switch_on("gpu-1")
        await there.client.create(
            SECRETS,
            {
                "metadata": {"name": "push", "namespace": "default"},
                "data": {".dockerconfigjson": secret},
            },
        )
        await there.client.create(JOBS, _of("Job", "tune", {"template": template}))

        done = await there.until(
            JOBS, "tune", lambda j: bool(j.get("status", "completionTime")), within=7200
        )

        types = [c["type"] for c in done.get("status", "conditions")]
        assert types == ["SuccessCriteriaMet", "Complete"]
        assert done.get("status", "succeeded") == 1
        assert "acr.azurecr.io/adapter:0.0.1" in there.nodes.registries.pushed


async def test_a_deployment_rolls_out_and_is_collected():
    """Two replicas become available; deleting the Deployment leaves nothing behind."""
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "w"}},
        "template": _template(container()),
    }
    async with world(add_control_plane) as there:
        there.machines.switch_on("gpu-1")
        await there.client.create(DEPLOYMENTS, _of("Deployment", "d", spec))
        await there.until(DEPLOYMENTS, "d", lambda d: d.get("status", "availableReplicas") == 2)

        await there.client.delete(DEPLOYMENTS, ObjectKey("default", "d"))

        await there.gone(DEPLOYMENTS, "d")
        await there.clock.sleep(60)
        assert (await there.client.list(PODS)).items == []


async def test_pods_of_a_lost_machine_are_replaced():
    """When the machine is gone its pod is removed, and the StatefulSet makes it anew."""
    async with world(add_control_plane) as there:
        there.machines.switch_on("gpu-1")
        await there.client.create(STATEFULSETS, server())
        await there.until(STATEFULSETS, "w", _ready_replicas(1))
        before = await there.client.get(PODS, ObjectKey("default", "w-0"))

        there.machines.switch_off("gpu-1")
        there.machines.switch_on("gpu-2")

        await there.gone(NODES, "gpu-1")
        after = await there.until(
            PODS, "w-0", lambda p: p.meta.uid != before.meta.uid and bool(p.get("spec", "nodeName"))
        )
        assert after.get("spec", "nodeName") == "gpu-2"
        await there.until(STATEFULSETS, "w", _ready_replicas(1))


async def test_a_converged_world_is_quiet():
    """Ten virtual minutes after everything is Ready nothing is written but leases."""
    async with world(add_control_plane) as there:
        there.machines.switch_on("gpu-1")
        await there.client.create(SERVICES, service())
        await there.client.create(STATEFULSETS, server())
        await there.until(STATEFULSETS, "w", _ready_replicas(1))
        await there.clock.sleep(600)
        seen: list[str] = []
        there.server.on_request = lambda info: seen.append(
            f"{info.verb} {info.resource}/{info.subresource} {info.name}"
        )

        await there.clock.sleep(600)

        loud = [s for s in seen if not s.startswith("watch") and "leases" not in s]
        assert loud == []
