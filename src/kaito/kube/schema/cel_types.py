"""Types of CEL as its checker knows them, and which may stand for which.

Written as the checker's messages write them: `int`, `list(string)`, `map(string, dyn)`. A single
capital letter is a parameter of a function's declaration.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, final

_TOKENS: Final = re.compile(r"[A-Za-z_][\w.]*|[(),]")


@final
@dataclass(frozen=True, slots=True)
class Type:
    """One type; `of` are those of elements, keys and values."""

    name: str
    of: "tuple[Type, ...]" = ()
    fields: "Mapping[str, Type] | None" = field(default=None, compare=False)
    """Of an object; None: it is none."""

    def __str__(self) -> str:
        inner = ", ".join(str(one) for one in self.of)
        return f"{self.name}({inner})" if inner else self.name

    @property
    def is_parameter(self) -> bool:
        return len(self.name) == 1


DYN: Final = Type("dyn")
ERROR: Final = Type("!error!")
"""Of what was complained about already: it fits everywhere, so that nothing is told twice."""
BOOL: Final = Type("bool")
INT: Final = Type("int")
DOUBLE: Final = Type("double")
STRING: Final = Type("string")
BYTES: Final = Type("bytes")
NULL: Final = Type("null")
TIMESTAMP: Final = Type("timestamp")
DURATION: Final = Type("duration")

_ANY: Final = frozenset({DYN.name, ERROR.name})
_NEVER_NULL: Final = frozenset(
    {"bool", "int", "uint", "double", "string", "bytes", "list", "map", "type"}
)


def list_of(item: Type) -> Type:
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def optional(value: Type) -> Type:
    return Type("optional_type", (value,))


def object_type(name: str, fields: Mapping[str, Type]) -> Type:
    return Type(name, fields=MappingProxyType(dict(fields)))


def is_any(given: Type) -> bool:
    """Whether nothing is known of it."""
    return given.name in _ANY


def parse(text: str) -> Type:
    """A type as it is written. Raises ValueError."""
    tokens = iter([*_TOKENS.findall(text), ""])
    found, end = _parse(next(tokens), tokens)
    if end:
        raise ValueError(f"{text!r} is no type")
    return found


def _parse(name: str, tokens: Iterator[str]) -> tuple[Type, str]:
    """A type that begins with `name`, and the token behind it."""
    following = next(tokens)
    if following != "(":
        return Type(name), following
    of = []
    while following in ("(", ","):
        inner, following = _parse(next(tokens), tokens)
        of.append(inner)
    return Type(name, tuple(of)), next(tokens)


Bound = dict[str, Type]
"""What the parameters of a declaration stand for in one call."""


def fits(given: Type, wanted: Type, bound: Bound) -> bool:
    """Whether a value of type `given` may stand where `wanted` is declared; binds parameters."""
    if wanted.is_parameter:
        return _bind(given, wanted.name, bound)
    if is_any(given) or is_any(wanted):
        return True
    if NULL in (given, wanted):
        return given == wanted or (_may_be_null(given) and _may_be_null(wanted))
    if given.name == wanted.name == "type":
        return True  # any two may be compared
    if given.name != wanted.name or len(given.of) != len(wanted.of):
        return False
    return all(fits(one, other, bound) for one, other in zip(given.of, wanted.of, strict=True))


def _may_be_null(given: Type) -> bool:
    return given.name not in _NEVER_NULL


def _bind(given: Type, name: str, bound: Bound) -> bool:
    before = bound.get(name)
    if before is None:
        bound[name] = given
        return True
    if not fits(given, before, {}):
        return False
    bound[name] = _wider(before, given)
    return True


def _wider(one: Type, other: Type) -> Type:
    if one in (ERROR, NULL):
        return other
    if DYN in (one, other):
        return DYN
    if len(one.of) != len(other.of):
        return one
    of = tuple(_wider(a, b) for a, b in zip(one.of, other.of, strict=True))
    return Type(one.name, of, one.fields)


def settled(declared: Type, bound: Bound) -> Type:
    """A declared type with its parameters replaced; those that nothing bound are unknown."""
    if declared.is_parameter:
        return bound.get(declared.name, DYN)
    if not declared.of:
        return declared
    return Type(declared.name, tuple(settled(one, bound) for one in declared.of), declared.fields)
