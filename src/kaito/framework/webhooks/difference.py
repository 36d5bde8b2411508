"""The JSON patch (RFC 6902) that makes one JSON value of another.

The jsonpatch library applies patches here and elsewhere, but what it makes is not used: it takes
`true` for 1 in lists, and joins operations to moves that are only right in the order it chose.
"""

from collections.abc import Iterator
from typing import Any

from kaito.kube.objects import Json


def difference(old: Any, new: Any) -> list[Json]:
    """Operations `add`, `remove` and `replace`; none when both are equal as JSON."""
    return list(_compare("", old, new))


def _compare(path: str, old: Any, new: Any) -> Iterator[Json]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_objects(path, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(path, old, new)
    elif isinstance(old, bool) != isinstance(new, bool) or old != new:
        yield {"op": "replace", "path": path, "value": new}


def _compare_objects(path: str, old: Json, new: Json) -> Iterator[Json]:
    for name in old:
        if name not in new:
            yield {"op": "remove", "path": f"{path}/{_escaped(name)}"}
    for name, value in new.items():
        where = f"{path}/{_escaped(name)}"
        if name in old:
            yield from _compare(where, old[name], value)
        else:
            yield {"op": "add", "path": where, "value": value}


def _compare_lists(path: str, old: list[Any], new: list[Any]) -> Iterator[Json]:
    """Item by item; what is longer is cut or grown at its end."""
    common = min(len(old), len(new))
    for index in range(common):
        yield from _compare(f"{path}/{index}", old[index], new[index])
    for index in reversed(range(common, len(old))):
        yield {"op": "remove", "path": f"{path}/{index}"}
    for value in new[common:]:
        yield {"op": "add", "path": f"{path}/-", "value": value}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
