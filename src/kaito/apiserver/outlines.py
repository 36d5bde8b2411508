"""What of two values their comparison depends on: equal outlines, equal comparisons.

Ten thousand pods are written in the same few ways. Which fields a write touches is the same for all
of them, whatever the values are, and so it has to be worked out once.
"""

from collections.abc import Hashable
from typing import Any, Final

from kaito.apiserver.typed import UNKNOWN, Type
from kaito.kube.schema.fields import MISSING

_CHANGED: Final = 1
_ADDED: Final = 2
_REMOVED: Final = 3
_LEAF: Final = 0


class Unusual(Exception):
    """Not worth an outline: a value that changed its shape, items that cannot be told apart."""


def outline(old: Any, new: Any, type_: Type) -> Hashable:
    """Of two values that differ. Raises Unusual, and Unfit as the comparison would."""
    sample = old if new is None else new
    if isinstance(sample, dict):
        if type_.atomic_map or not _both(old, new, dict):
            return _leaf(old, new)
        return _fields(old or {}, new or {}, type_)
    if isinstance(sample, list):
        keys = type_.list_keys
        if keys is None or not _both(old, new, list):
            return _leaf(old, new)
        return _items(old or [], new or [], type_, keys)
    return _leaf(old, new)


def _both(old: Any, new: Any, shape: type) -> bool:
    """Each has the shape or is null, and one has content."""
    return (
        bool(old or new)
        and (old is None or isinstance(old, shape))
        and (new is None or isinstance(new, shape))
    )


def _leaf(old: Any, new: Any) -> Hashable:
    if isinstance(old, dict) != isinstance(new, dict):
        raise Unusual
    return _CHANGED


def _fields(old: dict[str, Any], new: dict[str, Any], type_: Type) -> Hashable:
    parts: list[Hashable] = []
    for name, other in new.items():
        one = old.get(name, MISSING)
        if one is MISSING:
            parts.append((_ADDED, name, _whole(other, type_, name)))
        elif one != other or isinstance(one, bool) != isinstance(other, bool):
            parts.append((_CHANGED, name, outline(one, other, type_.of_field(name) or UNKNOWN)))
    if len(old) + len(parts) > len(new):
        parts.extend(
            (_REMOVED, name, _whole(one, type_, name))
            for name, one in old.items()
            if name not in new
        )
    return tuple(parts)


def _items(old: list[Any], new: list[Any], type_: Type, keys: tuple[str, ...]) -> Hashable:
    left, right = _by_element(old, type_, keys), _by_element(new, type_, keys)
    item = type_.of_item
    parts: list[Hashable] = []
    for element, other in right.items():
        one = left.get(element, MISSING)
        if one is MISSING:
            parts.append((_ADDED, element, below(other, item)))
        elif one != other or isinstance(one, bool) != isinstance(other, bool):
            parts.append((_CHANGED, element, outline(one, other, item)))
    parts.extend(
        (_REMOVED, element, below(one, item))
        for element, one in left.items()
        if element not in right
    )
    return tuple(parts)


def _by_element(items: list[Any], type_: Type, keys: tuple[str, ...]) -> dict[str, Any]:
    found = {type_.element(item, keys): item for item in items}
    if len(found) != len(items):
        raise Unusual
    return found


def _whole(value: Any, type_: Type, name: str) -> Hashable:
    if isinstance(value, dict | list):
        return below(value, type_.of_field(name) or UNKNOWN)
    return _LEAF


def below(value: Any, type_: Type) -> Hashable:
    """Of a value that comes or goes as a whole."""
    if isinstance(value, dict):
        if not value or type_.atomic_map:
            return _LEAF
        return tuple([(name, _whole(item, type_, name)) for name, item in value.items()])
    keys = type_.list_keys if isinstance(value, list) and value else None
    if keys is None:
        return _LEAF
    items = _by_element(value, type_, keys).items()
    return tuple([(element, below(item, type_.of_item)) for element, item in items])
