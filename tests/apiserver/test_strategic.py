"""Strategic merge patches, judged by what a real API server makes of them."""

import copy

import pytest

from kaito.apiserver.builtin.library import library
from kaito.apiserver.strategic import StrategicPatchError, strategic_merge

SCHEMA = library().of_kind("", "v1", "Pod")
assert SCHEMA is not None


def pod(*names, **spec):
    return {"spec": {"containers": [{"name": n, "image": f"{n}:1"} for n in names], **spec}}


def merged(target, patch):
    before = copy.deepcopy((target, patch))
    result = strategic_merge(target, patch, SCHEMA)
    assert (target, patch) == before
    return result


def names(obj):
    return [container["name"] for container in obj["spec"]["containers"]]


def test_lists_with_a_merge_key_merge():
    """A known item is merged, a new one goes where the patch's order puts it."""
    patch = {"spec": {"containers": [{"name": "b", "image": "b:2"}, {"name": "c"}]}}

    result = merged(pod("a", "b"), patch)

    assert names(result) == ["a", "b", "c"]
    assert result["spec"]["containers"][1] == {"name": "b", "image": "b:2"}


def test_an_item_can_be_deleted():
    """`$patch: delete` names it by its key."""
    patch = {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}

    assert names(merged(pod("a", "b"), patch)) == ["b"]


def test_a_list_or_a_map_can_be_replaced():
    """`$patch: replace` keeps nothing."""
    patch = {
        "spec": {
            "containers": [{"name": "z"}, {"$patch": "replace"}],
            "securityContext": {"fsGroup": 2, "$patch": "replace"},
        }
    }

    result = merged(pod("a", "b", securityContext={"runAsUser": 1}), patch)

    assert result == {"spec": {"containers": [{"name": "z"}], "securityContext": {"fsGroup": 2}}}


def test_the_order_can_be_set():
    """`$setElementOrder` rules what it names; the rest stays where it was."""
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [{"name": "c", "image": "c:1"}],
        }
    }

    assert names(merged(pod("a", "b"), patch)) == ["c", "a", "b"]


def test_only_named_keys_can_be_retained():
    """`$retainKeys` drops every other key of the map."""
    target = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    secret = {"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}

    result = merged(target, {"spec": {"volumes": [secret]}})

    assert result["spec"]["volumes"] == [{"name": "v", "secret": {"secretName": "s"}}]


def test_lists_without_a_strategy_are_replaced_and_nulls_remove():
    """As a merge patch does."""
    target = pod("a", tolerations=[{"key": "x"}], hostname="h")

    result = merged(target, {"spec": {"tolerations": [{"key": "y"}], "hostname": None}})

    assert result["spec"]["tolerations"] == [{"key": "y"}]
    assert "hostname" not in result["spec"]


def test_values_can_be_deleted_from_a_list_of_scalars():
    """`$deleteFromPrimitiveList` beside the list; scalars merge as a set, new ones first."""
    target = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}

    assert merged(target, patch)["metadata"]["finalizers"] == ["c", "b"]


def test_an_item_without_its_key_is_refused():
    """The server cannot tell which one is meant."""
    with pytest.raises(StrategicPatchError, match="does not contain declared merge key: name"):
        merged(pod("a"), {"spec": {"containers": [{"image": "x"}]}})
