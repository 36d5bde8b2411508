"""Comparisons that are remembered: the same as those that are not."""

from hypothesis import given
from hypothesis import strategies as st

from kaito.apiserver import comparing
from kaito.apiserver.comparing import compare
from kaito.apiserver.outlines import Unusual, outline
from kaito.apiserver.typed import Type, Unfit
from kaito.kube.schema.structural import Schema

ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "value": {"type": "integer"}},
}
KIND = Type(
    Schema(
        {
            "type": "object",
            "properties": {
                "plain": {"type": "integer"},
                "atomic": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "additionalProperties": {"type": "string"},
                },
                "list": {"type": "array", "items": {"type": "integer"}},
                "keyed": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": ITEM,
                },
                "set": {
                    "type": "array",
                    "x-kubernetes-list-type": "set",
                    "items": {"type": "string"},
                },
                "map": {"type": "object", "additionalProperties": ITEM},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    )
)

NAMES = st.sampled_from("abc")
NUMBERS = st.sampled_from([0, 1, True, 1.0, None])
ITEMS = st.fixed_dictionaries({"name": NAMES}, optional={"value": NUMBERS})
ANYTHING = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2)
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "plain": NUMBERS,
        "atomic": st.none() | st.dictionaries(NAMES, NAMES, max_size=2),
        "list": st.none() | st.lists(NUMBERS, max_size=2),
        "keyed": st.none() | st.lists(ITEMS, max_size=3),
        "set": st.none() | st.lists(NAMES, max_size=3),
        "map": st.none() | st.dictionaries(NAMES, st.none() | ITEMS, max_size=2),
        "free": ANYTHING,
    },
)


def told(comparison):
    return [sorted(one) for one in (comparison.removed, comparison.modified, comparison.added)]


@given(st.lists(st.tuples(OBJECTS, OBJECTS), min_size=2, max_size=6))
def test_what_is_remembered_is_what_would_be_found(pairs):
    """Two writes with the same outline touch the same fields: whatever was compared before, a
    comparison is what it would be without a memory."""
    for old, new in pairs:
        try:
            fresh = told(comparing.compared(old, new, KIND))
        except Unfit:
            continue
        assert told(compare(old, new, KIND)) == fresh


def test_values_do_not_count():
    """Only which fields change is in an outline: ten thousand pods have a few of them."""
    one = outline({"plain": 1, "list": [1]}, {"plain": 2, "list": [2, 3]}, KIND)

    assert outline({"plain": 5, "list": []}, {"plain": 7, "list": [2]}, KIND) == one
    assert outline({"plain": 5, "list": [2]}, {"plain": 7, "list": [2]}, KIND) != one


def test_a_change_of_shape_is_not_remembered():
    """It is rare, and what comes and goes with it is another matter each time."""
    try:
        outline({"free": {"a": 1}}, {"free": {"a": {"b": 1}}}, KIND)
    except Unusual:
        return
    raise AssertionError("a change of shape has an outline")
