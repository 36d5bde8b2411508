"""The rules of a definition, judged when it is stored: do they parse, and fit the schema's types?

Imported late, like `kaito.kube.schema.cel`. Not judged: what a rule may cost at most.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from kaito.kube.objects import Json
from kaito.kube.schema import cel_types as types
from kaito.kube.schema import fields
from kaito.kube.schema.cel import escaped, mentions_old, verdict
from kaito.kube.schema.cel_types import Type
from kaito.kube.schema.fields import FieldError

_WORDS: Final = ("rule", "message", "messageExpression", "reason", "fieldPath", "optionalOldSelf")
_NULLABLE: Final = frozenset({"reason", "optionalOldSelf"})
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMATS: Final = {
    "byte": types.BYTES,
    "date": types.TIMESTAMP,
    "date-time": types.TIMESTAMP,
    "datetime": types.TIMESTAMP,
    "duration": types.DURATION,
}
_PLAIN: Final = {"boolean": types.BOOL, "integer": types.INT, "number": types.DOUBLE}
_SELF: Final = "selfType"
"""The real server's name has a number behind it, another one each time."""
_META: Final = types.object_type(
    f"{_SELF}.metadata", {"name": types.STRING, "generateName": types.STRING}
)
_HEAD: Final = {"apiVersion": types.STRING, "kind": types.STRING, "metadata": _META}


def findings(rule: Json, raw: Json, path: str, *, root: bool) -> Iterator[FieldError]:
    """What is wrong with the expressions of one rule at the schema `raw`.

    `root`: of a whole object, whose metadata rules may look at.
    """
    declared = type_of(raw, _SELF, root=root)
    if declared is None:
        return
    old = types.optional(declared) if rule.get("optionalOldSelf") else declared
    names = {"self": declared, "oldSelf": old}
    shown = fields.Verbatim(_go(rule))
    found = verdict(rule["rule"], names)
    where = f"{path}.rule"
    if found.complaint:
        yield fields.invalid(where, shown, f"compilation failed: {found.complaint}")
    elif found.result != types.BOOL:
        yield fields.invalid(where, shown, "cel expression must evaluate to a bool")
    if not found.complaint and rule.get("messageExpression"):
        yield from _message(rule["messageExpression"], names, f"{path}.messageExpression", shown)
    sound = not found.complaint and found.result == types.BOOL
    if rule.get("optionalOldSelf") is not None and not (sound and mentions_old(rule["rule"])):
        why = "may not be set if oldSelf is not used in rule"
        yield fields.invalid(f"{path}.optionalOldSelf", rule["optionalOldSelf"], why)


def _message(
    text: str, names: dict[str, Type], where: str, shown: fields.Verbatim
) -> Iterator[FieldError]:
    found = verdict(text, names)
    if found.complaint:
        yield fields.invalid(
            where, shown, f"messageExpression compilation failed: {found.complaint}"
        )
    elif found.result != types.STRING:
        yield fields.invalid(where, shown, "messageExpression must evaluate to a string")


def _go(rule: Json) -> str:
    """A rule as Go prints its own structure."""
    parts = []
    for word in _WORDS:
        value: Any = rule.get(word)
        if value is None and word not in _NULLABLE:
            value = ""
        parts.append(f'"{word[0].upper()}{word[1:]}":{fields.compact(value)}')
    return f"{{{','.join(parts)}}}"


def type_of(raw: Json, name: str, *, root: bool = False) -> Type | None:
    """The type that rules see of what a schema describes; None: they do not see it."""
    if raw.get("x-kubernetes-int-or-string"):
        return types.DYN
    match raw.get("type"):
        case "array":
            items = type_of(raw.get("items") or {}, f"{name}.@idx")
            return None if items is None else types.list_of(items)
        case "object":
            return _object(raw, name, root=root)
        case "string":
            return _FORMATS.get(raw.get("format", ""), types.STRING)
        case kind:
            return _PLAIN.get(kind or "")


def _object(raw: Json, name: str, *, root: bool) -> Type | None:
    extra = raw.get("additionalProperties")
    if isinstance(extra, dict):
        values = type_of(extra, f"{name}.@elem")
        return None if values is None else types.map_of(types.STRING, values)
    found = {}
    for field, schema in (raw.get("properties") or {}).items():
        written, declared = escaped(field), type_of(schema, f"{name}.{field}")
        if declared is not None and _IDENTIFIER.fullmatch(written):
            found[written] = declared
    if root or raw.get("x-kubernetes-embedded-resource"):
        found |= _HEAD
    return types.object_type(name, found)
