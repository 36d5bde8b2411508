"""Strategic merge patch: a merge patch that knows which lists have keys.

Directives: `$patch: replace | delete | merge` in a map or a list item, `$retainKeys` in a map,
`$setElementOrder/LIST` and `$deleteFromPrimitiveList/LIST` beside a list. Which lists merge, by
which key, is recorded in the schema (`x-kubernetes-patch-strategy`, `...-patch-merge-key`).
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

from kaito.apiserver.goprint import plain
from kaito.apiserver.typed import ANYTHING
from kaito.kube.errors import KubeError
from kaito.kube.objects import Json
from kaito.kube.schema.structural import Schema

_PATCH: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE_FROM: Final = "$deleteFromPrimitiveList/"


class StrategicPatchError(KubeError):
    """The patch cannot be read as a strategic merge patch. The message is the real server's."""


def strategic_merge(target: Json, patch: Json, schema: Schema) -> Json:
    """The patched object; neither argument is changed. Raises StrategicPatchError."""
    return _map(copy.deepcopy(target), copy.deepcopy(patch), schema)


def _map(original: Json, patch: Json, schema: Schema) -> Json:
    directive = patch.pop(_PATCH, None)
    if directive == "replace":
        return patch
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        shown = plain({_PATCH: directive, **patch})
        raise StrategicPatchError(f"unknown patch type: {directive} in map: {shown}")
    _retain(original, patch)
    orders = {k.removeprefix(_ORDER): patch.pop(k) for k in list(patch) if k.startswith(_ORDER)}
    for name in [name for name in patch if name.startswith(_DELETE_FROM)]:
        _delete_values(original, name.removeprefix(_DELETE_FROM), patch.pop(name))
    for name, order in orders.items():
        if isinstance(patch.get(name), list) and isinstance(order, list):
            _check_order(patch[name], order, _merge_key(schema.of_field(name) or ANYTHING))
    for name, value in patch.items():
        _member(original, name, value, schema.of_field(name) or ANYTHING)
    for name, order in orders.items():
        if isinstance(original.get(name), list) and isinstance(order, list):
            key = _merge_key(schema.of_field(name) or ANYTHING)
            original[name] = _ordered(original[name], order, original[name], key)
    return original


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """What a patch mentions stands in the order that it gives."""
    given = [i for i in patch if not isinstance(i, dict) or i.get(_PATCH) != "delete"]

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    rest = iter(map(identity, order))
    if not all(identity(item) in rest for item in given):
        raise StrategicPatchError(
            f"The order in patch list:\n{plain(patch)}\n doesn't match {_ORDER.rstrip('/')} list:\n"
            f"{plain(order)}\n"
        )


def _retain(original: Json, patch: Json) -> None:
    kept = patch.pop(_RETAIN, None)
    if kept is None:
        return
    wrong = [n for n, v in patch.items() if v is not None and n not in kept and "/" not in n]
    if not isinstance(kept, list) or wrong:
        raise StrategicPatchError("invalid patch format of retainKeys")
    for name in [name for name in original if name not in kept]:
        del original[name]


def _delete_values(original: Json, name: str, values: Any) -> None:
    if isinstance(original.get(name), list):
        original[name] = [item for item in original[name] if item not in values]


def _member(original: Json, name: str, value: Any, schema: Schema) -> None:
    if value is None:
        original.pop(name, None)
        return
    before = original.get(name)
    strategy = schema.raw.get("x-kubernetes-patch-strategy", "").partition(",")[0]
    if isinstance(before, dict) and isinstance(value, dict):
        original[name] = value if strategy == "replace" else _map(before, value, schema)
    elif isinstance(before, list) and isinstance(value, list) and strategy == "merge":
        original[name] = _list(before, value, schema)
    else:
        new = _plain(value)
        if new is _GONE:
            original.pop(name, None)
        else:
            original[name] = new


_GONE: Final[Any] = object()


def _plain(value: Any) -> Any:
    """A patch's value taken as it is: without nulls of maps, directives and what they delete."""
    if isinstance(value, dict):
        if _PATCH in value:
            return _GONE
        made = {
            name: _plain(item)
            for name, item in value.items()
            if item is not None and not name.startswith("$")
        }
        return {name: item for name, item in made.items() if item is not _GONE}
    if isinstance(value, list):
        return [item for item in map(_plain, value) if item is not _GONE]
    return value


def _merge_key(schema: Schema) -> str:
    return str(schema.raw.get("x-kubernetes-patch-merge-key", ""))


def _list(original: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    if not all(isinstance(item, dict) for item in (*original, *patch)):
        both = [*original, *patch]
        merged = [item for index, item in enumerate(both) if item not in both[:index]]
        return _ordered(merged, patch, original, "")
    key = _merge_key(schema)
    items = schema.items or ANYTHING
    original, patch = _directed(original, patch, key)
    merged = list(original)
    for item in patch:
        if key not in item:
            raise _keyless(item, key)
        at = next((i for i, one in enumerate(merged) if one.get(key) == item[key]), None)
        if at is None:
            merged.append(_plain(item))
        else:
            merged[at] = _map(dict(merged[at]), dict(item), items)
    return _ordered(merged, patch, original, key)


def _keyless(item: Json, key: str) -> StrategicPatchError:
    return StrategicPatchError(f"map: {plain(item)} does not contain declared merge key: {key}")


def _directed(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Obey `$patch` items: delete single ones, or replace the whole list."""
    others = [item for item in patch if _PATCH not in item]
    directives = [item for item in patch if _PATCH in item]
    for item in directives:
        if item[_PATCH] == "delete":
            if key not in item:
                raise _keyless(item, key)
            original = [one for one in original if one.get(key) != item[key]]
        elif item[_PATCH] != "replace":
            raise StrategicPatchError("merging lists cannot yet be specified in the patch")
    if any(item[_PATCH] == "replace" for item in directives):
        return others, []
    return original, others


def _ordered(
    merged: Sequence[Any], wanted: Sequence[Any], before: Sequence[Any], key: str
) -> list[Any]:
    """What the patch mentions in its order, the rest where it stood."""
    place = _places(wanted, key)
    earlier = _places(before, key)
    mentioned = sorted((i for i in merged if place(i) >= 0), key=place)
    others = sorted((i for i in merged if place(i) < 0), key=earlier)
    order: list[Any] = []
    while others and mentioned:
        left, right = earlier(others[0]), earlier(mentioned[0])
        first = others if 0 <= left < right else mentioned
        order.append(first.pop(0))
    return [*order, *mentioned, *others]


def _places(items: Sequence[Any], key: str) -> Callable[[Any], int]:
    """The place of an item in a list by its key (or itself); -1 when it is not there."""

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    known = [identity(item) for item in items]

    def place(item: Any) -> int:
        value = identity(item)
        return known.index(value) if value in known else -1

    return place
