"""Rules of definitions as a conversation: `rules.txt` has one a line, for one schema with a field
of every type; what is about more than an expression follows here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All"
_SHORT: Json = {"type": "string", "maxLength": 5}
FIELDS: Json = {
    "s": {"type": "string", "maxLength": 10},
    "i": {"type": "integer"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "l": {"type": "array", "maxItems": 5, "items": _SHORT},
    "il": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
    "m": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "integer"}},
    "mo": {
        "type": "object",
        "maxProperties": 2,
        "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
    "o": {"type": "object", "properties": {"a": _SHORT, "in": {"type": "integer"}}},
    "lm": {
        "type": "array",
        "maxItems": 3,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": {
            "type": "object",
            "required": ["k"],
            "properties": {"k": _SHORT, "v": {"type": "integer"}},
        },
    },
    "t": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "d": {"type": "string", "format": "duration"},
    "by": {"type": "string", "format": "byte", "maxLength": 9},
    "e": {"x-kubernetes-int-or-string": True},
    "f": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "free": {"x-kubernetes-preserve-unknown-fields": True},
    "any": {"type": "object", "additionalProperties": True},
    "em": {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    },
    "nu": {"type": "string", "nullable": True, "maxLength": 4},
    "en": {"type": "string", "enum": ["a", "b"]},
    "a-b": {"type": "integer"},
    "c__d": {"type": "integer"},
    "x.y/z": {"type": "integer"},
    "if": {"type": "integer"},
    "1a": {"type": "integer"},
}
_MORE: list[Json] = [
    {"rule": "self.b", "messageExpression": "self.i"},
    {"rule": "self.b", "messageExpression": "self.zz"},
    {"rule": "self.b", "messageExpression": "'a' + oldSelf.s"},
    {"rule": "self.b", "messageExpression": " "},
    {"rule": "self.x", "messageExpression": "self.y", "fieldPath": ".s", "message": "m<>"},
    {"rule": "oldSelf.hasValue() && self.b", "optionalOldSelf": True},
    {"rule": "oldSelf.b", "optionalOldSelf": True},
    {"rule": "self.b", "optionalOldSelf": True},
    {"rule": "self.b &&\n self.b"},
    {"rule": "self.b &&\n self.zz", "message": "a"},
]
_TRANSITION = [{"rule": "self == oldSelf"}]
_ITEM: Json = {**_SHORT, "x-kubernetes-validations": _TRANSITION}
_PLACES: list[Json] = [
    {"l": {"type": "array", "maxItems": 3, "items": _ITEM}},
    {
        "l": {
            "type": "array",
            "maxItems": 3,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": {
                "type": "object",
                "required": ["k"],
                "properties": {"k": _SHORT, "q": {"type": "array", "maxItems": 3, "items": _ITEM}},
                "x-kubernetes-validations": _TRANSITION,
            },
        }
    },
    {"l": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": _ITEM}}},
]
_ROOT = "self.metadata.name == 1 || self.kind == 1 || self.metadata.labels == 1 || self == 1"
_TYPE_NUMBER = re.compile(r"selfType\d+")


def steps() -> Iterator[Json]:
    """One definition for each rule; its name is the same in all, for nothing is stored."""
    rules = (Path(__file__).parent / "rules.txt").read_text().splitlines()
    for rule in [*({"rule": text} for text in rules), *_MORE]:
        yield _step(definition([rule], FIELDS, "$ns"))
    for fields in _PLACES:
        yield _step(definition([], fields, "$ns"))
    rooted = definition([], FIELDS, "$ns")
    schema = rooted["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["x-kubernetes-validations"] = [{"rule": _ROOT}]
    yield _step(rooted)


def _step(body: Json) -> Json:
    return {"POST": PATH, "body": body, "only": ["details.causes"]}


def definition(rules: list[Json], fields: Json, name: str) -> Json:
    """A kind of group `NAME.io` whose `spec` has these fields and rules."""
    spec = {"type": "object", "properties": fields, "x-kubernetes-validations": rules}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "metadata": {"name": f"things.{name}.io"},
        "spec": {
            "group": f"{name}.io",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def unnumbered(text: str) -> str:
    """The real server gives the type of `self` another number each time."""
    return _TYPE_NUMBER.sub("selfType", text)
