"""Label selectors, parsed, matched and refused exactly as the API server does.

A selector is a value: parsed once, compiled to closures, equal when it selects by the same words.
Field selectors (`kaito.kube.fields`) are found here, too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, final

import msgspec

from kaito.kube.fields import FieldSelector, FieldTerm, InvalidSelector
from kaito.kube.labels import key_problems, value_problems
from kaito.kube.objects import Json

__all__ = ["FieldSelector", "FieldTerm", "InvalidSelector", "LabelSelector", "Requirement"]

Labels = Mapping[str, str]
_Match = Callable[[Labels], bool]


class Requirement(NamedTuple):
    """One term of a label selector.

    `operator` is one of `=`, `==`, `!=`, `in`, `notin`, `exists`, `!`, `gt`, `lt`.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        key, operator, values = self
        if operator == "exists":
            return key
        if operator == "!":
            return f"!{key}"
        joined = ",".join(sorted(values))
        if operator in _SETS:
            return f"{key} {operator} ({joined})"
        return f"{key}{_SIGNS.get(operator, operator)}{joined}"


_SETS = ("in", "notin")
_SIGNS = {"gt": ">", "lt": "<"}


@final
class LabelSelector:
    """Which objects, by their labels. The empty selector matches everything."""

    __slots__ = ("_matches", "never", "requirements")

    def __init__(self, requirements: Sequence[Requirement] = (), *, never: bool = False) -> None:
        """Raises InvalidSelector when a requirement is not valid."""
        self.never = never
        """Whether it matches nothing at all, whatever it requires."""
        for requirement in requirements:
            _check(requirement)
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))
        """In the order of their keys."""
        self._matches = tuple(_compile(requirement) for requirement in self.requirements)

    @classmethod
    def parse(cls, text: str) -> "LabelSelector":
        """Parse `app=web,tier in (a, b),!legacy`. Raises InvalidSelector."""
        return cls(_Parser(text).requirements())

    @classmethod
    def of(cls, selector: Json | None) -> "LabelSelector":
        """The selector of a `metav1.LabelSelector`. None (no selector at all) matches nothing.

        Raises InvalidSelector.
        """
        if selector is None:
            return cls.nothing()
        requirements = [
            Requirement(key, "=", (value,))
            for key, value in (selector.get("matchLabels") or {}).items()
        ]
        for expression in selector.get("matchExpressions") or ():
            operator = expression.get("operator", "")
            if operator not in _EXPRESSION_OPERATORS:
                quoted = _quote(operator)
                raise InvalidSelector(f"{quoted} is not a valid label selector operator")
            values = tuple(expression.get("values") or ())
            word = _EXPRESSION_OPERATORS[operator]
            requirements.append(Requirement(expression.get("key", ""), word, values))
        return cls(requirements)

    @classmethod
    def nothing(cls) -> "LabelSelector":
        """The selector that matches no object."""
        return cls(never=True)

    @property
    def empty(self) -> bool:
        """Whether it matches everything."""
        return not self._matches and not self.never

    def matches(self, labels: Labels) -> bool:
        return not self.never and all(match(labels) for match in self._matches)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return "LabelSelector.nothing()" if self.never else f"LabelSelector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LabelSelector)
            and self.requirements == other.requirements
            and self.never == other.never
        )

    def __hash__(self) -> int:
        return hash((self.requirements, self.never))


_EXPRESSION_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def _compile(requirement: Requirement) -> _Match:
    key, operator, values = requirement
    wanted = frozenset(values)
    match operator:
        case "exists":
            return lambda labels: key in labels
        case "!":
            return lambda labels: key not in labels
        case "in" | "=" | "==":
            if len(values) == 1:
                only = values[0]
                return lambda labels: labels.get(key) == only
            return lambda labels: labels.get(key) in wanted
        case "notin" | "!=":
            return lambda labels: key not in labels or labels[key] not in wanted
        case _:
            return _compile_order(key, operator, int(values[0]))


def _compile_order(key: str, operator: str, bound: int) -> _Match:
    sign = 1 if operator == "gt" else -1

    def match(labels: Labels) -> bool:
        number = _int64(labels.get(key, ""))
        return number is not None and sign * number > sign * bound

    return match


_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def _int64(text: str) -> int | None:
    if not _INTEGER.fullmatch(text) or len(text) > 64:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


# Validation, in the words of the server's field errors.


def _check(requirement: Requirement) -> None:
    key, operator, values = requirement
    problems = [_invalid("key", key, "; ".join(bad))] if (bad := key_problems(key)) else []
    problems += _check_count(operator, values)
    for index, value in enumerate(values):
        if operator in ("gt", "lt") and _int64(value) is None:
            detail = "for 'Gt', 'Lt' operators, the value must be an integer"
            problems.append(_invalid(f"values[{index}]", value, detail))
    for index, value in enumerate(values):
        if bad := value_problems(value):
            problems.append(_invalid(f"values[{index}][{key}]", value, "; ".join(bad)))
    if problems:
        unique = list(dict.fromkeys(problems))
        raise InvalidSelector(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")


def _check_count(operator: str, values: tuple[str, ...]) -> list[str]:
    match operator:
        case "in" | "notin":
            wrong = not values
            detail = "for 'in', 'notin' operators, values set can't be empty"
        case "exists" | "!":
            wrong = bool(values)
            detail = "values set must be empty for exists and does not exist"
        case "gt" | "lt":
            wrong = len(values) != 1
            detail = "for 'Gt', 'Lt' operators, exactly one value is required"
        case _:
            wrong = len(values) != 1
            detail = "exact-match compatibility requires one single value"
    return [_invalid("values", list(values), detail)] if wrong else []


def _invalid(path: str, value: Any, detail: str) -> str:
    return f"{path}: Invalid value: {_quote(value)}: {detail}"


def _quote(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# Parsing. A token is a pair (kind, text); kinds are the token's own text, or one of these three.

_END, _WORD, _ERROR = "end", "identifier", "error"
_KEYWORDS = frozenset({")", ",", "!", "==", "=", ">", "in", "<", "!=", "notin", "("})
_OPERATORS = {"in", "notin", "=", "==", "!=", ">", "<"}
_OPERATOR_NAMES = "in, notin, =, ==, !=, gt, lt"
_LEXEME = re.compile(
    r"[ \t\r\n]*(?:(?P<signs>[=!(),><]+)|(?P<word>[^ \t\r\n=!(),><\0]+))", re.ASCII
)

_Token = tuple[str, str]


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while match := _LEXEME.match(text, position):
        if word := match["word"]:
            tokens.append((word if word in _KEYWORDS else _WORD, word))
            position = match.end()
        else:
            token = _sign(match["signs"])
            tokens.append(token)
            length = len(match["signs"]) if token[0] == _ERROR else len(token[1])
            position = match.start("signs") + length
    return [*tokens, (_END, "")]


def _sign(signs: str) -> _Token:
    """The longest operator that `signs` starts with; every prefix of one is one."""
    found = ""
    for end in range(1, len(signs) + 1):
        if signs[:end] not in _KEYWORDS:
            break
        found = signs[:end]
    return (found, found) if found else (_ERROR, f"error expected: keyword found '{signs}'")


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            kind, text = self._peek()
            if kind == _END:
                return found
            if kind not in (_WORD, "!"):
                raise _expected(text, "!, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except InvalidSelector as error:
                raise InvalidSelector(f"unable to parse requirement: {error}") from None
            kind, text = self._next()
            if kind == _END:
                return found
            if kind != ",":
                raise _expected(text, "',' or 'end of string'")
            kind, text = self._peek()
            if kind not in (_WORD, "!"):
                raise _expected(text, "identifier after ','")

    def _peek(self) -> _Token:
        """The next token, where `in` and `notin` are ordinary words."""
        kind, text = self._tokens[self._position]
        return (_WORD if kind in _SETS else kind), text

    def _next(self) -> _Token:
        token = self._peek()
        self._position += 1
        return token

    def _requirement(self) -> Requirement:
        kind, key = self._next()
        negated = kind == "!"
        if negated:
            kind, key = self._next()
        if kind != _WORD:
            raise _expected(key, "identifier")
        if problems := key_problems(key):
            raise InvalidSelector(_invalid("<nil>", key, "; ".join(problems)))
        if negated or self._peek()[0] in (_END, ","):
            requirement = Requirement(key, "!" if negated else "exists")
        else:
            requirement = self._comparison(key)
        _check(requirement)
        return requirement

    def _comparison(self, key: str) -> Requirement:
        kind, text = self._tokens[self._position]
        self._position += 1
        if kind not in _OPERATORS:
            raise _expected(text, _OPERATOR_NAMES)
        if kind in _SETS:
            return Requirement(key, kind, self._set())
        operator = {">": "gt", "<": "lt"}.get(kind, kind)
        return Requirement(key, operator, (self._value(),))

    def _value(self) -> str:
        if self._peek()[0] in (_END, ","):
            return ""
        kind, text = self._next()
        if kind != _WORD:
            raise _expected(text, "identifier")
        return text

    def _set(self) -> tuple[str, ...]:
        kind, text = self._next()
        if kind != "(":
            raise InvalidSelector(f"found '{text}' expected: '('")
        kind, text = self._peek()
        if kind == ")":
            self._next()
            return ("",)
        if kind not in (_WORD, ","):
            raise _expected(text, "',', ')' or identifier")
        values = self._members()
        self._next()
        return tuple(sorted(values))

    def _members(self) -> set[str]:
        """Up to the closing parenthesis. A comma with nothing beside it stands for ""."""
        values: set[str] = set()
        while True:
            kind, text = self._next()
            if kind == _WORD:
                values.add(text)
                kind, text = self._peek()
                if kind == ")":
                    return values
                if kind != ",":
                    raise _expected(text, "',' or ')'")
            elif kind == ",":
                if not values:
                    values.add("")
                kind, _ = self._peek()
                if kind == ")":
                    return values | {""}
                if kind == ",":
                    values.add("")
            else:
                raise _expected(text, "',', or identifier")


def _expected(found: str, wanted: str) -> InvalidSelector:
    return InvalidSelector(f"found '{found}', expected: {wanted}")
