"""CEL rules."""

import pytest

from kaito.kube.schema import cel
from kaito.kube.schema.expressions import Expressions
from kaito.kube.schema.structural import Schema
from kaito.kube.schema.validation import validate


def with_rules(*rules: dict, **schema: object) -> Schema:
    """An object whose `spec` carries the rules."""
    spec = {"x-kubernetes-validations": list(rules), **schema}
    return Schema({"type": "object", "properties": {"spec": spec}})


REQUIREMENTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "key": {"type": "string"},
            "operator": {"type": "string"},
            "values": {"type": "array", "items": {"type": "string"}},
            "minValues": {"type": "integer"},
        },
    },
}


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            "self.all(x, x.operator == 'In' ? x.values.size() != 0 : true)",
            [{"operator": "In", "values": ["a"]}, {"operator": "Exists"}],
            [{"operator": "In", "values": []}],
        ),
        (
            (
                "self.all(x, (x.operator == 'Gt' || x.operator == 'Lt') ? "
                "(x.values.size() == 1 && int(x.values[0]) >= 0) : true)"
            ),
            [{"operator": "Gt", "values": ["3"]}],
            [{"operator": "Gt", "values": ["3", "4"]}],
        ),
        (
            (
                "self.all(x, (x.operator == 'In' && has(x.minValues)) ? "
                "x.values.size() >= x.minValues : true)"
            ),
            [{"operator": "In", "values": ["3", "4"], "minValues": 2}, {"operator": "In"}],
            [{"operator": "In", "values": ["3"], "minValues": 2}],
        ),
        (
            (
                "self.all(x, x.key in ['kubernetes.io/os'] || "
                "!x.key.find('^([^/]+)').endsWith('kubernetes.io'))"
            ),
            [{"key": "kubernetes.io/os"}, {"key": "mine.io/x"}],
            [{"key": "foo.kubernetes.io/x"}],
        ),
        (
            "self.exists(r, r.key == 'prefill') && self.exists(r, r.key == 'decode')",
            [{"key": "prefill"}, {"key": "decode"}],
            [{"key": "prefill"}],
        ),
    ],
)
def test_rules_of_known_definitions_work(rule, good, bad):
    """The rules of NodeClaim and of the multi-role kinds accept and refuse what they should."""
    schema = with_rules({"rule": rule, "message": "no"}, **REQUIREMENTS)

    assert validate({"spec": good}, schema) == []
    assert [str(error) for error in validate({"spec": bad}, schema)] == ["spec: Invalid value: no"]


def test_a_transition_rule_needs_an_old_value():
    """A rule that mentions oldSelf is not run on a create, and holds on an update."""
    schema = with_rules(
        {"rule": "self == oldSelf", "message": "spec is immutable"},
        type="object",
        properties={"a": {"type": "integer"}},
    )

    assert validate({"spec": {"a": 1}}, schema) == []
    assert validate({"spec": {"a": 1}}, schema, old={"spec": {"a": 1}}) == []
    (error,) = validate({"spec": {"a": 2}}, schema, old={"spec": {"a": 1}})
    assert str(error) == "spec: Invalid value: spec is immutable"


def test_a_scalar_shows_its_value_and_the_rule_speaks_for_itself():
    """Without a message the rule is shown; a scalar's value is shown, an object's is not."""
    schema = with_rules({"rule": "self > 3"}, type="integer")

    assert [str(error) for error in validate({"spec": 1}, schema)] == [
        "spec: Invalid value: 1: failed rule: self > 3"
    ]


def test_a_message_expression_wins():
    """messageExpression is evaluated; where it fails, the message stands in."""
    schema = with_rules(
        {"rule": "self > 3", "messageExpression": "'is ' + string(self)", "message": "small"},
        {"rule": "self > 4", "messageExpression": "string(self.nope)", "message": "small"},
        type="integer",
    )

    assert [error.detail for error in validate({"spec": 1}, schema)] == ["is 1", "small"]


def test_reason_and_field_path_are_used():
    """`reason` and `fieldPath` of a rule show in the finding."""
    rule = {
        "rule": "has(self.a)",
        "message": "a please",
        "reason": "FieldValueRequired",
        "fieldPath": ".a",
    }
    schema = with_rules(rule, type="object", properties={"a": {"type": "integer"}})

    assert [str(error) for error in validate({"spec": {}}, schema)] == [
        "spec.a: Required value: a please"
    ]


def test_rules_wait_until_the_object_is_valid():
    """When the shape is wrong, rules are not run, and the answer says so."""
    schema = with_rules({"rule": "self > 3"}, type="integer")

    assert [str(error) for error in validate({"spec": "x"}, schema)][1] == (
        "<nil>: Invalid value: null: some validation rules were not checked because the object was "
        "invalid; correct the existing errors to complete validation"
    )


def test_a_rule_that_does_not_parse_is_found():
    """The sanity check of a definition can tell why a rule is not CEL."""
    assert cel.compile_error("self ==") is not None
    assert cel.compile_error("self == 1") is None


@pytest.mark.parametrize("value", [{}, {"a": "b"}, "x", 0, [1], True])
def test_nothing_but_null_is_null(value):
    """`!=` is the opposite of `==`, whatever stands there: `oldObject != null` is what most rules
    of admission begin with."""
    evaluate = Expressions({"value": value, "nothing": None}).evaluate
    assert evaluate("value != null")
    assert evaluate("null != value")
    assert not evaluate("value == null")
    assert not evaluate("nothing != null")
