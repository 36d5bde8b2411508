"""The functions that Kubernetes adds to CEL's own: strings, lists, regular expressions, quantities.

cel-python finds a method by its name alone, so each takes its receiver as the first argument.
"""

import itertools
from collections.abc import Callable
from typing import Any

from celpy import celtypes
from celpy.evaluation import bool_eq, bool_ne

from kaito.kube.schema import formats

_Text = celtypes.StringType
_List = celtypes.ListType
_Int = celtypes.IntType
_Bool = celtypes.BoolType


def _find(text: str, pattern: str) -> Any:
    found = formats.pattern(pattern).search(text)
    return _Text(found[0] if found else "")


def _find_all(text: str, pattern: str, limit: int = -1) -> Any:
    found = [_Text(match[0]) for match in formats.pattern(pattern).finditer(text)]
    return _List(found if limit < 0 else found[:limit])


def _split(text: str, separator: str, limit: int = -1) -> Any:
    if limit == 0:
        return _List([])
    pieces = limit - 1 if limit > 0 else -1
    parts = text.split(separator, pieces) if separator else list(text)
    return _List([_Text(part) for part in parts])


def _replace(text: str, old: str, new: str, limit: int = -1) -> Any:
    return _Text(text.replace(old, new, limit))


def _substring(text: str, start: int, end: int | None = None) -> Any:
    return _Text(text[start:end])


def _join(parts: list[str], separator: str = "") -> Any:
    return _Text(separator.join(parts))


def _is_sorted(values: list[Any]) -> Any:
    return _Bool(all(a <= b for a, b in itertools.pairwise(values)))


def _sum(values: list[Any]) -> Any:
    total = values[0] if values else _Int(0)
    for value in values[1:]:
        total = total + value
    return total


def _index_of(values: Any, wanted: Any, start: int = 0) -> Any:
    if isinstance(values, str):
        return _Int(values.find(wanted, start))
    return _Int(values.index(wanted) if wanted in values else -1)


def _last_index_of(values: Any, wanted: Any) -> Any:
    if isinstance(values, str):
        return _Int(values.rfind(wanted))
    matches = [index for index, value in enumerate(values) if value == wanted]
    return _Int(matches[-1] if matches else -1)


def _equal(left: Any, right: Any) -> Any:
    """The library's, but for null, which it does not compare with everything."""
    if left is None or right is None:
        return _Bool(left is right)
    return bool_eq(left, right)


def _unequal(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return _Bool(left is not right)
    return bool_ne(left, right)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_==_": _equal,
    "_!=_": _unequal,
    "find": _find,
    "findAll": _find_all,
    "split": _split,
    "replace": _replace,
    "substring": _substring,
    "join": _join,
    "trim": lambda text: _Text(text.strip()),
    "lowerAscii": lambda text: _Text(text.lower()),
    "upperAscii": lambda text: _Text(text.upper()),
    "charAt": lambda text, index: _Text(text[index : index + 1]),
    "isSorted": _is_sorted,
    "sum": _sum,
    "min": min,
    "max": max,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
}
