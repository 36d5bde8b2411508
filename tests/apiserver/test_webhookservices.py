"""Webhooks that are named by a Service."""

import pytest

from kaito.apiserver.webhookcalls import CallFailed
from kaito.apiserver.webhookservices import StoredServices
from tests.apiserver.support import Api

SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
WHY = "nothing runs there"


def sliced(name, *endpoints, service="hooks", ports=({"name": "https", "port": 9443},)):
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": list(ports),
    }


def at(address, *, ready=True, pod=""):
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": {"ready": ready}, **target}


async def world(*slices):
    """An API server with a Service, and where it leads."""
    api = Api()
    ports = [{"name": "https", "port": 443}, {"name": "other", "port": 444}]
    await api.ok("POST", SERVICES, {"metadata": {"name": "hooks"}, "spec": {"ports": ports}})
    for slice_ in slices:
        await api.ok("POST", SLICES, slice_)
    return StoredServices(api.server.core.storage, pods=WHY)


async def test_a_service_is_where_its_slices_say():
    """The ready endpoint, at the port of the same name, of the Service's own slices."""
    found = await world(
        sliced("a", at("127.0.0.9"), service="stranger"),
        sliced("b", at("127.0.0.2", ready=False), at("127.0.0.3")),
    )
    assert found("default", "hooks", 443) == ("127.0.0.3", 9443)


async def test_pods_that_are_played_are_passed_over():
    """Somebody may have put an address of this machine beside them; without one, it is said why."""
    pod = sliced("a", at("10.244.0.7", pod="p"))
    assert (await world(pod, sliced("b", at("127.0.0.3"))))("default", "hooks", 443)[
        0
    ] == "127.0.0.3"
    with pytest.raises(CallFailed, match=rf"^dial tcp 10.244.0.7:9443: .*{WHY}"):
        (await world(pod))("default", "hooks", 443)


async def test_what_leads_nowhere_is_told_apart():
    """No such Service, no such port of it, no endpoint behind it."""
    found = await world()
    assert found("default", "none", 443) is None
    assert found("elsewhere", "hooks", 443) is None
    with pytest.raises(CallFailed, match=r'^no service port 80 found for service "hooks"$'):
        found("default", "hooks", 80)
    with pytest.raises(CallFailed, match=r'^no endpoints available for service "hooks"$'):
        found("default", "hooks", 444)


async def test_an_external_name_is_dialled_as_it_is():
    """At the webhook's own port."""
    api = Api()
    spec = {"type": "ExternalName", "externalName": "hooks.example.com"}
    await api.ok("POST", SERVICES, {"metadata": {"name": "far"}, "spec": spec})
    found = StoredServices(api.server.core.storage)
    assert found("default", "far", 8443) == ("hooks.example.com", 8443)
