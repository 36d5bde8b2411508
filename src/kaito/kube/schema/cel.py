"""CEL rules of a structural schema (`x-kubernetes-validations`), run by cel-python.

This module is imported late and on purpose only where a schema carries rules: the CEL library takes
a tenth of a second to import. Every distinct rule is compiled once.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError

from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.cel_checker import Verdict, judge, located
from kaito.kube.schema.cel_functions import FUNCTIONS
from kaito.kube.schema.cel_types import ERROR, Type
from kaito.kube.schema.fields import MISSING, FieldError
from kaito.kube.schema.structural import Schema, join

_REASONS = {
    fields.FORBIDDEN: fields.forbidden,
    fields.REQUIRED: fields.required,
}
# The identifiers that CEL reserves; a field of such a name is written `__name__` in a rule.
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "if"),
        *("function", "import", "let", "loop", "package", "namespace", "return", "var", "void"),
        "while",
    )
)
_HOLD_WHEN_EQUAL = frozenset({"self == oldSelf", "oldSelf == self"})
"""The commonest of all transition rules need no evaluation where nothing changed."""
_HELD: set[tuple[Schema, str, str, str]] = set()
"""Rules that held for a value: a rule depends on nothing else, and values come again and again."""
_CASES_REMEMBERED = 4096
_MOST_REMEMBERED = 2048
"""Characters of a value beyond which it is hardly the same as another."""
_OLD = re.compile(r"""(?:'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")|\boldSelf\b""")


def check(obj: Any, schema: Schema, *, old: Any, path: str = "") -> list[FieldError]:
    """Run every rule at and below `schema`. `old` is `fields.MISSING` on a create."""
    return list(_walk(obj, schema, path, old))


def compile_error(rule: str) -> str | None:
    """Why an expression does not parse, or None."""
    try:
        program(rule)
    except CELParseError as error:
        return " ".join(str(error.args[0]).split())
    return None


def verdict(text: str, names: Mapping[str, Type]) -> Verdict:
    """Whether an expression parses, and fits the types that are declared for `names`."""
    try:
        tree = _environment().compile(text)
    except CELParseError as error:
        lines = text.split("\n")[: (error.line or 1) - 1]
        at = sum(len(line) + 1 for line in lines) + (error.column or 1) - 1
        return Verdict(located(text, at, "Syntax error: this is not expected here"), ERROR)
    return judge(text, tree, names)


def _walk(value: Any, schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    if value is None or not schema.carries_rules:
        return
    if old == value and not _has_transitions(schema):
        return  # an unchanged value is not judged anew
    for rule in schema.rules:
        yield from _apply(rule, value, schema, path, old)
    for branch in schema.alternatives.get("allOf", ()):
        yield from _walk(value, branch, path, old)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, item in value.items():
            child = schema.of_field(name)
            if child is not None:
                mapped = name not in schema.properties
                where = f"{path}[{name}]" if mapped else join(path, name)
                yield from _walk(item, child, where, before.get(name, MISSING))
    elif isinstance(value, list) and schema.items is not None:
        counterpart = _counterparts(old, schema)
        for index, item in enumerate(value):
            before = counterpart.get(_key(item, schema), MISSING)
            yield from _walk(item, schema.items, f"{path}[{index}]", before)


def _counterparts(old: Any, schema: Schema) -> dict[str, Any]:
    if not isinstance(old, list) or schema.list_type != "map":
        return {}
    return {_key(item, schema): item for item in old}


def _key(item: Any, schema: Schema) -> str:
    if not isinstance(item, dict):
        return ""
    return fields.compact([item.get(key) for key in schema.list_map_keys])


def _apply(rule: Json, value: Any, schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    text = rule["rule"]
    transition = mentions_old(text)
    known = old is not MISSING and old is not None
    if transition and not known:
        return
    if known and old == value and (not transition or text in _HOLD_WHEN_EQUAL):
        return
    case = (schema, text, fields.compact(value), fields.compact(old) if transition else "")
    if case in _HELD:
        return
    names = {"self": to_cel(value, schema)}
    if known:
        names["oldSelf"] = to_cel(old, schema)
    try:
        outcome = program(text).evaluate(names)
    except CELEvalError as error:
        detail = f"{_reason(error)} evaluating rule: {rule.get('message') or text}"
        yield fields.invalid(path, schema.type, detail)
        return
    if not outcome:
        yield _finding(rule, value, schema, path, names)
    elif len(case[2]) + len(case[3]) <= _MOST_REMEMBERED:
        _remember(case)


def _remember(case: tuple[Schema, str, str, str]) -> None:
    if len(_HELD) >= _CASES_REMEMBERED:
        _HELD.clear()
    _HELD.add(case)


def _finding(
    rule: Json, value: Any, schema: Schema, path: str, names: dict[str, Any]
) -> FieldError:
    where = f"{path}{rule['fieldPath']}" if rule.get("fieldPath") else path
    where = where.removeprefix(".")
    detail = _message(rule, names)
    shown = fields.OMITTED if schema.type in ("object", "array") else value
    reason = rule.get("reason", fields.INVALID)
    if reason in _REASONS:
        return _REASONS[reason](where, detail)
    if reason == fields.DUPLICATE:
        return fields.duplicate(where, shown)
    return fields.invalid(where, shown, detail)


def _message(rule: Json, names: dict[str, Any]) -> str:
    if rule.get("messageExpression"):
        try:
            text = str(program(rule["messageExpression"]).evaluate(names)).strip()
        except CELEvalError:
            text = ""
        if text and "\n" not in text:
            return text
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()


def _reason(error: CELEvalError) -> str:
    return str(error.args[0]) if error.args else "evaluation failed"


def _has_transitions(schema: Schema) -> bool:
    """Whether a rule at or below the schema may fail although its value did not change."""
    known = _TRANSITIONS.get(schema)
    if known is None:
        known = _find_transitions(schema)
        _TRANSITIONS[schema] = known
    return known


_TRANSITIONS: WeakKeyDictionary[Schema, bool] = WeakKeyDictionary()


def _find_transitions(schema: Schema) -> bool:
    if not schema.carries_rules:
        return False
    rules = [rule["rule"] for rule in schema.rules]
    if any(mentions_old(rule) and rule not in _HOLD_WHEN_EQUAL for rule in rules):
        return True
    below = [*schema.properties.values(), schema.additional, schema.items]
    below += schema.alternatives.get("allOf", ())
    return any(_has_transitions(child) for child in below if child is not None)


@functools.lru_cache(maxsize=1024)
def mentions_old(rule: str) -> bool:
    """Whether a rule is about a transition."""
    return any(found == "oldSelf" for found in _OLD.findall(rule))


@functools.lru_cache(maxsize=1024)
def program(rule: str) -> celpy.Runner:
    """The compiled form of an expression. Raises CELParseError."""
    environment = _environment()
    return environment.program(environment.compile(rule), functions=FUNCTIONS)


@functools.cache
def _environment() -> celpy.Environment:
    return celpy.Environment(runner_class=celpy.InterpretedRunner)


def to_cel(value: Any, schema: Schema | None) -> Any:
    """A JSON value as the CEL value of the type that its schema declares."""
    if isinstance(value, dict):
        return _to_map(value, schema)
    if isinstance(value, list):
        items = schema.items if schema is not None else None
        return celtypes.ListType([to_cel(item, items) for item in value])
    if schema is not None and isinstance(value, str):
        return _to_text(value, schema.raw.get("format", "").replace("-", ""))
    if schema is not None and schema.type == "number" and isinstance(value, int):
        return celtypes.DoubleType(value)
    return json_to_cel(value)


def _to_map(value: Json, schema: Schema | None) -> celtypes.MapType:
    properties = schema.properties if schema is not None else {}
    return celtypes.MapType(
        {
            celtypes.StringType(escaped(name) if name in properties else name): to_cel(
                item, schema.of_field(name) if schema is not None else None
            )
            for name, item in value.items()
        }
    )


def _to_text(value: str, format_: str) -> Any:
    if format_ == "datetime":
        return celtypes.TimestampType(value)
    if format_ == "date":
        return celtypes.TimestampType(f"{value}T00:00:00Z")
    if format_ == "duration":
        return celtypes.DurationType(value)
    return celtypes.StringType(value)


@functools.lru_cache(maxsize=4096)
def escaped(name: str) -> str:
    """A field's name as a rule writes it."""
    if name in _RESERVED:
        return f"__{name}__"
    for found, written in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__")):
        name = name.replace(found, written)
    return name.replace("/", "__slash__")
