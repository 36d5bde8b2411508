"""Decoding in one pass finds what decoding piece by piece finds, or leaves it alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito.kube.objects import record
from kaito.kube.onepass import OnePass
from kaito.kube.resources import CONFIGMAPS, PODS

NAMES = st.sampled_from(["spec", "status", "data", "binaryData", "immutable", "field_0", "metadat"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


def text(obj):
    return json.dumps(obj).encode()


def line(obj, kind="MODIFIED"):
    return b'{"type":"%b","object":%b}' % (kind.encode(), text(obj))


def config(**fields):
    meta = {"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7"}
    meta |= {"labels": {"x": "y"}, "managedFields": [{"manager": "m"}]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **fields}


def test_a_field_that_was_not_learned_is_left_to_others():
    """And once it is known, the record has it, byte for byte."""
    decode, obj = OnePass(CONFIGMAPS), config(data={"a": "1"})
    assert decode(line(obj)) is None

    decode.learn(["data"])

    assert decode(line(obj)) == ("MODIFIED", record(text(obj)))


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=5))
def test_what_it_decodes_is_what_the_general_way_decodes(contents):
    """Whatever fields come, in whatever order they are learned; two tries are always enough."""
    decode = OnePass(CONFIGMAPS)
    for fields in contents:
        obj = config(**fields)
        found = decode(line(obj))
        if found is None:
            decode.learn(fields)
            found = decode(line(obj))
        assert found == ("MODIFIED", record(text(obj)))


def test_objects_with_names_for_fields_are_not_learned_for_ever():
    """Where every object has other top-level fields the struct would grow without end."""
    decode = OnePass(CONFIGMAPS)
    for number in range(100):
        decode.learn([f"field-{number}"])

    assert decode(line(config(**{"field-0": 1}))) is not None
    assert decode(line(config(**{"field-99": 1}))) is None


@pytest.mark.parametrize(
    "bad",
    [
        line(config(), "BOOKMARK"),
        line(config(), "ERROR"),
        line(config() | {"kind": "Pod"}),
        line(config() | {"apiVersion": "v2"}),
        line(config() | {"metadata": None}),
        line(config() | {"metadata": {"name": "a"}}),
        line(config() | {"metadata": {"resourceVersion": "1"}}),
        line(config(data={}))[:-1],
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}',
    ],
)
def test_anything_but_a_change_of_an_object_of_the_kind_is_left_to_others(bad):
    """Who looks closer says what is wrong with it."""
    decode = OnePass(CONFIGMAPS)
    decode.learn(["data"])

    assert decode(bad) is None


def test_metadata_alone_is_kept_where_that_was_asked_for():
    """Of real objects too, which old servers send; fields that nobody keeps need no learning."""
    decode = OnePass(PODS, metadata_only=True)
    partial = config() | {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}
    pod = config(spec={"x": 1}, anything=2) | {"kind": "Pod"}

    for obj in (partial, pod):
        _, found = decode(line(obj))
        assert found == record(text(config() | {"kind": "Pod"}))
    assert OnePass(PODS)(line(partial)) is None


def test_the_head_that_a_server_leaves_out_is_what_was_asked_for():
    """As items of lists come."""
    obj = config()
    del obj["apiVersion"], obj["kind"]

    assert OnePass(CONFIGMAPS)(line(obj)) == ("MODIFIED", record(text(config())))
