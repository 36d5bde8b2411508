"""Is this a structural schema? What a CustomResourceDefinition may carry, in the server's words.

Not judged: the estimated cost of CEL rules, which only the real compiler knows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

from kaito.kube.objects import Json
from kaito.kube.schema import fields, formats
from kaito.kube.schema.fields import FieldError
from kaito.kube.schema.structural import Schema, prune
from kaito.kube.schema.validation import validate

Findings = Iterator[FieldError]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = (fields.DUPLICATE, fields.FORBIDDEN, fields.INVALID, fields.REQUIRED)
_UNSUPPORTED = ("$ref", "id", "definitions", "patternProperties", "dependencies", "additionalItems")
_LIST_TYPES = ("atomic", "set", "map")
_EMBEDDED = "x-kubernetes-embedded-resource"
_FREE = "x-kubernetes-preserve-unknown-fields"
_EITHER = "x-kubernetes-int-or-string"
_LIST_TYPE = "x-kubernetes-list-type"
_KEYS = "x-kubernetes-list-map-keys"
_MAP_TYPE = "x-kubernetes-map-type"
_RULES = "x-kubernetes-validations"
_INSTEAD_OF_TYPE = ("type", _EITHER, _FREE, "$ref")
# What the branches of anyOf, allOf, oneOf and not may not say, and what they should be.
_NOT_IN_BRANCHES = {
    "type": "must be empty to be structural",
    "description": "must be empty to be structural",
    "title": "must be empty to be structural",
    "default": "must be undefined to be structural",
    "nullable": "must be false to be structural",
    "additionalProperties": "must be undefined to be structural",
    _FREE: "must be false to be structural",
    _EMBEDDED: "must be false to be structural",
    _EITHER: "must be false to be structural",
    _LIST_TYPE: "must be undefined to be structural",
    _KEYS: "must be empty to be structural",
    _MAP_TYPE: "must be undefined to be structural",
}


def check_schema(raw: Json, path: str) -> list[FieldError]:
    """Findings about a whole `openAPIV3Schema`."""
    found = list(_root(raw, path))
    found += _node(raw, path, Where(root=True))
    return found


def unrecognized_formats(raw: Any) -> list[str]:
    """Formats that constrain nothing here; the server warns about them."""
    if isinstance(raw, list):
        return [name for item in raw for name in unrecognized_formats(item)]
    if not isinstance(raw, dict):
        return []
    found = []
    name = raw.get("format")
    if isinstance(name, str) and name and not formats.known(raw.get("type", ""), name):
        found.append(name)
    return found + [name for value in raw.values() for name in unrecognized_formats(value)]


def _root(raw: Json, path: str) -> Findings:
    if not raw.get("type"):
        yield fields.required(f"{path}.type", "must not be empty at the root")
    elif raw["type"] != "object":
        yield fields.invalid(f"{path}.type", raw["type"], "must be object at the root")
    metadata = (raw.get("properties") or {}).get("metadata") or {}
    known = {"name", "generateName"}
    if (
        set(metadata) - {"type", "properties", "description"}
        or set(metadata.get("properties") or {}) - known
    ):
        yield fields.forbidden(
            f"{path}.properties[metadata]",
            "must not specify anything other than name and generateName, "
            "but metadata is implicitly specified",
        )


@final
@dataclass(frozen=True, slots=True)
class Where:
    """Where a node stands."""

    place: str = ""
    root: bool = False
    uncorrelated: str = ""
    """The list above whose items cannot be told from those that they were."""

    defaults: bool = True
    """They are judged: not below `additionalProperties`, as on the real server."""

    def at(self, place: str) -> "Where":
        """A node below."""
        return replace(self, place=place, root=False)


def _node(raw: Json, path: str, where: Where) -> Findings:
    for check in _CHECKS:
        yield from check(raw, path)
    if where.defaults:
        yield from _default(raw, path)
    yield from _rules(raw, path, where)
    if not where.root and not any(raw.get(word) for word in _INSTEAD_OF_TYPE):
        yield fields.required(f"{path}.type", f"must not be empty for specified {where.place}")
    for name, child in (raw.get("properties") or {}).items():
        if not (where.root and name == "metadata"):
            yield from _node(child, f"{path}.properties[{name}]", where.at("object fields"))
    extra, items = raw.get("additionalProperties"), raw.get("items")
    if isinstance(extra, dict):
        below = replace(where.at("object fields"), defaults=False)
        yield from _node(extra, f"{path}.additionalProperties", below)
    if isinstance(items, dict):
        lost = "" if raw.get(_LIST_TYPE) == "map" else path
        below = replace(where.at("array items"), uncorrelated=where.uncorrelated or lost)
        yield from _node(items, f"{path}.items", below)


def _words(raw: Json, path: str) -> Findings:
    for word in _UNSUPPORTED:
        if raw.get(word):
            yield fields.forbidden(f"{path}.{word}", f"{word} is not supported")
    if raw.get("type") and raw["type"] not in _TYPES:
        yield fields.not_supported(f"{path}.type", raw["type"], _TYPES)
    if raw.get("pattern"):
        try:
            formats.pattern(raw["pattern"])
        except ValueError as error:
            why = f"must be a valid regular expression, but isn't: {error}"
            yield fields.invalid(f"{path}.pattern", raw["pattern"], why)
    if raw.get("uniqueItems"):
        yield fields.forbidden(
            f"{path}.uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        )


def _shape(raw: Json, path: str) -> Findings:
    extra = raw.get("additionalProperties")
    if isinstance(extra, dict) and raw.get("properties"):
        yield fields.forbidden(
            f"{path}.additionalProperties",
            "additionalProperties and properties are mutual exclusive",
        )
    if raw.get("type") == "array" and not isinstance(raw.get("items"), dict):
        yield fields.required(f"{path}.items", "must be specified")
    if raw.get(_FREE) is False:
        yield fields.invalid(f"{path}.{_FREE}", False, "must be true or undefined")
    if raw.get(_EMBEDDED) and not raw.get("properties") and not raw.get(_FREE):
        yield fields.required(
            f"{path}.properties", f"must not be empty if {_EMBEDDED} is true without {_FREE}"
        )


def _lists(raw: Json, path: str) -> Findings:
    kind, keys = raw.get(_LIST_TYPE), raw.get(_KEYS) or []
    if kind is not None and raw.get("type") != "array":
        why = f"must be array if {_LIST_TYPE} is specified"
        yield fields.invalid(f"{path}.type", raw.get("type", ""), why)
    elif kind is not None and kind not in _LIST_TYPES:
        yield fields.not_supported(f"{path}.{_LIST_TYPE}", kind, _LIST_TYPES)
    elif kind == "map":
        yield from _keys(raw, keys, path)
    elif keys:
        why = f"must be map if {_KEYS} is non-empty"
        yield fields.required(f"{path}.{_LIST_TYPE}", why)
    if kind == "set":
        yield from _set_items(raw.get("items") or {}, f"{path}.items")
    if raw.get(_MAP_TYPE) is not None and raw.get("type") != "object":
        why = f"must be object if {_MAP_TYPE} is specified"
        yield fields.invalid(f"{path}.type", raw.get("type", ""), why)


def _keys(raw: Json, keys: list[str], path: str) -> Findings:
    where = f"{path}.{_KEYS}"
    if not keys:
        yield fields.required(where, f"must not be empty if {_LIST_TYPE} is map")
    if len(set(keys)) < len(keys):
        yield fields.invalid(where, keys, "must not contain duplicate entries")
    items = raw.get("items") or {}
    properties = items.get("properties") or {}
    if any(key not in properties for key in keys):
        yield fields.invalid(where, keys, "entries must all be names of item properties")
        return
    for key in dict.fromkeys(keys):
        if key not in (items.get("required") or ()) and properties[key].get("default") is None:
            yield fields.required(
                f"{path}.items.properties[{key}].default",
                f"this property is in {_KEYS}, so it must have a default or be a required property",
            )


def _set_items(items: Json, path: str) -> Findings:
    tail = f"must be atomic as item of a list with {_LIST_TYPE}=set"
    if items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
        yield fields.invalid(f"{path}.{_MAP_TYPE}", items.get(_MAP_TYPE), tail)
    if items.get("type") == "array" and items.get(_LIST_TYPE, "atomic") != "atomic":
        yield fields.invalid(f"{path}.{_LIST_TYPE}", items.get(_LIST_TYPE), tail)


def _default(raw: Json, path: str) -> Findings:
    value = raw.get("default")
    if value is None:
        return
    where = f"{path}.default"
    schema = Schema({word: said for word, said in raw.items() if word != _RULES})
    if isinstance(value, dict | list):
        kept: Json = {"value": value}
        holder = Schema({"properties": {"value": schema.raw}})
        copied: Json = _copy(kept)
        if prune(copied, holder, root=False):
            yield fields.invalid(where, value, "must not have unknown fields")
            return
    for error in validate(value, schema):
        yield FieldError(f"{where}{error.path}", error.reason, error.detail, error.value)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _branches(raw: Json, path: str, *, first_of_either: bool = False) -> Findings:
    """`first_of_either`: the branch that may spell out, in `anyOf`, both types of an int-or-string
    that has other branches too."""
    either = raw.get(_EITHER) or first_of_either
    for word in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(raw.get(word) or ()):
            first = bool(either) and word == "allOf" and index == 0
            typed = bool(either) and word == "anyOf"
            where = f"{path}.{word}[{index}]"
            yield from _branch(branch, where, typed=typed, first_of_either=first)
    if raw.get("not"):
        yield from _branch(raw["not"], f"{path}.not")


def _branch(
    raw: Json, path: str, *, typed: bool = False, first_of_either: bool = False
) -> Findings:
    either = typed and set(raw) == {"type"}
    for word, why in _NOT_IN_BRANCHES.items():
        if raw.get(word) not in (None, "", False) and not (word == "type" and either):
            yield fields.forbidden(f"{path}.{word}", why)
    for name, child in (raw.get("properties") or {}).items():
        yield from _branch(child, f"{path}.properties[{name}]")
    if isinstance(raw.get("items"), dict):
        yield from _branch(raw["items"], f"{path}.items")
    yield from _branches(raw, path, first_of_either=first_of_either)


def _rules(raw: Json, path: str, where: Where) -> Findings:
    for index, rule in enumerate(raw.get(_RULES) or ()):
        yield from _rule(rule, raw, f"{path}.{_RULES}[{index}]", where)


def _rule(rule: Json, raw: Json, path: str, where: Where) -> Findings:
    if not (rule.get("rule") or "").strip():
        yield fields.required(f"{path}.rule", "rule is not specified")
        return
    found = list(_words_of_rule(rule, raw, path))
    yield from found
    if found:
        return  # the real server compiles only what is sound so far
    from kaito.kube.schema import cel, cel_rules  # late: the CEL library takes long to import

    yield from cel_rules.findings(rule, raw, path, root=where.root)
    if where.uncorrelated and cel.mentions_old(rule["rule"]):
        why = "oldSelf cannot be used on the uncorrelatable portion of the schema within"
        yield fields.invalid(f"{path}.rule", rule["rule"], f"{why} {where.uncorrelated}")


def _words_of_rule(rule: Json, raw: Json, path: str) -> Findings:
    message = rule.get("message") or ""
    if "\n" in message:
        yield fields.invalid(f"{path}.message", message, "must not contain line breaks")
    if "\n" in rule["rule"] and not message:
        why = "message must be specified if rule contains line breaks"
        yield fields.required(f"{path}.message", why)
    expression = rule.get("messageExpression")
    if expression and not expression.strip():
        why = "messageExpression must be non-empty if specified"
        yield fields.required(f"{path}.messageExpression", why)
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        yield fields.not_supported(f"{path}.reason", reason, _REASONS)
    where = rule.get("fieldPath")
    if where and not _leads_somewhere(where, Schema(raw)):
        yield fields.invalid(f"{path}.fieldPath", where, "must be a valid path")


def _leads_somewhere(path: str, schema: Schema) -> bool:
    steps = path.replace("['", ".").replace("']", "").lstrip(".").split(".")
    return schema.at(*steps) is not None


_CHECKS: tuple[Callable[[Json, str], Findings], ...] = (
    _words,
    _shape,
    _lists,
    _branches,
)
