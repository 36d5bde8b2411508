"""What EndpointSlices say of pods that are not ready, that go, or that no Service selects."""

from contextlib import suppress

from kaito.kube.errors import AlreadyExists
from kaito.kube.objects import Json, Record
from kaito.kube.resources import ENDPOINTSLICES, NODES, PODS, SERVICES
from tests.contract.workloads.scene import Scene


async def _pod(here: Scene, name: str, *, ready: bool = True, **container: object) -> None:
    """A pod on a node that nobody plays, in the state that is told."""
    node = f"{here.namespace}-node"
    with suppress(AlreadyExists):
        await here.client.create(NODES, {"metadata": {"name": node}})
    metadata = {"name": name, "namespace": here.namespace, "labels": {"app": "w"}}
    containers = [{"name": "c", "image": "i", **container}]
    spec = {"nodeName": node, "containers": containers}
    made = await here.client.create(PODS, {"metadata": metadata, "spec": spec})
    address = f"10.9.{len(name)}.{ord(name[0])}"
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    await here.client.merge_patch(PODS, made.key, {"status": status}, subresource="status")


async def _service(here: Scene, **spec: object) -> None:
    wanted: Json = {"selector": {"app": "w"}, "ports": [{"port": 80, "targetPort": 5000}], **spec}
    await here.create(SERVICES, wanted)


def _conditions(one: Record) -> dict[str, tuple[bool, bool, bool]]:
    """(ready, serving, terminating) of every endpoint by the name of its pod."""
    return {
        endpoint["targetRef"]["name"]: tuple(
            endpoint["conditions"].get(name) for name in ("ready", "serving", "terminating")
        )
        for endpoint in one.get("endpoints") or ()
    }


async def _slice(here: Scene, **wanted: tuple[bool, bool, bool]) -> Record:
    (found,) = await here.settled(ENDPOINTSLICES, 1)
    return await here.until(ENDPOINTSLICES, found.meta.name, lambda one: _conditions(one) == wanted)


READY = (True, True, False)


async def test_a_pod_that_is_not_ready(scene):
    """It is listed and neither ready nor serving, unless the Service publishes such pods."""
    async with scene as here:
        await _service(here)
        await _pod(here, "good")
        await _pod(here, "bad", ready=False)
        await _slice(here, good=READY, bad=(False, False, False))
        patch = {"spec": {"publishNotReadyAddresses": True}}
        await here.client.merge_patch(SERVICES, here.key("w"), patch)
        await _slice(here, good=READY, bad=(True, False, False))


async def test_a_headless_service_says_so(scene):
    """By a label of its slice, and in its ports."""
    async with scene as here:
        await _service(here, clusterIP="None")
        await _pod(here, "p")
        found = await _slice(here, p=READY)
        assert found.meta.labels["service.kubernetes.io/headless"] == ""
        assert found.get("ports") == [{"name": "", "port": 5000, "protocol": "TCP"}]


async def test_a_pod_that_goes(scene):
    """While it ends it serves, and is not ready any more; unless such pods are published."""
    async with scene as here:
        await _service(here)
        await _pod(here, "p")
        await _pod(here, "q")
        await _slice(here, p=READY, q=READY)
        await here.client.delete(PODS, here.key("p"))
        await _slice(here, p=(False, True, True), q=READY)
        patch = {"spec": {"publishNotReadyAddresses": True}}
        await here.client.merge_patch(SERVICES, here.key("w"), patch)
        await _slice(here, p=(True, True, True), q=READY)
        await here.client.delete(PODS, here.key("p"), grace_seconds=0)
        await _slice(here, q=READY)


async def test_who_loses_the_label_leaves(scene):
    """And with the Service the slice goes."""
    async with scene as here:
        await _service(here)
        await _pod(here, "p")
        await _slice(here, p=READY)
        patch = {"metadata": {"labels": {"app": "other"}}}
        await here.client.merge_patch(PODS, here.key("p"), patch)
        await _slice(here)
        await here.client.delete(SERVICES, here.key("w"))
        await here.settled(ENDPOINTSLICES, 0)


async def test_a_named_target_port(scene):
    """The number is the pod's own."""
    async with scene as here:
        await _service(here, ports=[{"name": "a", "port": 80, "targetPort": "web"}])
        await _pod(here, "p", ports=[{"name": "web", "containerPort": 8080}])
        found = await _slice(here, p=READY)
        assert found.get("ports") == [{"name": "a", "port": 8080, "protocol": "TCP"}]


async def test_a_service_without_a_selector(scene):
    """Its endpoints are somebody else's business."""
    async with scene as here:
        await here.create(SERVICES, {"ports": [{"port": 80}]}, "other")
        await _service(here)
        (only,) = await here.settled(ENDPOINTSLICES, 1)
        assert only.meta.labels["kubernetes.io/service-name"] == "w"
