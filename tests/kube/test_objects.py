"""Records: what they keep, what they leave out, and that nobody can change them."""

import json

import msgspec
import pytest

from kaito.kube.objects import ObjectKey, record, record_of, record_of_fields
from kaito.kube.transport import Request, Response

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "a",
        "namespace": "b",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {"x": "y"},
        "finalizers": ["f"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "o"}],
    },
    "spec": {"nodeName": "n", "list": [1, 2.5, None, True]},
    "status": {"phase": "Running"},
}


def test_a_record_gives_back_the_object_that_came():
    """Lists are lists again, also those of the metadata."""
    assert record_of(POD).json() == POD
    assert json.loads(json.dumps(record_of(POD).json())) == POD


def test_managed_fields_are_left_out():
    """They are half of most objects, and nobody here reads them."""
    loud = {**POD, "metadata": {**POD["metadata"], "managedFields": [{"manager": "x"}]}}

    assert record_of(loud).json() == POD


def test_fields_are_decoded_on_touch_and_belong_to_the_caller():
    """Two reads give two objects; changing one changes nothing else."""
    found = record_of(POD)

    found.get("spec")["nodeName"] = "other"

    assert found.get("spec", "nodeName") == "n"
    assert found.get("spec", "missing", "deeper") is None
    assert found.get("data") is None
    assert found.field("status", dict[str, str]) == {"phase": "Running"}


def test_s79_a_record_cannot_be_changed():
    """Neither its fields, nor its metadata, nor its labels."""
    found = record_of(POD)

    with pytest.raises(AttributeError):
        found.kind = "Node"
    with pytest.raises(AttributeError):
        found.meta.name = "z"
    with pytest.raises(TypeError):
        found.meta.labels["x"] = "z"


def test_a_record_does_not_hold_on_to_its_buffer():
    """The bytes are copied out of a page or a stream of many objects."""
    buffer = msgspec.json.encode(POD)

    assert all(type(text) is bytes for text in record(buffer).fields.values())


@pytest.mark.parametrize("text", [b"[]", b"1", b"", b'{"kind": 1}', b'{"metadata": []}', b"{"])
def test_what_is_no_object_is_refused(text):
    """With the decoder's error, which says where."""
    with pytest.raises(msgspec.DecodeError):
        record(text)


def test_missing_heads_are_empty_or_given():
    """Items of a list come without kind; `metadata: null` is an object without metadata."""
    found = record(b'{"metadata": null, "x": 1}')
    assert (found.api_version, found.kind, found.key) == ("", "", ObjectKey("", ""))

    top = msgspec.json.decode(b'{"x": 1}', type=dict[str, msgspec.Raw])
    assert record_of_fields(top, api_version="v1", kind="Pod").kind == "Pod"


def test_nothing_secret_is_printed():
    """A record in a log or a traceback says which object it is; a request, where it goes."""
    secret = {"kind": "Secret", "metadata": {"name": "a", "namespace": "b"}, "data": {"k": "czNj"}}
    request = Request(method="POST", path="/x", headers={"authorization": "czNj"}, body=b"czNj")

    assert repr(record_of(secret)) == "<Secret b/a @>"
    assert "czNj" not in repr(request)
    assert "czNj" not in repr(Response(status=200, body=b"czNj"))
