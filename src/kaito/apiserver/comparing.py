"""What changed on the way from one value to another, in the fields of its type."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, final

from kaito.apiserver import fieldsets
from kaito.apiserver.fieldsets import FieldSet, Path
from kaito.apiserver.outlines import Unusual, below, outline
from kaito.apiserver.typed import UNKNOWN, Type, content, like
from kaito.kube.objects import Json
from kaito.kube.schema.fields import MISSING

_MOST_KNOWN: Final = 512
"""Comparisons that are remembered. The status of every pod brings some that never come again (an
address is the name of an item): more would cost memory, and work for the garbage collector."""


_NEVER_OWNED: Final = FieldSet.of(
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
)


def own(fields: FieldSet) -> FieldSet:
    """What of a set can be owned at all: not the name, not the version ..."""
    return fields.difference(_NEVER_OWNED)


@final
@dataclass(frozen=True)
class Comparison:
    """What changed on the way from one value to another. No path is in two of the sets.

    Shared between writes that touch the same fields: nothing of it is ever changed.
    """

    removed: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    added: FieldSet = field(default_factory=FieldSet)
    _less: "tuple[FieldSet, Comparison] | None" = field(default=None, repr=False, compare=False)

    @cached_property
    def given(self) -> FieldSet:
        """What was given a value."""
        return self.modified.union(self.added)

    @cached_property
    def own(self) -> FieldSet:
        """What whoever made the change owns from now on."""
        return own(self.given)

    def without(self, ignored: FieldSet) -> "Comparison":
        """As if some fields had not changed."""
        if not ignored:
            return self
        if self._less is None or self._less[0] is not ignored:
            sets = (self.removed, self.modified, self.added)
            removed, modified, added = (one.without(ignored) for one in sets)
            less = Comparison(removed, modified, added)
            object.__setattr__(self, "_less", (ignored, less))
            return less
        return self._less[1]


def compare(old: Json, new: Json, type_: Type) -> Comparison:
    """The difference of two objects."""
    try:
        key = (type_, outline(old, new, type_))
    except Unusual:
        return compared(old, new, type_)
    found = _known.get(key)
    if found is None:
        found = compared(old, new, type_)
        if len(_known) >= _MOST_KNOWN:
            del _known[next(iter(_known))]
        _known[key] = found
    return found


_known: dict[Hashable, Comparison] = {}


def forget() -> None:
    """Drop what is remembered: for whoever measures the memory of something else."""
    _known.clear()
    _wholes.clear()


def compared(old: Json, new: Json, type_: Type) -> Comparison:
    """The same, without a memory."""
    found = Comparison()
    _compare(old, new, type_, (), found)
    return found


def _compare(old: Any, new: Any, type_: Type, path: Path, found: Comparison) -> None:
    if isinstance(new, dict | list) and old == new:
        return  # most of an object, most of the time: compared where it is fast
    if old is MISSING:
        found.added.insert(path, _whole(new, type_))
    elif new is MISSING:
        found.removed.insert(path, _whole(old, type_))
    else:
        _compare_present(old, new, type_, path, found)


def _compare_present(old: Any, new: Any, type_: Type, path: Path, found: Comparison) -> None:
    sample = old if new is None else new
    if isinstance(sample, dict) and like(old, dict) and not type_.atomic_map and (old or new):
        left, right = content(old, {}), content(new, {})
        for name in {**left, **right}:
            one, other = left.get(name, MISSING), right.get(name, MISSING)
            _compare_member(one, other, type_, name, path, found)
        return
    keys = type_.list_keys if isinstance(sample, list) and like(old, list) else None
    if keys is not None and (old or new):
        _compare_items(content(old, []), content(new, []), type_, keys, path, found)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        found.modified.insert(path)
        if isinstance(old, dict) != isinstance(new, dict) and not type_.atomic_map:
            # What no schema describes may change its shape; what was below it goes or comes.
            for name, item in old.items() if isinstance(old, dict) else ():
                _compare_member(item, MISSING, type_, name, path, found)
            for name, item in new.items() if isinstance(new, dict) else ():
                _compare_member(MISSING, item, type_, name, path, found)


def _whole(value: Any, type_: Type) -> FieldSet | None:
    """The same as `_all_of`, remembered: a status is new to every pod, its conditions are not."""
    if not isinstance(value, dict | list):
        return None
    try:
        key = (type_, below(value, type_))
    except Unusual:
        return _all_of(value, type_)
    if key not in _wholes:
        if len(_wholes) >= _MOST_KNOWN:
            del _wholes[next(iter(_wholes))]
        _wholes[key] = _all_of(value, type_)
    return _wholes[key]


_wholes: dict[Hashable, FieldSet | None] = {}


def _all_of(value: Any, type_: Type) -> FieldSet | None:
    """What comes or goes below a value that comes or goes."""
    if isinstance(value, dict):
        if not value or type_.atomic_map:
            return None
        found = FieldSet()
        for name, item in value.items():
            below = None
            if isinstance(item, dict | list):
                below = _all_of(item, type_.of_field(name) or UNKNOWN)
            found.add(fieldsets.field(name), below)
        return found
    keys = type_.list_keys if isinstance(value, list) and value else None
    if keys is None:
        return None
    found = FieldSet()
    for element, items in _grouped(value, type_, keys).items():
        found.add(element, _all_of(items[0], type_.of_item) if len(items) == 1 else None)
    return found


def _compare_member(
    old: Any, new: Any, type_: Type, name: str, path: Path, found: Comparison
) -> None:
    below = type_.of_field(name) or UNKNOWN
    _compare(old, new, below, (*path, fieldsets.field(name)), found)


def _compare_items(
    old: list[Any],
    new: list[Any],
    type_: Type,
    keys: tuple[str, ...],
    path: Path,
    found: Comparison,
) -> None:
    left, right = _grouped(old, type_, keys), _grouped(new, type_, keys)
    for element in {**left, **right}:
        before, after = left.get(element, []), right.get(element, [])
        where = (*path, element)
        if len(before) <= 1 and len(after) <= 1:
            one, other = (items[0] if items else MISSING for items in (before, after))
            _compare(one, other, type_.of_item, where, found)
        elif len(before) > 1 and len(after) > 1:
            if before != after:
                found.modified.insert(where)
        elif len(before) > 1:
            if after:
                _compare(MISSING, after[0], type_.of_item, where, found)
            found.removed.insert(where)
        else:
            if before:
                _compare(before[0], MISSING, type_.of_item, where, found)
            found.added.insert(where)


def _grouped(items: list[Any], type_: Type, keys: tuple[str, ...]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(type_.element(item, keys), []).append(item)
    return found
