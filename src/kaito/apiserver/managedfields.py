"""Who owns which fields: reading and writing `metadata.managedFields`, and tracking plain writes.

A manager is a name with an operation and a subresource, and for updates the apiVersion too. An
update makes its manager the owner of what it changed and takes that from everybody else.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, final

import msgspec

from kaito.apiserver import typed
from kaito.apiserver.comparing import Comparison, compare
from kaito.apiserver.fieldsets import FieldSet, has_all, meets
from kaito.apiserver.status import Refused
from kaito.apiserver.typed import Type
from kaito.kube.objects import Json

APPLY: Final = "Apply"
UPDATE: Final = "Update"
BEFORE_FIRST_APPLY: Final = "before-first-apply"
ANCIENT: Final = "ancient-changes"
MOST_UPDATERS: Final = 10
"""Older update managers are merged into one (`DefaultMaxUpdateManagers` of apimachinery)."""


class Manager(NamedTuple):
    """Who wrote, and how. `version` is empty for appliers, who keep their name across versions."""

    name: str
    operation: str
    version: str = ""
    subresource: str = ""


@final
class Owned:
    """What one manager owns, in the words of one apiVersion. Immutable.

    What is stored is read when somebody has to know it: most writes touch nothing of it.
    """

    __slots__ = ("_fields", "_stored", "time", "version")

    def __init__(
        self, fields: FieldSet | None, version: str, time: str = "", *, stored: Json | None = None
    ) -> None:
        """`stored`: the `fieldsV1`, as `write` wrote it, instead of `fields`."""
        self._fields = fields
        self._stored = stored
        self.version = version
        self.time = time

    @property
    def fields(self) -> FieldSet:
        if self._fields is None:
            self._fields = FieldSet.from_json(self._stored or {})
        return self._fields

    def json(self) -> Json:
        """`fieldsV1`. Not to be changed."""
        return self.fields.to_json() if self._stored is None else self._stored

    def meets(self, fields: FieldSet) -> bool:
        """Whether it owns any of these."""
        if self._fields is None:
            return meets(self._stored or {}, fields)
        return bool(self._fields.intersection(fields))

    def with_(self, fields: FieldSet, version: str, time: str) -> "Owned":
        """These too, in the words of `version`."""
        if self._stored and has_all(self._stored, fields):
            return Owned(None, version, time, stored=self._stored)
        return Owned(self.fields.union(fields), version, time)

    def without(self, fields: FieldSet) -> "Owned":
        """Less these."""
        return Owned(self.fields.difference(fields), self.version, self.time)

    def __bool__(self) -> bool:
        return bool(self._stored if self._fields is None else self._fields)


Owners = dict[Manager, Owned]


class Shape(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What tracking must know about a kind.

    `type_of` gives the type of the kind in an apiVersion (None: served no more); `ignored` are the
    fields that a write cannot change (`status` by the main resource, say); `empty` is what an
    object that does not exist looks like.
    """

    version: str
    type_of: Callable[[str], Type | None]
    ignored: FieldSet
    empty: Json
    subresource: str = ""
    convert: Callable[[Json, str], Json] | None = None
    """An object in another apiVersion; None: versions differ in nothing that can be owned."""

    def at(self, obj: Json, version: str) -> Json:
        """`obj` in another apiVersion. Raises Unfit when it is not of that version's type."""
        if self.convert is None or obj.get("apiVersion", version) == version:
            return obj
        converted = self.convert(obj, version)
        if type_ := self.type_of(version):
            typed.check(converted, type_)
        return converted

    @property
    def type(self) -> Type:
        found = self.type_of(self.version)
        if found is None:
            raise LookupError(self.version)
        return found


class Unreadable(ValueError):
    """The managedFields that a client sent are not managedFields."""


def read(entries: list[Json] | None, *, stored: bool = False) -> Owners:
    """Decode `managedFields`. Raises Unreadable. `stored`: they are as `write` wrote them."""
    owners: Owners = {}
    for given in entries or ():
        entry = given or {}
        operation, version = entry.get("operation"), entry.get("apiVersion")
        if operation not in (APPLY, UPDATE):
            raise Unreadable("operation must be `Apply` or `Update`")
        if not version:
            raise Unreadable("apiVersion must not be empty")
        if entry.get("fieldsType") != "FieldsV1":
            raise Unreadable("fieldsType must be FieldsV1")
        manager = Manager(
            entry.get("manager", ""),
            operation,
            version if operation == UPDATE else "",
            entry.get("subresource", ""),
        )
        fields, time = entry.get("fieldsV1"), entry.get("time", "")
        owners[manager] = (
            Owned(None, version, time, stored=fields or {})
            if stored
            else Owned(_sent({} if fields is None else fields), version, time)
        )
    return owners


def _sent(fields: Any) -> FieldSet:
    try:
        return FieldSet.sent(fields)
    except (ValueError, TypeError) as error:
        raise Unreadable(str(error)) from error


def write(owners: Owners) -> list[Json]:
    """Encode, in the order of the real server: appliers first, then by time and name."""
    entries = []
    for manager, owned in owners.items():
        entry: Json = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": owned.version,
        }
        if owned.time:
            entry["time"] = owned.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = owned.json()
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return sorted(
        entries,
        key=lambda e: (
            e["operation"],
            e.get("time", ""),
            e["manager"],
            e["apiVersion"],
            e.get("subresource", ""),
        ),
    )


def same_but_for_time(one: list[Json] | None, other: list[Json] | None) -> bool:
    """Whether two `managedFields` differ in nothing but their timestamps."""

    def timeless(entries: list[Json] | None) -> list[Json]:
        return [{k: v for k, v in entry.items() if k != "time"} for entry in entries or ()]

    return timeless(one) == timeless(other)


def changed(
    old: Json, new: Json, owners: Owners, shape: Shape, *, but: Manager
) -> tuple[Owners, dict[Manager, FieldSet], Comparison]:
    """Owners after a change, what each but one of them lost by conflict, and the change itself.

    Managers of versions that are served no more, and those left with nothing, disappear.
    """
    comparisons: dict[str, Comparison] = {}
    kept: Owners = {}
    conflicts: dict[Manager, FieldSet] = {}
    whole = compare(old, new, shape.type)
    comparisons[shape.version] = whole.without(shape.ignored)
    for manager, owned in owners.items():
        if manager == but:
            kept[manager] = owned
            continue
        comparison = comparisons.get(owned.version)
        if comparison is None:
            type_ = shape.type_of(owned.version)
            if type_ is None:
                continue
            before, after = shape.at(old, owned.version), shape.at(new, owned.version)
            comparison = compare(before, after, type_).without(shape.ignored)
            comparisons[owned.version] = comparison
        if owned.meets(comparison.given):
            taken = conflicts[manager] = owned.fields.intersection(comparison.given)
            owned = owned.without(taken)
        if owned.meets(comparison.removed):
            owned = owned.without(comparison.removed)
        if owned:
            kept[manager] = owned
    return kept, conflicts, comparisons[shape.version]


_SELF: Final = Manager("", UPDATE)


def track(old: Json | None, new: Json, manager: Manager, shape: Shape, now: str) -> None:
    """Set `managedFields` of `new` after a write that is not an apply.

    A client may write `managedFields` itself; an empty list, or a list of one empty entry, resets
    them. An object that has none is not tracked again until it is applied.
    """
    metadata = new["metadata"]
    given = metadata.pop("managedFields", None)
    owners = _starting(old, given, shape)
    if old is not None and not owners:
        return
    before = shape.empty if old is None else bare(old)
    try:
        owners, _, change = changed(before, bare(new), owners, shape, but=_SELF)
    except (typed.Unfit, Refused):
        return  # validation will say what is wrong with it; nobody owns what cannot be compared
    mine = change.own
    if mine:
        previous = owners.get(manager)
        owners[manager] = (
            Owned(mine, shape.version, now)
            if previous is None
            else previous.with_(mine, shape.version, now)
        )
    entries = write(_capped(owners))
    if entries:
        metadata["managedFields"] = entries


def _starting(old: Json | None, given: list[Json] | None, shape: Shape) -> Owners:
    stored = (old or {}).get("metadata", {}).get("managedFields")
    if shape.subresource and old is not None:
        given = stored
    if given is not None and given in ([], [{}]):
        return {}
    try:
        owners = read(given, stored=given == stored)
    except Unreadable:
        owners = {}
    try:
        return owners or read(stored, stored=True)
    except Unreadable:
        return {}


def bare(obj: Json) -> Json:
    """The object as ownership is about it: without `managedFields`."""
    metadata = {name: v for name, v in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _capped(owners: Owners) -> Owners:
    """Merge the oldest updaters of a version until there are few enough."""
    updaters = sorted(
        (manager for manager in owners if manager.operation == UPDATE),
        key=lambda manager: (owners[manager].time, manager),
    )
    excess = len(updaters) - MOST_UPDATERS
    first: dict[str, Manager] = {}
    for manager in updaters:
        if excess <= 0:
            break
        owned = owners[manager]
        oldest = first.setdefault(owned.version, manager)
        if oldest == manager:
            continue
        bucket = Manager(ANCIENT, UPDATE, owned.version)
        if bucket not in owners:
            owners[bucket] = owners.pop(oldest)
        fields = owners[bucket].fields.union(owned.fields)
        owners[bucket] = Owned(fields, owned.version, owned.time)
        if manager != bucket:
            del owners[manager]
        excess -= 1
    return owners
