"""Machines join an API server as Nodes, and pods bound to them run."""

import pytest

from kaito.kube.errors import BadRequest
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import EVENTS, NODES, PODS, SECRETS
from kaito.kube.transport import Request
from kaito.simulator.nodes.options import NodeOptions
from tests.simulator.pods import VLLM, container, pod, shell
from tests.simulator.world import TestWorld, world


def _condition(record: Record, name: str) -> str:
    conditions = record.get("status", "conditions") or []
    return next((str(c["status"]) for c in conditions if c["type"] == name), "")


def is_ready(record: Record) -> bool:
    return _condition(record, "Ready") == "True"


def _bound(made: Json, node: str = "gpu-1") -> Json:
    """The pod, bound to a node and without what only the server may set."""
    spec = {**made["spec"], "nodeName": node}
    metadata = {name: made["metadata"][name] for name in ("name", "namespace")}
    return {"metadata": metadata, "spec": spec}


async def _with_pod(there: TestWorld, made: Json) -> None:
    there.machines.switch_on("gpu-1")
    await there.until(NODES, "gpu-1", is_ready)
    await there.client.create(PODS, _bound(made))


async def test_a_machine_becomes_a_ready_node_with_gpus():
    """Registered after its boot, Ready after the network, GPUs only after the device plugin."""
    options = NodeOptions()
    async with world() as there:
        began = there.clock.monotonic()
        there.machines.switch_on("gpu-1", workspace="w")

        node = await there.until(NODES, "gpu-1", lambda _: True)
        assert there.clock.monotonic() - began >= options.boot
        assert _condition(node, "Ready") == "False"
        keys = [taint["key"] for taint in node.get("spec", "taints")]
        assert keys == ["sku", "node.kubernetes.io/not-ready"]
        assert node.meta.labels["kaito.sh/simulated"] == "true"
        assert node.meta.labels["workspace"] == "w"

        node = await there.until(
            NODES, "gpu-1", lambda n: is_ready(n) and len(n.get("spec", "taints")) == 1
        )
        assert "nvidia.com/gpu" not in node.get("status", "allocatable")

        node = await there.until(
            NODES, "gpu-1", lambda n: "nvidia.com/gpu" in n.get("status", "allocatable")
        )
        assert node.get("status", "allocatable")["nvidia.com/gpu"] == "1"
        waited = there.clock.monotonic() - began
        assert waited == pytest.approx(options.boot + options.ready + options.gpu, abs=1)


async def test_a_machine_that_is_gone_takes_its_node_with_it():
    """The Node of a machine that was switched off is deleted."""
    async with world() as there:
        there.machines.switch_on("gpu-1")
        await there.until(NODES, "gpu-1", is_ready)

        there.machines.switch_off("gpu-1")

        await there.gone(NODES, "gpu-1")


async def test_a_machine_that_does_not_join_has_no_node():
    """A kubelet that never reaches the API server leaves the machine without a Node."""
    async with world() as there:
        there.machines.switch_on("gpu-1", joins=False)
        await there.clock.sleep(600)

        assert (await there.client.list(NODES)).items == []


async def test_a_bound_pod_runs_and_becomes_ready():
    """From ContainerCreating to Ready, with events, an address, and logs."""
    probe = {"httpGet": {"path": "/health", "port": 5000}, "failureThreshold": 60}
    made = pod(shell(VLLM, startupProbe=probe, readinessProbe=probe))
    async with world() as there:
        await _with_pod(there, made)

        running = await there.until(PODS, "w-0", is_ready)

        assert running.get("status", "phase") == "Running"
        assert running.get("status", "podIP").startswith("10.244.")
        assert running.get("status", "hostIP").startswith("10.224.")
        await there.clock.sleep(30)
        events = await there.client.list(EVENTS, namespace="default")
        reasons = [event.get("reason") for event in events.items]
        assert {"Pulling", "Pulled", "Created", "Started"} <= set(reasons)
        log = await there.client.raw(
            Request(method="GET", path="/api/v1/namespaces/default/pods/w-0/log")
        )
        assert b"no model is used" in log.body
        health = await there.client.raw(
            Request(method="GET", path="/api/v1/namespaces/default/pods/w-0:5000/proxy/health")
        )
        assert health.status == 200


async def test_a_pod_at_rest_costs_no_request():
    """Ten virtual minutes after Ready nothing was sent but the lease's renewals."""
    async with world() as there:
        await _with_pod(there, pod(shell(VLLM)))
        await there.until(PODS, "w-0", is_ready)
        await there.clock.sleep(120)
        seen: list[str] = []
        there.server.on_request = lambda info: seen.append(f"{info.verb} {info.resource}")

        await there.clock.sleep(600)

        assert [one for one in seen if "leases" not in one and not one.startswith("watch")] == []
        assert sum("leases" in one for one in seen) <= 2


async def test_a_missing_secret_holds_the_pod_until_it_appears():
    """FailedMount while the Secret is absent; the pod goes on when it is created."""
    volumes = [{"name": "token", "secret": {"secretName": "later"}}]
    async with world() as there:
        await _with_pod(there, pod(container(), volumes=volumes))
        await there.clock.sleep(60)
        waiting = await there.client.get(PODS, ObjectKey("default", "w-0"))
        assert waiting.get("status", "phase") == "Pending"
        events = await there.client.list(EVENTS, namespace="default")
        notes = [e.get("note") for e in events.items if e.get("reason") == "FailedMount"]
        assert notes[0] == 'MountVolume.SetUp failed for volume "token" : secret "later" not found'

        await there.client.create(
            SECRETS, {"metadata": {"name": "later", "namespace": "default"}, "data": {}}
        )

        await there.until(PODS, "w-0", is_ready)


async def test_a_deleted_pod_goes_when_its_containers_have_stopped():
    """Deletion waits for the containers, then the kubelet removes the object."""
    async with world() as there:
        await _with_pod(there, pod(shell(VLLM)))
        await there.until(PODS, "w-0", is_ready)

        await there.client.delete(PODS, ObjectKey("default", "w-0"))

        stopping = await there.client.get(PODS, ObjectKey("default", "w-0"))
        assert stopping.meta.deleting
        await there.gone(PODS, "w-0", within=5)


async def test_a_pod_may_be_deleted_before_it_runs():
    """A pod that is still pulling its image is gone at once."""
    async with world() as there:
        await _with_pod(there, pod(shell(VLLM)))
        await there.clock.sleep(2)

        await there.client.delete(PODS, ObjectKey("default", "w-0"))

        await there.gone(PODS, "w-0", within=2)


async def test_curl_reaches_a_pod_and_its_answer_is_in_the_log():
    """A pod of curlimages/curl asks another pod; output in the log, exit code in the status."""
    async with world() as there:
        await _with_pod(there, pod(shell(VLLM)))
        server = await there.until(PODS, "w-0", is_ready)
        await there.clock.sleep(600)
        address = server.get("status", "podIP")
        args = ["curl", "-s", f"http://{address}:5000/v1/models"]
        asking = container("curl", image="curlimages/curl", args=args)

        await there.client.create(PODS, _bound(pod(asking, name="curl", restartPolicy="Never")))

        done = await there.until(
            PODS, "curl", lambda p: p.get("status", "phase") in ("Succeeded", "Failed")
        )
        assert done.get("status", "phase") == "Succeeded"
        log = await there.client.raw(
            Request(method="GET", path="/api/v1/namespaces/default/pods/curl/log")
        )
        assert b"phi-4-mini-instruct" in log.body


async def test_a_failing_request_fails_the_pod_with_curls_code():
    """An unknown host is exit code 6."""
    async with world() as there:
        there.machines.switch_on("gpu-1")
        await there.until(NODES, "gpu-1", is_ready)
        asking = container("curl", image="curlimages/curl", args=["curl", "http://nowhere/"])

        await there.client.create(PODS, _bound(pod(asking, name="curl", restartPolicy="Never")))

        done = await there.until(PODS, "curl", lambda p: p.get("status", "phase") == "Failed")
        state = done.get("status", "containerStatuses")[0]["state"]
        assert state["terminated"]["exitCode"] == 6


async def test_the_log_of_a_waiting_container_is_refused():
    """As a kubelet does: the container is waiting to start, and why."""
    async with world() as there:
        await _with_pod(there, pod(shell(VLLM)))
        await there.clock.sleep(2)

        with pytest.raises(BadRequest, match="is waiting to start: ContainerCreating"):
            await there.client.raw(
                Request(method="GET", path="/api/v1/namespaces/default/pods/w-0/log")
            )


async def test_a_log_can_be_followed():
    """With `follow` the log ends when the container ends, and has all of it."""
    made = pod(shell("python3 fine_tuning.py"), restartPolicy="Never")
    async with world() as there:
        await _with_pod(there, made)
        await there.until(PODS, "w-0", lambda p: p.get("status", "phase") == "Running")

        log = await there.client.raw(
            Request(
                method="GET",
                path="/api/v1/namespaces/default/pods/w-0/log",
                query=(("follow", "true"),),
            ),
            timeout=3600,
        )

        assert log.body.decode().splitlines() == [
            "simulated training: no GPU and no model is used",
            "simulated training finished",
            "wrote adapter_model.safetensors",
        ]
