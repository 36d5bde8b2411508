"""Finalizers and owner references."""

import pytest

from kaito.framework.finalizers import add_finalizer, has_finalizer, remove_finalizer
from kaito.framework.ownership import AlreadyOwned, controlled_by, owner_reference, set_controller
from kaito.kube.errors import Conflict
from kaito.kube.objects import record_of
from kaito.kube.resources import CONFIGMAPS
from tests.framework.bench import widget
from tests.framework.world import World, configmap, key

FINALIZER = "example.org/guard"


async def test_a_finalizer_is_added_and_removed_without_touching_others():
    """On the server: both patches keep the finalizers of strangers and are idempotent."""
    world = World()
    obj = configmap("a")
    obj["metadata"]["finalizers"] = ["stranger.org/x"]
    record = await world.client.create(CONFIGMAPS, obj)

    added = await world.client.merge_patch(CONFIGMAPS, key("a"), add_finalizer(record, FINALIZER))
    removed = await world.client.merge_patch(
        CONFIGMAPS, key("a"), remove_finalizer(added, FINALIZER)
    )

    assert added.meta.finalizers == ("stranger.org/x", FINALIZER)
    assert has_finalizer(added, FINALIZER)
    assert add_finalizer(added, FINALIZER) is None
    assert removed.meta.finalizers == ("stranger.org/x",)
    assert remove_finalizer(removed, FINALIZER) is None


async def test_a_finalizer_patch_made_from_an_old_state_is_refused():
    """Somebody else changed the list meanwhile: a conflict, not a lost finalizer."""
    world = World()
    record = await world.client.create(CONFIGMAPS, configmap("a"))
    await world.client.merge_patch(
        CONFIGMAPS, key("a"), {"metadata": {"finalizers": ["stranger.org/x"]}}
    )

    with pytest.raises(Conflict):
        await world.client.merge_patch(CONFIGMAPS, key("a"), add_finalizer(record, FINALIZER))
    assert add_finalizer(record, FINALIZER)["metadata"]["uid"] == record.meta.uid


def test_nothing_is_added_to_an_object_that_is_going():
    """The server would refuse it."""
    going = widget("a", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["x"])

    assert add_finalizer(going, FINALIZER) is None


def part(**metadata):
    return {"metadata": {"name": "p", "namespace": "default", **metadata}}


def test_an_object_gets_its_controller_once():
    """Setting it twice leaves one reference; owners that do not control are kept."""
    owner = widget("w", uid="u1")
    obj = part(ownerReferences=[{"kind": "Other", "name": "o", "uid": "u2"}])

    set_controller(obj, owner)
    set_controller(obj, owner)

    assert [entry["uid"] for entry in obj["metadata"]["ownerReferences"]] == ["u2", "u1"]
    assert obj["metadata"]["ownerReferences"][1] == owner_reference(owner)
    assert owner_reference(owner) == {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "name": "w",
        "uid": "u1",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert owner_reference(owner, controller=False)["controller"] is False
    assert controlled_by(record_of({"kind": "Part", **obj}), owner)
    assert not controlled_by(record_of({"kind": "Part", **obj}), widget("w", uid="reborn"))


def test_another_objects_child_is_not_taken():
    """The error says whose it is."""
    obj = part()
    set_controller(obj, widget("first", uid="u1"))

    with pytest.raises(AlreadyOwned, match=r"controlled by Widget first \(uid u1\)") as raised:
        set_controller(obj, widget("second", uid="u2"))
    owner = raised.value.owner
    assert (owner.api_version, owner.uid, owner.controller) == ("example.org/v1", "u1", True)


@pytest.mark.parametrize("namespace", ["elsewhere", ""])
def test_an_owner_owns_nothing_outside_its_namespace(namespace):
    """The garbage collector deletes such objects: refused here, before they are written."""
    with pytest.raises(ValueError, match="cannot own p"):
        set_controller(part(namespace=namespace), widget("w", uid="u1"))


def test_a_cluster_scoped_owner_may_own_anything():
    """Nodes own pods, for example."""
    obj = part()

    set_controller(obj, widget("node", "", uid="u1"))

    assert obj["metadata"]["ownerReferences"][0]["name"] == "node"
