"""Rules are compiled when a definition is stored: a typo is refused then, not when it is met."""

import pytest

from kaito.kube.schema import sanity

FIELDS = {
    "count": {"type": "integer"},
    "name": {"type": "string", "maxLength": 5},
    "tags": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 5}},
    "sizes": {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "integer"}},
    "either": {"x-kubernetes-int-or-string": True},
    "since": {"type": "string", "format": "date-time"},
    "a-b": {"type": "integer"},
    "free": {"x-kubernetes-preserve-unknown-fields": True},
}


def complaints(rule):
    schema = {"type": "object", "properties": FIELDS, "x-kubernetes-validations": [rule]}
    return [str(error) for error in sanity.check_schema(schema, "schema")]


@pytest.mark.parametrize(
    "text",
    [
        "self.count > 1 && self.metadata.name != ''",
        "self.count < 1.5",
        "self.tags.all(t, t.size() > 1) || 'a' in self.sizes",
        "self.either == 1 || self.either == 'a'",
        "self.since > timestamp('2020-01-01T00:00:00Z')",
        "self.a__dash__b == oldSelf.a__dash__b",
        "self.tags.map(t, size(t)).sum() == (has(self.name) ? 1 : 2)",
        "true || (self.either == null)",
    ],
)
def test_a_sound_rule_is_taken(text):
    """Fields of every type, the object's own metadata, macros and what Kubernetes adds."""
    assert complaints({"rule": text}) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("self.cuont > 1", "1:5: undefined field 'cuont'"),
        ("self.free == 1", "1:5: undefined field 'free'"),
        ("slef.count > 1", "1:1: undeclared reference to 'slef' (in container '')"),
        ("self.name.length() > 1", "1:17: undeclared reference to 'length' (in container '')"),
        (
            "self.count > '1'",
            "1:12: found no matching overload for '_>_' applied to '(int, string)'",
        ),
        ("self.tags.all(t, t)", "1:18: expected type 'bool' but found 'string'"),
        ("self.count.all(t, true)", "1:5: expression of type 'int' cannot be range of a compre"),
        ("self.name.matches('[')", "1:19: invalid matches argument"),
        ("true && self.zz", "1:13: undefined field 'zz'"),
        ("has(self)", "1:5: invalid argument to has() macro"),
        ("self.count ==", "Syntax error: "),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(text, why):
    """The place and the reason are told as the real compiler tells them."""
    (told,) = complaints({"rule": text})
    assert f"compilation failed: ERROR: <input>:{why}" in told or f": {why}" in told
    assert told.startswith("schema.x-kubernetes-validations[0].rule: ")


def test_a_rule_is_true_or_false_and_its_message_a_text():
    """Anything else is refused, of unknown type too."""
    (told,) = complaints({"rule": "self.either"})
    assert told.endswith("cel expression must evaluate to a bool")
    (told,) = complaints({"rule": "true", "messageExpression": "self.count"})
    assert told.endswith("messageExpression must evaluate to a string")


def test_what_an_item_was_is_unknown_in_a_list_without_keys():
    """A transition rule there could never be applied."""
    items = {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    listed = {"type": "array", "items": items}
    found = sanity.check_schema({"type": "object", "properties": {"l": listed}}, "schema")
    assert ["uncorrelatable portion" in str(error) for error in found] == [True]
