"""JSON as Go reads it: what its scanner says of malformed text, and what doubled keys come to."""

import json
from typing import Any, Final, final

import msgspec

_SPACE: Final = " \t\r\n"
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}
_END: Final = "unexpected end of JSON input"
_SHOWN: Final = 30
"""Bytes of a body that an error repeats."""


@final
class _Complaint(Exception):
    """Where scanning ends."""


def complaint(body: bytes) -> str:
    """What `encoding/json` says of a text that is no JSON; empty if it is."""
    try:
        _Scanner(body.decode("utf-8", "replace")).scan()
    except _Complaint as found:
        return str(found)
    return ""


def shown(body: bytes) -> str:
    """A body as errors repeat it: its beginning, or its bytes where it is no object."""
    text = body.decode("utf-8", "replace")
    if not text.strip():
        return "<empty>"
    told = text[:_SHOWN] + (" ..." if len(text) > _SHOWN else "")
    return told if text.lstrip().startswith("{") else body[:_SHOWN].hex()


@final
class _Scanner:
    """Recursive descent over the text; every error is one that Go's state machine has."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def scan(self) -> None:
        self._value()
        self._skip()
        if self._at < len(self._text):
            raise self._odd("after top-level value")

    def _odd(self, where: str) -> _Complaint:
        char = self._text[self._at]
        quoted = "'\\''" if char == "'" else f"'{char}'"
        return _Complaint(f"invalid character {quoted} {where}")

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1

    def _peek(self) -> str:
        self._skip()
        if self._at >= len(self._text):
            raise _Complaint(_END)
        return self._text[self._at]

    def _value(self) -> None:
        match self._peek():
            case "{":
                self._members("object key:value pair", "}", self._member)
            case "[":
                self._members("array element", "]", self._value)
            case '"':
                self._string()
            case "t" | "f" | "n" as first:
                self._literal(_LITERALS[first])
            case char if char == "-" or char.isdigit():
                self._number()
            case _:
                raise self._odd("looking for beginning of value")

    def _members(self, what: str, end: str, member: Any) -> None:
        self._at += 1
        if self._peek() == end:
            self._at += 1
            return
        while True:
            member()
            match self._peek():
                case ",":
                    self._at += 1
                case char if char == end:
                    self._at += 1
                    return
                case _:
                    raise self._odd(f"after {what}")

    def _member(self) -> None:
        if self._peek() != '"':
            raise self._odd("looking for beginning of object key string")
        self._string()
        if self._peek() != ":":
            raise self._odd("after object key")
        self._at += 1
        self._value()

    def _string(self) -> None:
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            if char < " ":
                raise self._odd("in string literal")
            if char == "\\":
                self._at += 1
                if self._at < len(self._text) and self._text[self._at] not in '"\\/bfnrtu':
                    raise self._odd("in string escape code")
            self._at += 1
        raise _Complaint(_END)

    def _literal(self, word: str) -> None:
        for index, wanted in enumerate(word):
            if self._at >= len(self._text):
                raise _Complaint(_END)
            if self._text[self._at] != wanted:
                raise self._odd(f"in literal {word} (expecting '{word[index]}')")
            self._at += 1

    def _number(self) -> None:
        if self._text[self._at] == "-":
            self._at += 1
            if self._at >= len(self._text):
                raise _Complaint(_END)
            if not self._text[self._at].isdigit():
                raise self._odd("in numeric literal")
        while self._at < len(self._text) and self._text[self._at] in "0123456789.eE+-":
            self._at += 1


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, told apart from an array."""


def doubled(body: bytes, value: Any) -> list[str]:
    """`duplicate field "a.b"` for every key that an object of the body (read as `value`) has twice.

    A key too many makes the body longer than its value needs: most bodies are not read again.
    """
    if len(body) <= len(msgspec.json.encode(value)):
        return []
    found: list[str] = []

    def visit(value: Any, path: str) -> None:
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for key, child in value:
                here = f"{path}.{key}" if path else key
                visit(child, here)
                if key in seen:
                    found.append(f'duplicate field "{here}"')
                seen.add(key)
        elif isinstance(value, list):
            for index, child in enumerate(value):
                visit(child, f"{path}[{index}]")

    visit(json.loads(body, object_pairs_hook=_Pairs), "")
    return found


def merged(body: bytes) -> Any:
    """The body's value when a typed Go value reads it: an object named twice is read into one."""
    return json.loads(body, object_pairs_hook=_merge)


def _merge(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        before = out.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        out[key] = {**before, **value} if both and before else value
    return out
