"""Does a value fit its schema? Findings in the API server's own words and order.

Each check is one small function; together they do what the server's schema validator does for
custom resources: type, alternatives, string, number, list, enum, object. On an update, findings
about a value that did not change are forgiven ("ratcheting").
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from kaito.kube.objects import Json
from kaito.kube.schema import fields, formats
from kaito.kube.schema.fields import MISSING, FieldError
from kaito.kube.schema.gofloat import go_float
from kaito.kube.schema.structural import Schema, join

_BLOCKING = frozenset(
    {fields.NOT_SUPPORTED, fields.REQUIRED, fields.TOO_LONG, fields.TOO_MANY, fields.TYPE_INVALID}
)
UNCHECKED_RULES = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def validate(
    obj: Any, schema: Schema, *, old: Any = MISSING, path: str = "", part: str = ""
) -> list[FieldError]:
    """Every finding about `obj`; none means that it fits.

    `old` is the stored object on an update; `part` names the one field that it may have changed
    (`status`). CEL rules run only when nothing worse was found, and the last finding says so when
    they did not.
    """
    found = list(_part(obj, schema, part, old) if part else _check(obj, schema, path, old))
    found += _embedded(obj, schema, path)
    if old is MISSING or not list(_lists(old, schema, path)):
        found += _lists(obj, schema, path)
    if schema.carries_rules:
        if any(error.reason in _BLOCKING for error in found):
            found.append(fields.invalid("", None, UNCHECKED_RULES))
        else:
            from kaito.kube.schema import cel  # late: the CEL library takes long to import

            found += cel.check(obj, schema, old=old, path=path)
    return found


def _part(obj: Json, schema: Schema, name: str, old: Any) -> Iterator[FieldError]:
    """One field alone; the server then names places in the texts as seen from there."""
    child = schema.of_field(name)
    if name not in obj or child is None:
        return
    before = old.get(name, MISSING) if isinstance(old, dict) else MISSING
    for error in _check(obj[name], child, "", before):
        where = join(name, error.path) if error.path else name
        yield FieldError(where, error.reason, error.detail, error.value)


def _check(value: Any, schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    if old is not MISSING and old == value:
        return
    if value is None:
        if _types(schema) and not schema.nullable:
            yield _type_error(path, ",".join(_types(schema)), "null")
        yield from _enum(value, schema, path)
        return
    yield from _type(value, schema, path)
    if schema.alternatives:
        yield from _alternatives(value, schema, path)
    yield from _CHECKS.get(type(value), _nothing)(value, schema, path)
    if isinstance(value, list):
        yield from _items(value, schema, path, old)
    yield from _enum(value, schema, path)
    if isinstance(value, dict):
        yield from _object(value, schema, path, old)


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.int_or_string:
        return ("integer", "string")
    return (schema.type,) if schema.type else ()


def _type_error(path: str, wanted: str, got: str) -> FieldError:
    detail = f"{path} in body must be of type {wanted}: {fields.quote(got)}"
    return FieldError(path.removeprefix("."), fields.TYPE_INVALID, detail, got)


_JSON_TYPES = {
    bool: ("boolean", ""),
    int: ("integer", "int64"),
    float: ("number", "float64"),
    str: ("string", ""),
    list: ("array", ""),
    dict: ("object", ""),
}


def _type(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    types = _types(schema)
    format_ = formats.known(schema.type, schema.raw.get("format", ""))
    if not types and not format_:
        return
    got, got_format = _JSON_TYPES[type(value)]
    integral = got == "number" and value == int(value) and "integer" in types
    numeric = got == "integer" and "number" in types
    fits = got in types or integral or numeric
    textual = got in ("string", "array")
    if format_ and not textual and not fits:
        yield _type_error(path, format_, got_format)
    elif format_ and textual and not {"number", "integer"} & set(types):
        return  # a formatted string is judged by its format alone
    elif not fits:
        yield _type_error(path, ",".join(types), got)


def _alternatives(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    words = schema.alternatives
    if "anyOf" in words:
        tries = [list(_check(value, one, path, MISSING)) for one in words["anyOf"]]
        if all(tries):
            yield _composite(f"{fields.quote(path)} must validate at least one schema (anyOf)")
            yield from min(tries, key=len)
    if "oneOf" in words:
        yield from _one_of(value, words["oneOf"], path)
    if "allOf" in words:
        tries = [list(_check(value, one, path, MISSING)) for one in words["allOf"]]
        for errors in tries:
            yield from errors
        if any(tries):
            tail = ". None validated" if all(tries) else ""
            yield _composite(f"{fields.quote(path)} must validate all the schemas (allOf){tail}")
    if "not" in words and not list(_check(value, words["not"][0], path, MISSING)):
        yield _composite(f"{fields.quote(path)} must not validate the schema (not)")


def _one_of(value: Any, schemas: tuple[Schema, ...], path: str) -> Iterator[FieldError]:
    tries = [list(_check(value, one, path, MISSING)) for one in schemas]
    valid = sum(not errors for errors in tries)
    if valid == 1:
        return
    found = f"Found {valid} valid alternatives" if valid else "Found none valid"
    yield _composite(f"{fields.quote(path)} must validate one and only one schema (oneOf). {found}")
    if not valid:
        yield from min(tries, key=len)


def _composite(text: str) -> FieldError:
    return fields.invalid("", "", text)


def _bad(path: str, value: Any, text: str) -> FieldError:
    return fields.invalid(path.removeprefix("."), value, f"{path} in body {text}")


def _string(value: str, schema: Schema, path: str) -> Iterator[FieldError]:
    raw = schema.raw
    format_ = formats.known(schema.type, raw.get("format", ""))
    if "maxLength" in raw and len(value) > raw["maxLength"]:
        yield fields.too_long(path, raw["maxLength"])
    elif "minLength" in raw and len(value) < raw["minLength"]:
        yield _bad(path, value, f"should be at least {raw['minLength']} chars long")
    elif raw.get("pattern") and not _pattern(raw["pattern"]).search(value):
        yield _bad(path, value, f"should match '{raw['pattern']}'")
    if format_ and not formats.fits(format_, value):
        detail = f"{path} in body must be of type {format_}: {fields.quote(value)}"
        yield FieldError(path, fields.TYPE_INVALID, detail, value)


@functools.lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return formats.pattern(text)


def _within(value: float, bits: int) -> bool:
    limit = 1 << (bits - 1)
    return -limit <= value < limit


def _number(value: int | float, schema: Schema, path: str) -> Iterator[FieldError]:
    raw = schema.raw
    if schema.type == "integer":
        format_ = formats.known("integer", raw.get("format", ""))
        if value != int(value) or not _within(value, 32 if format_ == "int32" else 64):
            kind = f"with format {format_}" if format_ else "(default format)"
            yield _composite(f"Checked value must be of type integer {kind} in {path}")
    multiple = raw.get("multipleOf")
    if multiple is not None and (value / multiple) % 1:
        yield _bad(path, value, f"should be a multiple of {go_float(multiple)}")
    yield from _bounds(value, raw, path)


def _bounds(value: int | float, raw: Json, path: str) -> Iterator[FieldError]:
    def shown(bound: float) -> str:
        return str(int(bound)) if isinstance(value, int) else go_float(bound)

    low, high = raw.get("minimum"), raw.get("maximum")
    if high is not None and (value > high or (raw.get("exclusiveMaximum") and value == high)):
        word = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        yield _bad(path, value, f"should be {word} {shown(high)}")
    if low is not None and (value < low or (raw.get("exclusiveMinimum") and value == low)):
        word = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        yield _bad(path, value, f"should be {word} {shown(low)}")


def _nothing(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:  # noqa: ARG001 - a check like the others
    return iter(())


_CHECKS: dict[type, Callable[[Any, Schema, str], Iterator[FieldError]]] = {
    str: _string,
    int: _number,
    float: _number,
}


def _enum(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    allowed = schema.raw.get("enum")
    if not allowed:
        return
    if not any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed
    ):
        texts = [one if isinstance(one, str) else fields.compact(one) for one in allowed]
        yield fields.not_supported(path, value, texts)


def _items(value: list[Any], schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    items, raw = schema.items, schema.raw
    if items is not None:
        counterpart = _by_key(old, schema)
        for index, item in enumerate(value):
            yield from _check(item, items, f"{path}[{index}]", counterpart(item))
    if "minItems" in raw and len(value) < raw["minItems"]:
        yield _bad(path, len(value), f"should have at least {raw['minItems']} items")
    if "maxItems" in raw and len(value) > raw["maxItems"]:
        yield fields.too_many(path, len(value), raw["maxItems"])


def _by_key(old: Any, schema: Schema) -> Callable[[Any], Any]:
    """Finds the old counterpart of a list item; only lists with keys have counterparts."""
    if not isinstance(old, list) or schema.list_type != "map":
        return lambda _: MISSING
    known = {_keys(item, schema): item for item in old}
    return lambda item: known.get(_keys(item, schema), MISSING)


def _keys(item: Any, schema: Schema) -> str:
    if not isinstance(item, dict):
        return ""
    return fields.compact([item.get(key) for key in schema.list_map_keys])


def _object(value: Json, schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    raw = schema.raw
    if "minProperties" in raw and len(value) < raw["minProperties"]:
        yield _bad(path, len(value), f"should have at least {raw['minProperties']} properties")
    if "maxProperties" in raw and len(value) > raw["maxProperties"]:
        yield fields.too_many(path, len(value), raw["maxProperties"])
    before = old if isinstance(old, dict) else {}
    for name, item in value.items():
        child = schema.of_field(name)
        if child is not None:
            yield from _check(item, child, join(path, name), before.get(name, MISSING))
    for name in schema.required:
        if name not in value:
            yield fields.required(join(path, name))


def _lists(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    """Duplicates in lists that are sets or maps."""
    if isinstance(value, dict):
        for name, item in value.items():
            child = schema.properties.get(name)
            if child is not None:
                yield from _lists(item, child, join(path, name))
            elif schema.additional is not None:
                yield from _lists(item, schema.additional, f"{path}[{name}]")
    elif isinstance(value, list):
        if schema.list_type in ("set", "map"):
            yield from _duplicates(value, schema, path)
        if schema.items is not None:
            for index, item in enumerate(value):
                yield from _lists(item, schema.items, f"{path}[{index}]")


def _duplicates(value: list[Any], schema: Schema, path: str) -> Iterator[FieldError]:
    as_map = schema.list_type == "map"
    seen: dict[str, int] = {}
    odd = (i for i, one in enumerate(value) if one is not None and not isinstance(one, dict))
    if as_map and (index := next(odd, None)) is not None:
        why = "must be an object for an array of list-type map"
        yield fields.invalid(f"{path}[{index}]", value[index], why)
        return
    for index, item in enumerate(value):
        key = _key_fields(item, schema) if as_map else item
        text = fields.compact(key)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            yield fields.duplicate(f"{path}[{index}]", key)


def _key_fields(item: Any, schema: Schema) -> Json:
    return {key: item[key] for key in schema.list_map_keys if item is not None and key in item}


def _embedded(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    """Embedded resources must say what they are."""
    if isinstance(value, dict):
        if schema.embedded:
            yield from _type_meta(value, path)
        for name, item in value.items():
            child = schema.of_field(name)
            if child is not None and isinstance(item, dict | list):
                yield from _embedded(item, child, join(path, name))
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            yield from _embedded(item, schema.items, f"{path}[{index}]")


def _type_meta(value: Json, path: str) -> Iterator[FieldError]:
    for name in ("apiVersion", "kind"):
        where = join(path, name)
        if name not in value:
            yield fields.required(where)
        elif not isinstance(value[name], str):
            yield fields.invalid(where, value[name], "must be a string")
        elif not value[name]:
            yield fields.invalid(where, "", "must not be empty")
