"""The read side of a cache: what reconcilers see of one kind.

Reads never wait and never talk to the server. What this process has itself written, and the watch
has not brought back yet, is laid over the cached content until it has. A run may only read what its
controller waits for (`kaito.framework.reading`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from kaito.framework.events import Event
from kaito.framework.index import IndexFunction, Key
from kaito.framework.reading import check_awaited
from kaito.framework.shard import Shard
from kaito.kube.objects import Record, Resource
from kaito.kube.selectors import LabelSelector
from kaito.kube.versions import newer_or_equal

_NAMESPACE_INDEX = "metadata.namespace"
_SWEEP: Final = 100
"""Overlays beyond which those that are settled are thrown away; they may never be read again."""


@dataclass(frozen=True, slots=True)
class _Overlay:
    """An answer to a write: `record`, or None where the object of that uid is gone.

    `exact`: `version` is that of the write. Of a deletion only an earlier one is known.
    """

    shard: Shard
    version: str
    uid: str
    record: Record | None
    exact: bool = True

    def settled(self, key: Key) -> bool:
        """The watch has brought what this says, or something newer."""
        if not self.shard.reached(self.version):
            return False
        return self.exact or not self.shard.has(key, self.uid)

    def over(self, base: Record | None) -> Record | None:
        """What to read where the watches have brought `base`."""
        if self.record is None and base is not None and base.meta.uid != self.uid:
            # A successor. What bore the name before it is gone, too.
            return base if newer_or_equal(base.meta.resource_version, self.version) else None
        return self.record

    def yields_to(self, answer: Record) -> bool:
        """Whether a write that was answered so came later, although both were under way at once.
        Nothing comes later than the end of the same object."""
        if not self.exact:
            return answer.meta.uid != self.uid
        return newer_or_equal(answer.meta.resource_version, self.version)


@final
class Store:
    """The objects of one kind, by key and by index. Records are immutable and may be kept."""

    def __init__(
        self, resource: Resource, indexes: Mapping[str, IndexFunction], shards: int = 1
    ) -> None:
        self.resource = resource
        self._observers: list[Callable[[Sequence[Event]], None]] = []
        siblings = self if shards > 1 else None
        self.shards = tuple(Shard(self._emit, indexes, siblings) for _ in range(shards))
        self._overlays: dict[Key, _Overlay] = {}
        self._sweep_at = _SWEEP

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: Key) -> Record | None:
        """The object of that name, or None. `key` is an `ObjectKey`."""
        check_awaited(self)
        return self.known(key)

    def known(self, key: Key) -> Record | None:
        """As `get`, for what may work with less than everything; never refused."""
        record = self._base(key)
        if self._overlays and (overlay := self._overlay(key)):
            return overlay.over(record)
        return record

    def by_index(self, index: str, value: str) -> list[Record]:
        """The objects that the named index finds under `value`. KeyError for an unknown index."""
        check_awaited(self)
        values_of = self.shards[0].indexes[index].values_of
        found = (
            (key, shard.records[key])
            for shard in self.shards
            for key in shard.indexes[index].keys(value)
        )
        return list(self._merged(found, lambda record: value in values_of(record)))

    def list(self, *, namespace: str = "", selector: LabelSelector | None = None) -> list[Record]:
        """All objects, or those of one namespace, or those whose labels match; arrival order."""
        check_awaited(self)
        if namespace:
            self.add_index(_NAMESPACE_INDEX, lambda record: (record.meta.namespace,))
            records = self.by_index(_NAMESPACE_INDEX, namespace)
        else:
            records = list(self._merged(self._all(), lambda _: True))
        if selector is None:
            return records
        return [record for record in records if selector.matches(record.meta.labels)]

    def __len__(self) -> int:
        return sum(len(shard.records) for shard in self.shards)

    @property
    def resource_version(self) -> str:
        """Everything up to this version is applied; empty before the first sync."""
        oldest = self.shards[0].version
        for shard in self.shards[1:]:
            if not newer_or_equal(shard.version, oldest):
                oldest = shard.version
        return oldest if self.synced else ""

    @property
    def synced(self) -> bool:
        """Whether the content has been complete once, and still is being kept up to date."""
        return all(shard.synced for shard in self.shards)

    def size(self) -> int:
        """Bytes of JSON held, metadata not counted."""
        return sum(record.size() for shard in self.shards for record in shard.records.values())

    # -- for the framework ---------------------------------------------------------------------

    def observe(self, observer: Callable[[Sequence[Event]], None]) -> None:
        """`observer` is called in the same step as every change. It must not raise."""
        self._observers.append(observer)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Also over what is already here. A name that exists keeps its function."""
        for shard in self.shards:
            shard.add_index(name, function)

    def overlay(self, shard: Shard, record: Record) -> None:
        """`record` is what a write answered; it is seen until `shard` has caught up with it."""
        self._lay_over(shard, record, record)

    def overlay_gone(self, shard: Shard, key: Key, uid: str, version: str) -> None:
        """The object of that uid, last known at `version`, was deleted by us."""
        overlay = _Overlay(shard, version, uid, None, exact=False)
        if overlay.settled(key):
            self._overlays.pop(key, None)
        else:
            self._remember(key, overlay)

    def overlay_left(self, shard: Shard, record: Record) -> None:
        """A write, answered with `record`, moved the object out of every selector."""
        self._lay_over(shard, record, None)

    # -- shards of one store -------------------------------------------------------------------

    def take(self, key: Key, taker: Shard, version: str) -> Record | None:
        for shard in self.shards:
            held = None if shard is taker else shard.records.get(key)
            if held is not None and newer_or_equal(version, held.meta.resource_version):
                return shard.give_up(key)
        return None

    def held_elsewhere(self, key: Key, asker: Shard) -> bool:
        return any(key in shard.records for shard in self.shards if shard is not asker)

    # -- inside --------------------------------------------------------------------------------

    def _lay_over(self, shard: Shard, answer: Record, shown: Record | None) -> None:
        key, version = (answer.meta.namespace, answer.meta.name), answer.meta.resource_version
        if shard.reached(version):
            return
        known = self._overlay(key)
        if known is None or known.yields_to(answer):
            self._remember(key, _Overlay(shard, version, answer.meta.uid, shown))

    def _remember(self, key: Key, overlay: _Overlay) -> None:
        if len(self._overlays) >= self._sweep_at:
            kept = {k: held for k, held in self._overlays.items() if not held.settled(k)}
            self._overlays, self._sweep_at = kept, _SWEEP + 2 * len(kept)
        self._overlays[key] = overlay

    def _emit(self, events: Sequence[Event]) -> None:
        for observer in self._observers:
            observer(events)

    def _base(self, key: Key) -> Record | None:
        for shard in self.shards:
            if (record := shard.records.get(key)) is not None:
                return record
        return None

    def _all(self) -> Iterator[tuple[Key, Record]]:
        for shard in self.shards:
            yield from shard.records.items()

    def _overlay(self, key: Key) -> _Overlay | None:
        overlay = self._overlays.get(key)
        if overlay is not None and overlay.settled(key):
            del self._overlays[key]
            return None
        return overlay

    def _merged(
        self, found: Iterator[tuple[Key, Record]], wanted: Callable[[Record], bool]
    ) -> Iterator[Record]:
        """`found`, as it will be once the watch has brought what we have written."""
        over = {key: overlay for key in tuple(self._overlays) if (overlay := self._overlay(key))}
        for key, record in found:
            if key not in over:
                yield record
        for key, overlay in over.items():
            record_over = overlay.over(self._base(key))
            if record_over is not None and wanted(record_over):
                yield record_over
