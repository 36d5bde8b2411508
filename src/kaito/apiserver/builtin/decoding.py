"""Reading a built-in object as the Go types of a real server would.

Unknown fields go and are reported, wrong types are refused, nulls and zeros that would not be
printed again go silently, quantities and times take their canonical form.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC
from typing import Any, Final

from kaito.apiserver.builtin.cleaning import Odd, clean
from kaito.apiserver.builtin.library import INT_OR_STRING, MICRO_TIME, QUANTITY, TIME
from kaito.apiserver.builtin.zeros import zero
from kaito.kube import quantity
from kaito.kube.clock import parse_rfc3339, rfc3339, rfc3339_micro
from kaito.kube.objects import Json
from kaito.kube.schema.objectmeta import go_kind
from kaito.kube.schema.structural import Schema, join

_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n")

ABSENT: Final[Any] = object()


class Unreadable(Exception):
    """The value does not fit its Go type. The message is the decoder's."""


class _Place:
    """Where decoding stands: the JSON path, the Go struct and the path that Go's errors name."""

    __slots__ = ("field", "path", "struct")

    def __init__(self, path: str, struct: str, field: str) -> None:
        self.path = path
        self.struct = struct
        self.field = field

    def of(self, schema: Schema, name: str) -> "_Place":
        struct = schema.name.rpartition(".")[2]
        return _Place(join(self.path, name), struct, join(self.field, name))

    def at(self, index: int) -> "_Place":
        return _Place(f"{self.path}[{index}]", self.struct, self.field)


def decode(obj: Json, schema: Schema) -> list[str]:
    """Clean `obj` in place; what strict decoding complains about. Raises Unreadable."""
    try:
        clean(obj, schema)
    except Odd:
        return _complaints(obj, schema)
    return []


def _complaints(obj: Json, schema: Schema) -> list[str]:
    complaints: list[str] = []
    _object(obj, schema, _Place("", "", ""), complaints)
    return complaints


def _object(obj: Json, schema: Schema, place: _Place, complaints: list[str]) -> None:
    properties = schema.properties
    for name in list(obj):
        child = properties.get(name)
        if child is None:
            if not schema.preserves_unknown:
                complaints.append(f'unknown field "{join(place.path, name)}"')
                del obj[name]
            continue
        value = obj[name]
        if value is not None:
            value = _value(value, child, place.of(schema, name), complaints)
        if value is None or value is ABSENT or _dropped(value, child):
            del obj[name]
        else:
            obj[name] = value


def _dropped(value: Any, schema: Schema) -> bool:
    """A zero that Go leaves out when it prints the object again."""
    if "x-zero" in schema.raw or (isinstance(value, dict) and schema.additional is None):
        return False
    return not value and value is not ABSENT


def _value(value: Any, schema: Schema, place: _Place, complaints: list[str]) -> Any:
    special = _SPECIAL.get(schema.name)
    if special is not None:
        return special(value, place)
    if schema.properties:
        if not isinstance(value, dict):
            raise _mismatch(value, schema, place)
        _object(value, schema, place, complaints)
        return value
    if schema.additional is not None:
        return _map(value, schema, schema.additional, place, complaints)
    if schema.type == "array":
        return _array(value, schema, place, complaints)
    check = _SCALARS.get(schema.type)
    return value if check is None else check(value, schema, place)


def _map(value: Any, schema: Schema, values: Schema, place: _Place, complaints: list[str]) -> Json:
    if not isinstance(value, dict):
        raise _mismatch(value, schema, place)
    for key, item in value.items():
        below = _Place(f"{place.path}.{key}", place.struct, place.field)
        value[key] = zero(values) if item is None else _value(item, values, below, complaints)
        if values.name == QUANTITY:
            value[key] = quantity.in_milli(value[key])
    return value


def _array(value: Any, schema: Schema, place: _Place, complaints: list[str]) -> Any:
    if not isinstance(value, list):
        raise _mismatch(value, schema, place)
    items = schema.items
    if items is not None:
        for index, item in enumerate(value):
            given = {} if item is None and items.properties else item
            if given is not None:
                given = _value(given, items, place.at(index), complaints)
            value[index] = zero(items) if given is None else given
    return value


def _mismatch(value: Any, schema: Schema, place: _Place, shown: str = "") -> Unreadable:
    where = f"{place.struct}.{place.field}" if place.struct else place.field
    return Unreadable(
        f"json: cannot unmarshal {shown or go_kind(value)} into Go struct field {where} "
        f"of type {go_type(schema)}"
    )


def go_type(schema: Schema) -> str:
    """The Go name of a schema's type, as errors show it."""
    if "x-type" in schema.raw:
        return str(schema.raw["x-type"])
    if schema.name:
        *_, version, name = schema.name.split(".")
        return f"{version}.{name}"
    if schema.type == "array" and schema.items is not None:
        return f"[]{go_type(schema.items)}"
    if schema.additional is not None:
        return f"map[string]{go_type(schema.additional)}"
    if schema.type == "integer":
        return str(schema.raw.get("format", "int64"))
    return {"boolean": "bool", "number": "float64"}.get(schema.type, schema.type)


def _quantity(value: Any, place: _Place) -> str:  # noqa: ARG001 - one of the special types
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable(
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    try:
        return quantity.canonical(value)
    except quantity.InvalidQuantity as error:
        raise Unreadable(str(error)) from error


def _int_or_string(value: Any, place: _Place) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        kind = go_kind(value)
        shown = f"number {value}" if kind == "number" else kind
        where = f"{place.struct}.{place.field}"
        raise Unreadable(
            f"json: cannot unmarshal {shown} into Go struct field {where} of type int32"
        )
    return value


def _time(write: Callable[[Any], str]) -> Callable[[Any, _Place], str]:
    def read(value: Any, place: _Place) -> str:
        if not isinstance(value, str):
            where = f"{place.struct}.{place.field}"
            raise Unreadable(
                f"json: cannot unmarshal {go_kind(value)} into Go struct field {where} "
                "of type string"
            )
        try:
            return write(parse_rfc3339(value).astimezone(UTC))
        except ValueError as error:
            raise Unreadable(
                f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" '
                'as "2006"'
            ) from error

    return read


_SPECIAL: Final[dict[str, Callable[[Any, _Place], Any]]] = {
    QUANTITY: _quantity,
    INT_OR_STRING: _int_or_string,
    TIME: _time(rfc3339),
    MICRO_TIME: _time(rfc3339_micro),
}


def _strange(text: str) -> int:
    """Where Go stops reading base64: at what is none, or at the group that is not whole."""
    found = (index for index, char in enumerate(text) if char not in _BASE64)
    return next(found, len(text) // 4 * 4)


def _string(value: Any, schema: Schema, place: _Place) -> str:
    if not isinstance(value, str):
        raise _mismatch(value, schema, place)
    if schema.raw.get("format") == "byte":
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            at = _strange(value)
            raise Unreadable(f"illegal base64 data at input byte {at}") from error
    return value


def _integer(value: Any, schema: Schema, place: _Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, schema, place)
    bits = 31 if schema.raw.get("format") == "int32" else 63
    if isinstance(value, float) or not -(1 << bits) <= value < 1 << bits:
        raise _mismatch(value, schema, place, f"number {value}")
    return value


def _number(value: Any, schema: Schema, place: _Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, schema, place)
    return value


def _boolean(value: Any, schema: Schema, place: _Place) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value, schema, place)
    return value


_SCALARS: Final[dict[str, Callable[[Any, Schema, _Place], Any]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}
