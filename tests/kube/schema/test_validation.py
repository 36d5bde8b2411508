"""Validation, in the words of a real API server (recorded from Kubernetes 1.36)."""

import pytest

from kaito.kube.schema.structural import Schema
from kaito.kube.schema.validation import validate


def texts(value: object, schema: dict, **kwargs: object) -> list[str]:
    root = Schema({"type": "object", "properties": {"spec": schema}})
    if "old" in kwargs:
        kwargs["old"] = {"spec": kwargs["old"]}
    return [str(error) for error in validate({"spec": value}, root, **kwargs)]


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        (
            1,
            {"type": "string"},
            'spec: Invalid value: "integer": spec in body must be of type string: "integer"',
        ),
        (
            "a",
            {"type": "integer", "format": "int32"},
            'spec: Invalid value: "string": spec in body must be of type integer: "string"',
        ),
        ({}, {"type": "object", "required": ["x"]}, "spec.x: Required value"),
        (
            "z",
            {"type": "string", "enum": ["a", "b"]},
            'spec: Unsupported value: "z": supported values: "a", "b"',
        ),
        (
            0,
            {"type": "integer", "minimum": 1},
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            9,
            {"type": "integer", "maximum": 9, "exclusiveMaximum": True},
            "spec: Invalid value: 9: spec in body should be less than 9",
        ),
        (
            "",
            {"type": "string", "minLength": 1},
            'spec: Invalid value: "": spec in body should be at least 1 chars long',
        ),
        (
            "abcd",
            {"type": "string", "maxLength": 3},
            "spec: Too long: may not be more than 3 bytes",
        ),
        (
            "B",
            {"type": "string", "pattern": "^[a-z]+$"},
            "spec: Invalid value: \"B\": spec in body should match '^[a-z]+$'",
        ),
        (
            ["a", "b"],
            {"type": "array", "maxItems": 1, "items": {"type": "string"}},
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            [],
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
            "spec: Invalid value: 0: spec in body should have at least 1 items",
        ),
        (
            [],
            {"x-kubernetes-int-or-string": True},
            'spec: Invalid value: "array": spec in body must be of type integer,string: "array"',
        ),
        (
            "yesterday",
            {"type": "string", "format": "date-time"},
            'spec: Invalid value: "yesterday": spec in body must be of type date-time: "yesterday"',
        ),
        (
            [{"k": "a"}, {"k": "a"}],
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            },
            'spec[1]: Duplicate value: {"k":"a"}',
        ),
        (
            ["a", "a"],
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            'spec[1]: Duplicate value: "a"',
        ),
    ],
)
def test_what_does_not_fit_is_named_as_the_server_names_it(value, schema, expected):
    """One finding, word for word."""
    assert texts(value, schema) == [expected]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, {"type": "string", "nullable": True}),
        ("50%", {"x-kubernetes-int-or-string": True}),
        (5, {"x-kubernetes-int-or-string": True}),
        (1.0, {"type": "integer"}),
        (1, {"type": "number"}),
        ("2026-01-01T00:00:00Z", {"type": "string", "format": "date-time"}),
        ("anything", {"type": "string", "format": "unheard-of"}),
        ({"a": {"b": 1}}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ],
)
def test_what_fits_is_accepted(value, schema):
    """No finding."""
    assert texts(value, schema) == []


def test_an_unchanged_value_is_forgiven_on_update():
    """A value that was stored before the schema became stricter may stay as it is."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "enum": ["x"]}, "b": {"type": "integer"}},
    }

    assert texts({"a": "old", "b": 2}, schema, old={"a": "old", "b": 1}) == []
    assert len(texts({"a": "new", "b": 2}, schema, old={"a": "old", "b": 1})) == 1


def test_nobody_fits_any_alternative():
    """anyOf reports that nothing fits, and the nearest alternative's findings."""
    schema = {
        "type": "string",
        "anyOf": [{"enum": ["a"]}, {"pattern": "^b"}],
    }

    assert texts("c", schema) == [
        '<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)',
        'spec: Unsupported value: "c": supported values: "a"',
    ]
