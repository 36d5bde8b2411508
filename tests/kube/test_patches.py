"""Merge patch and JSON patch."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito.kube.patches import PatchError, json_patch, merge_diff, merge_patch

SCALARS = st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("abc", max_size=2), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        # The examples of RFC 7386, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_follows_the_rfc(target, patch, expected):
    """Objects merge, null removes, everything else replaces; arguments stay as they were."""
    before = copy.deepcopy((target, patch))

    assert merge_patch(target, patch) == expected
    assert (target, patch) == before


@given(OBJECTS, OBJECTS)
def test_a_merge_diff_leads_from_one_to_the_other(old, new):
    """Applying the difference gives the new object, and equal objects have no difference."""
    assert merge_patch(old, merge_diff(old, new)) == new
    assert merge_diff(new, copy.deepcopy(new)) == {}


def test_a_merge_diff_tells_true_from_one():
    """In JSON they are different values."""
    assert merge_diff({"a": [1]}, {"a": [True]}) == {"a": [True]}
    assert merge_diff({"a": {"b": 1}}, {"a": {"b": True}}) == {"a": {"b": True}}
    assert merge_diff({"a": [{"b": 0}]}, {"a": [{"b": False}]}) == {"a": [{"b": False}]}


def test_a_json_patch_applies_all_operations_or_none():
    """The target is never touched, whether it succeeds or not."""
    target = {"a": [1, 2], "b": {"c": 1}}
    before = copy.deepcopy(target)

    assert json_patch(
        target,
        [
            {"op": "test", "path": "/b/c", "value": 1},
            {"op": "add", "path": "/a/-", "value": 3},
            {"op": "remove", "path": "/b/c"},
            {"op": "replace", "path": "/b", "value": "x"},
        ],
    ) == {"a": [1, 2, 3], "b": "x"}
    with pytest.raises(PatchError):
        json_patch(
            target, [{"op": "remove", "path": "/b"}, {"op": "test", "path": "/a", "value": 0}]
        )
    assert target == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "add", "path": "/a/9", "value": 1},
        {"op": "replace", "path": "/a/x", "value": 1},
        {"op": "fly", "path": "/a"},
        {"op": "add", "path": "/b"},
        {"op": "add", "path": "no-slash", "value": 1},
        {"path": "/a"},
        {"op": "remove"},
        {"op": "move", "path": "/a", "from": "/nowhere"},
        {},
        "text",
    ],
)
def test_a_bad_json_patch_is_one_kind_of_error(operation):
    """The library's and Python's own errors never get out."""
    with pytest.raises(PatchError):
        json_patch({"a": [1], "b": 1}, [operation])
