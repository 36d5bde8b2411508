"""Owner references mean the same to the embedded collector and to the real one."""

from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.resources import CONFIGMAPS, EVENTS, NAMESPACES, NODES
from tests.contract.workloads.scene import Scene

HELD = "example.com/held"


def _reference(owner: Record, kind: str = "ConfigMap", **more: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "name": owner.meta.name,
        "uid": owner.meta.uid,
        **more,
    }


async def _make(
    here: Scene,
    name: str,
    *owners: Json,
    resource: Resource = CONFIGMAPS,
    namespace: str = "",
    finalizers: tuple[str, ...] = (),
) -> Record:
    metadata: Json = {"name": name, "ownerReferences": list(owners), "finalizers": list(finalizers)}
    if resource.namespaced:
        metadata["namespace"] = namespace or here.namespace
    return await here.client.create(resource, {"metadata": metadata})


async def _release(here: Scene, name: str) -> None:
    patch = {"metadata": {"finalizers": None}}
    await here.client.merge_patch(CONFIGMAPS, here.key(name), patch)


async def test_in_the_background_the_owner_goes_first(scene):
    """The owner is gone at once; what it owns follows, and what that owns."""
    async with scene as here:
        owner = await _make(here, "owner")
        child = await _make(here, "child", _reference(owner))
        await _make(here, "grandchild", _reference(child))
        await here.client.delete(CONFIGMAPS, here.key("owner"), propagation="Background")
        await here.gone(CONFIGMAPS, "grandchild")
        await here.gone(CONFIGMAPS, "child")
        await here.gone(CONFIGMAPS, "owner")


async def test_in_the_foreground_the_owner_waits(scene):
    """It waits for dependents that block it, and for no others."""
    async with scene as here:
        owner = await _make(here, "owner")
        blocking = _reference(owner, blockOwnerDeletion=True)
        await _make(here, "blocks", blocking, finalizers=(HELD,))
        await _make(here, "lingers", _reference(owner), finalizers=(HELD,))
        await here.client.delete(CONFIGMAPS, here.key("owner"), propagation="Foreground")

        await here.until(CONFIGMAPS, "blocks", lambda one: one.meta.deleting)
        await here.until(CONFIGMAPS, "lingers", lambda one: one.meta.deleting)
        waiting = await here.client.get(CONFIGMAPS, here.key("owner"))
        assert waiting.meta.deleting
        assert waiting.meta.finalizers == ("foregroundDeletion",)
        await _release(here, "blocks")
        await here.gone(CONFIGMAPS, "owner")
        assert await here.client.get(CONFIGMAPS, here.key("lingers"))
        await _release(here, "lingers")


async def test_orphans_stay_without_the_reference(scene):
    """What another owner still owns keeps that reference alone."""
    async with scene as here:
        first, second = await _make(here, "first"), await _make(here, "second")
        await _make(here, "child", _reference(first))
        await _make(here, "shared", _reference(first), _reference(second))
        await here.client.delete(CONFIGMAPS, here.key("first"), propagation="Orphan")
        await here.gone(CONFIGMAPS, "first")
        await here.until(CONFIGMAPS, "child", lambda one: one.meta.owners == ())
        shared = await here.until(CONFIGMAPS, "shared", lambda one: len(one.meta.owners) == 1)
        assert shared.meta.owners[0].uid == second.meta.uid


async def test_one_living_owner_is_enough(scene):
    """The reference to the other one goes when it does."""
    async with scene as here:
        first, second = await _make(here, "first"), await _make(here, "second")
        await _make(here, "shared", _reference(first), _reference(second))
        await here.client.delete(CONFIGMAPS, here.key("first"))
        shared = await here.until(CONFIGMAPS, "shared", lambda one: len(one.meta.owners) == 1)
        assert shared.meta.owners[0].uid == second.meta.uid


async def test_who_names_an_owner_that_is_not_there_goes(scene):
    """Absent by name, or there under another uid: both are gone."""
    async with scene as here:
        owner = await _make(here, "owner")
        await _make(here, "stranger", {**_reference(owner), "uid": "00000000-absent"})
        await _make(here, "lost", {**_reference(owner), "name": "absent", "uid": "11111111-absent"})
        await here.gone(CONFIGMAPS, "stranger")
        await here.gone(CONFIGMAPS, "lost")
        assert await here.client.get(CONFIGMAPS, here.key("owner"))


async def test_a_cluster_scoped_owner_owns_in_namespaces(scene):
    """A Node may own what is in a namespace."""
    async with scene as here:
        name = f"{here.namespace}-owner"
        node = await _make(here, name, resource=NODES)
        await _make(here, "child", _reference(node, "Node"))
        await here.client.delete(NODES, ObjectKey("", name))
        await here.gone(CONFIGMAPS, "child")


async def test_an_owner_in_another_namespace_is_none(scene):
    """The dependent goes, and an event tells why."""
    async with scene as here:
        other = f"{here.namespace}-other"
        await here.client.create(NAMESPACES, {"metadata": {"name": other}})
        owner = await _make(here, "owner", namespace=other)
        await _make(here, "child", _reference(owner))
        await here.gone(CONFIGMAPS, "child")
        named = f"v1/ConfigMap, namespace: {here.namespace}, name: owner, uid: {owner.meta.uid}"
        note = _INVALID.format(owner=named, where=f'namespace "{here.namespace}"')
        await here.told(("ConfigMap", "Warning", "OwnerRefInvalidNamespace", note))
        await here.client.delete(NAMESPACES, ObjectKey("", other))


_INVALID = "ownerRef [{owner}] does not exist in {where}"


async def test_a_namespaced_owner_of_what_is_in_none_is_none(scene):
    """The dependent stays, since its owner cannot be looked for; an event tells of it."""
    async with scene as here:
        owner = await _make(here, "owner")
        name = f"{here.namespace}-child"
        await _make(here, name, _reference(owner), resource=NODES)

        async def told() -> list[str]:
            found = (await here.client.list(EVENTS, namespace="default")).items
            return [e.get("note") for e in found if e.get("regarding", "name") == name]

        for _ in range(1200):
            if await told():
                break
            await here.clock.sleep(0.1)
        assert await told() == [
            _INVALID.format(
                owner=f"v1/ConfigMap, namespace: , name: owner, uid: {owner.meta.uid}",
                where='namespace ""',
            )
        ]
        assert await here.client.get(NODES, ObjectKey("", name))
        await here.client.delete(NODES, ObjectKey("", name))
