"""Field selectors, parsed, matched and refused exactly as the API server does."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, final


class InvalidSelector(ValueError):
    """The selector cannot be parsed. The message is the API server's."""


class FieldTerm(NamedTuple):
    """One term of a field selector: `field=value`, or `field!=value` when `negated`."""

    field: str
    value: str
    negated: bool = False

    def __str__(self) -> str:
        escaped = _SPECIAL.sub(r"\\\g<0>", self.value)
        return f"{self.field}{'!=' if self.negated else '='}{escaped}"


_SPECIAL = re.compile(r"[\\,=]")
_TERMS = re.compile(r"((?:[^\\,]|\\.|\\\Z)*)(?:,|\Z)", re.DOTALL)
_TERM = re.compile(r"(?P<field>.*?)(?P<operator>!=|==|=)(?P<value>.*)", re.DOTALL)
_PIECE = re.compile(r"\\(?P<escaped>.?)|(?P<bare>[,=])|(?P<plain>[^\\,=]+)", re.DOTALL)


@final
class FieldSelector:
    """Which objects, by a few fields that the server knows how to select by."""

    __slots__ = ("terms",)

    def __init__(self, terms: Sequence[FieldTerm] = ()) -> None:
        self.terms = tuple(terms)

    @classmethod
    def parse(cls, text: str) -> "FieldSelector":
        """Parse `metadata.name=a,status.phase!=Running`. Raises InvalidSelector."""
        parts = sorted(part for part in _split(text) if part)
        terms = [_field_term(text, part) for part in parts]
        return cls([term for term in terms if term.field or term.value])

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self.terms

    def matches(self, get: Callable[[str], str]) -> bool:
        """`get` returns the value of a field, "" where it has none."""
        return all((get(term.field) == term.value) != term.negated for term in self.terms)

    def exact(self, field: str) -> str | None:
        """The one value that `field` must have, if the selector names one."""
        return next((t.value for t in self.terms if t.field == field and not t.negated), None)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))

    def __repr__(self) -> str:
        return f"FieldSelector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)


def _split(text: str) -> list[str]:
    """At commas that no backslash precedes."""
    parts: list[str] = []
    position = 0
    while position < len(text) and (match := _TERMS.match(text, position)):
        parts.append(match[1])
        position = match.end()
    return parts


def _field_term(text: str, part: str) -> FieldTerm:
    match = _TERM.fullmatch(part)
    if match is None:
        raise InvalidSelector(f"invalid selector: '{text}'; can't understand '{part}'")
    return FieldTerm(match["field"], _unescape(match["value"]), match["operator"] == "!=")


def _unescape(value: str) -> str:
    pieces: list[str] = []
    for match in _PIECE.finditer(value):
        if match["bare"]:
            # The server prints the character's number.
            code = ord(match["bare"])
            message = f"invalid field selector: unescaped character in value: {code}"
            raise InvalidSelector(message)
        if match["plain"]:
            pieces.append(match["plain"])
        elif match["escaped"] in ("\\", ",", "="):
            pieces.append(match["escaped"])
        else:
            raise InvalidSelector(f"invalid field selector: invalid escape sequence: {match[0]}")
    return "".join(pieces)
