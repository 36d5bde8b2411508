"""Sets of fields: their JSON, and the algebra that ownership is made of."""

from hypothesis import given
from hypothesis import strategies as st

from kaito.apiserver.fieldsets import FieldSet, dotted, has_all, meets

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple)


def set_of(paths):
    made = FieldSet()
    for path in paths:
        made.insert(path)
    return made


SETS = st.lists(PATHS, max_size=6).map(set_of)


@given(SETS)
def test_json_keeps_every_member(fields):
    """Writing and reading a set gives the same set."""
    assert FieldSet.from_json(fields.to_json()) == fields


@given(SETS, SETS)
def test_the_operations_are_those_of_sets(one, other):
    """Union, intersection and difference agree with sets of paths."""
    left, right = set(one), set(other)

    assert set(one.union(other)) == left | right
    assert set(one.intersection(other)) == left & right
    assert set(one.difference(other)) == left - right


@given(SETS, SETS)
def test_without_takes_what_is_below_too(one, other):
    """A path goes when it or a prefix of it is a member of the other set."""
    gone = set(other)
    kept = {p for p in one if not any(p[:n] in gone for n in range(1, len(p) + 1))}

    assert set(one.without(other)) == kept


def test_paths_are_shown_as_the_server_shows_them():
    """Fields with dots, keys and values in brackets."""
    path = ("f:spec", 'k:{"name":"a","port":1}', 'v:"x"')

    assert dotted(path) == '.spec[name="a",port=1][="x"]'


def test_what_two_sets_share_is_told_from_the_text_alone():
    """Asking the text gives the same answers as reading it."""
    stored = {"f:a": {".": {}, "f:b": {}}, "f:c": {'k:{"n":"x"}': {"f:d": {}}}, "f:e": {}}
    read = FieldSet.from_json(stored)
    asked = [
        FieldSet.of("a"),
        FieldSet.of("a.b"),
        FieldSet.of("c"),
        FieldSet.of("e", "a.b"),
        FieldSet.of("e", "z"),
        FieldSet.of("e.f"),
        FieldSet.from_json({"f:c": {'k:{"n":"x"}': {"f:d": {}}}}),
        FieldSet.from_json({"f:c": {'k:{"n":"x"}': {}}}),
        FieldSet(),
    ]

    for other in asked:
        assert meets(stored, other) == bool(read.intersection(other))
        assert has_all(stored, other) == (not other.difference(read))
