"""Decoding without a complaint: what nearly every object is.

The same as `decoding`, compiled once per schema and without an eye on paths. It changes nothing
that `decoding` would not change too, so that the first oddity is left to that: `Odd` says no more
than that there is one.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC
from functools import cache, lru_cache
from typing import Any, Final, final

from kaito.apiserver.builtin.library import INT_OR_STRING, MICRO_TIME, QUANTITY, TIME
from kaito.apiserver.builtin.zeros import zero
from kaito.kube import quantity
from kaito.kube.clock import parse_rfc3339, rfc3339, rfc3339_micro
from kaito.kube.objects import Json
from kaito.kube.schema.structural import Schema

_KEPT: Final = 8192
"""Texts of quantities and times whose canonical form is remembered."""


class Odd(Exception):
    """Something does not fit: an unknown field, a wrong type."""


Read = Callable[[Any], Any]
"""The value as it is stored; edits it in place. Raises Odd."""


def clean(obj: Json, schema: Schema) -> None:
    """Clean `obj` in place. Raises Odd; then some of it may have been cleaned."""
    _object(schema)(obj)


@final
class _Object:
    """Reads an object with properties."""

    __slots__ = ("_fields", "_schema")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fields: dict[str, tuple[Read, bool, bool]] | None = None

    def __call__(self, obj: Any) -> Any:
        if not isinstance(obj, dict):
            raise Odd
        fields = self._fields
        if fields is None:
            fields = self._fields = self._compiled()
        for name, value in list(obj.items()):
            found = fields.get(name)
            if found is None:
                if self._schema.preserves_unknown:
                    continue
                raise Odd
            if value is None:
                del obj[name]
                continue
            read, kept, structure = found
            new = read(value)
            if new or kept or (structure and isinstance(new, dict)):
                if new is not value:
                    obj[name] = new
            else:
                del obj[name]
        return obj

    def _compiled(self) -> dict[str, tuple[Read, bool, bool]]:
        """By name: how to read, whether a zero is kept, and whether an empty object is."""
        return {
            name: (_reader(child), "x-zero" in child.raw, child.additional is None)
            for name, child in self._schema.properties.items()
        }


_object = cache(_Object)


@cache
def _reader(schema: Schema) -> Read:
    special = _SPECIAL.get(schema.name)
    if special is not None:
        return special
    if schema.properties:
        return _object(schema)
    if schema.additional is not None:
        return _map(schema.additional)
    if schema.type == "array":
        return _array(schema.items)
    if schema.type == "string" and schema.raw.get("format") == "byte":
        return _bytes
    if schema.type == "integer":
        return _integer(31 if schema.raw.get("format") == "int32" else 63)
    return _SCALARS.get(schema.type, _anything)


def _map(values: Schema) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Odd
        inner = _amount if values.name == QUANTITY else _reader(values)
        for key, item in value.items():
            value[key] = zero(values) if item is None else inner(item)
        return value

    return read


def _array(items: Schema | None) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise Odd
        if items is None:
            return value
        inner = _reader(items)
        for index, item in enumerate(value):
            given = {} if item is None and items.properties else item
            value[index] = zero(items) if given is None else inner(given)
        return value

    return read


def _anything(value: Any) -> Any:
    return value


def _string(value: Any) -> Any:
    if not isinstance(value, str):
        raise Odd
    return value


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        raise Odd
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Odd from error
    return value


def _integer(bits: int) -> Read:
    least, most = -(1 << bits), 1 << bits

    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < most:
            raise Odd
        return value

    return read


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Odd
    return value


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool):
        raise Odd
    return value


def _int_or_string(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Odd
    return value


def _quantity(value: Any) -> Any:
    if isinstance(value, str):
        return _canonical(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Odd
    try:
        return quantity.canonical(value)
    except quantity.InvalidQuantity as error:
        raise Odd from error


def _amount(value: Any) -> Any:
    """A quantity in a list of resources: those are held in thousandths."""
    return quantity.in_milli(_quantity(value))


@lru_cache(_KEPT)
def _canonical(text: str) -> str:
    try:
        return quantity.canonical(text)
    except quantity.InvalidQuantity as error:
        raise Odd from error


def _time(write: Callable[[Any], str]) -> Read:
    @lru_cache(_KEPT)
    def canonical(text: str) -> str:
        try:
            return write(parse_rfc3339(text).astimezone(UTC))
        except ValueError as error:
            raise Odd from error

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise Odd
        return canonical(value)

    return read


_SPECIAL: Final[dict[str, Read]] = {
    QUANTITY: _quantity,
    INT_OR_STRING: _int_or_string,
    TIME: _time(rfc3339),
    MICRO_TIME: _time(rfc3339_micro),
}
_SCALARS: Final[dict[str, Read]] = {"string": _string, "number": _number, "boolean": _boolean}
