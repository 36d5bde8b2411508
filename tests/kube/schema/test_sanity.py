"""What a structural schema may be."""

import pytest

from kaito.kube.schema.sanity import check_schema, unrecognized_formats


def findings(schema):
    whole = {"type": "object", "properties": {"spec": schema}}
    return [str(error) for error in check_schema(whole, "s")]


@pytest.mark.parametrize(
    ("schema", "finding"),
    [
        ({}, "s.properties[spec].type: Required value: must not be empty for specified"),
        ({"type": "array"}, "s.properties[spec].items: Required value: must be specified"),
        ({"type": "string", "default": 5}, "s.properties[spec].default: Invalid value"),
        ({"type": "object", "$ref": "x"}, "s.properties[spec].$ref: Forbidden: $ref is not"),
        (
            {"type": "object", "anyOf": [{"type": "string"}]},
            "s.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}},
            "s.properties[spec].x-kubernetes-list-map-keys: Required value: must not be empty",
        ),
        (
            {"type": "integer", "x-kubernetes-validations": [{"rule": "self >"}]},
            "s.properties[spec].x-kubernetes-validations[0].rule: Invalid value",
        ),
        (
            {"type": "object", "default": {"x": 1}, "properties": {"a": {"type": "string"}}},
            's.properties[spec].default: Invalid value: {"x":1}: must not have unknown fields',
        ),
    ],
)
def test_what_is_not_structural_is_named(schema, finding):
    """Path and words of the real server."""
    (found,) = findings(schema)

    assert found.startswith(finding)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]},
        {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"x-kubernetes-preserve-unknown-fields": True},
        {"type": "string", "default": "a", "enum": ["a", "b"]},
    ],
)
def test_what_is_structural_is_accepted(schema):
    """No finding."""
    assert findings(schema) == []


def test_formats_that_mean_nothing_are_found():
    """The server warns about them."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "nope"}}}

    assert unrecognized_formats(schema) == ["nope"]
    assert unrecognized_formats({"type": "string", "format": "date-time"}) == []
