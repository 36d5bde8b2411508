"""EndpointSlices, namespaces and garbage collection, as clients of the API server see them."""

from functools import partial

import pytest

from kaito.kube.clock import LoopClock
from kaito.kube.errors import NotFound
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import (
    CONFIGMAPS,
    ENDPOINTSLICES,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
)
from kaito.simulator.controllers.endpointslice import endpointslice_controller
from kaito.simulator.controllers.garbage import garbage_controller
from kaito.simulator.controllers.namespace import namespace_controller
from tests.simulator.controllers.support import plane


class Nobody:
    """Is told of events."""

    def event(self, regarding, **told):
        """Forget it."""


COLLECTED = partial(
    garbage_controller, recorder=Nobody(), kinds=(CONFIGMAPS, SECRETS, PODS, SERVICES)
)


def namespaced(cache, client):
    return namespace_controller(cache, client, LoopClock(), "PEM")


def key(name, namespace="default"):
    return ObjectKey(namespace, name)


def config(name, owners=(), **metadata):
    references = [
        {"apiVersion": "v1", "kind": kind, "name": owner.meta.name, "uid": owner.meta.uid, **more}
        for kind, owner, more in owners
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": "default",
            "ownerReferences": references,
            **metadata,
        },
    }


async def exists(world, resource, name, namespace="default"):
    try:
        await world.client.get(resource, key(name, namespace))
    except NotFound:
        return False
    return True


async def test_a_namespace_is_furnished():
    """A new namespace gets the default ServiceAccount and the cluster's CA, and again if lost."""
    async with plane(namespaced) as world:
        await world.client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
        )
        await world.settle()
        assert await exists(world, SERVICEACCOUNTS, "default", "n")
        found = await world.client.get(CONFIGMAPS, key("kube-root-ca.crt", "n"))
        assert found.get("data") == {"ca.crt": "PEM"}

        await world.client.delete(CONFIGMAPS, key("kube-root-ca.crt", "n"))
        await world.settle()

        assert await exists(world, CONFIGMAPS, "kube-root-ca.crt", "n")


async def test_a_deleted_namespace_takes_its_content_along():
    """Deleting a namespace removes everything in it, then the namespace."""
    async with plane(namespaced) as world:
        await world.client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
        )
        await world.client.create(CONFIGMAPS, config("c", namespace="n"))
        await world.client.delete(NAMESPACES, ObjectKey("", "n"))
        await world.settle(20)

        assert not await exists(world, NAMESPACES, "n", "")
        assert not (await world.client.list(CONFIGMAPS, namespace="n")).items


async def test_a_namespace_that_stays_says_why():
    """What is left, and whose finalizers hold it, stands in the conditions; at last it goes."""
    async with plane(namespaced) as world:
        await world.client.create(NAMESPACES, {"metadata": {"name": "n"}})
        held = {"metadata": {"name": "a", "namespace": "n", "finalizers": ["example.org/hold"]}}
        await world.client.create(CONFIGMAPS, held)
        await world.client.delete(NAMESPACES, key("n", ""))
        await world.settle()

        found = await world.client.get(NAMESPACES, key("n", ""))
        said = {c["type"]: (c["status"], c["message"]) for c in found.get("status", "conditions")}
        assert len(said) == 5
        left = "Some resources are remaining: configmaps. has 1 resource instances"
        assert said["NamespaceContentRemaining"] == ("True", left)
        held_by = "example.org/hold in 1 resource instances"
        told = f"Some content in the namespace has finalizers remaining: {held_by}"
        assert said["NamespaceFinalizersRemaining"] == ("True", told)
        patch = {"metadata": {"finalizers": None}}
        await world.client.merge_patch(CONFIGMAPS, key("a", "n"), patch)
        await world.settle()
        assert not await exists(world, NAMESPACES, "n", "")


async def test_a_slice_follows_the_pods():
    """A Service's slice has the addresses of matching pods, ready as they are."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {
            "selector": {"app": "a"},
            "ports": [{"name": "http", "port": 80, "targetPort": 5000}],
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    async with plane(endpointslice_controller) as world:
        await world.client.create(SERVICES, service)
        await world.client.create(PODS, pod)
        await world.settle()
        status = {"podIP": "10.1.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
        await world.client.merge_patch(PODS, key("p"), {"status": status}, subresource="status")
        await world.settle()

        (found,) = (await world.client.list(ENDPOINTSLICES, namespace="default")).items

        assert found.meta.labels["kubernetes.io/service-name"] == "s"
        assert found.get("ports") == [{"name": "http", "protocol": "TCP", "port": 5000}]
        (endpoint,) = found.get("endpoints")
        assert endpoint["addresses"] == ["10.1.0.1"]
        assert endpoint["conditions"]["ready"] is True


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_dependents_go_with_their_owner(propagation):
    """An object whose only owner is deleted is deleted, and so are its own dependents."""
    async with plane(COLLECTED) as world:
        owner = await world.client.create(CONFIGMAPS, config("owner"))
        block = {"blockOwnerDeletion": True}
        child = await world.client.create(
            CONFIGMAPS, config("child", [("ConfigMap", owner, block)])
        )
        await world.client.create(CONFIGMAPS, config("grandchild", [("ConfigMap", child, block)]))
        await world.settle()

        await world.client.delete(CONFIGMAPS, key("owner"), propagation=propagation)
        await world.settle(30)

        for name in ("owner", "child", "grandchild"):
            assert not await exists(world, CONFIGMAPS, name), name


async def test_orphans_stay():
    """With the Orphan policy dependents lose the reference and stay."""
    async with plane(COLLECTED) as world:
        owner = await world.client.create(CONFIGMAPS, config("owner"))
        await world.client.create(CONFIGMAPS, config("child", [("ConfigMap", owner, {})]))
        await world.settle()

        await world.client.delete(CONFIGMAPS, key("owner"), propagation="Orphan")
        await world.settle(30)

        assert not await exists(world, CONFIGMAPS, "owner")
        assert (await world.client.get(CONFIGMAPS, key("child"))).meta.owners == ()


async def test_a_second_owner_keeps_a_dependent():
    """An object with another living owner only loses the reference to the one that is gone."""
    async with plane(COLLECTED) as world:
        one = await world.client.create(CONFIGMAPS, config("one"))
        two = await world.client.create(CONFIGMAPS, config("two"))
        await world.client.create(
            CONFIGMAPS, config("child", [("ConfigMap", one, {}), ("ConfigMap", two, {})])
        )
        await world.settle()

        await world.client.delete(CONFIGMAPS, key("one"))
        await world.settle(30)

        child = await world.client.get(CONFIGMAPS, key("child"))
        assert [owner.name for owner in child.meta.owners] == ["two"]
