"""What one list-and-watch has brought: the records, their indexes, and the version applied.

Only the reflector of a shard writes to it, so a replacement can be built aside, yielding to the
loop as often as it likes, and is then swapped in within one step. Nobody ever sees half of it.
"""

import heapq
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, final

from kaito.framework.events import Added, Deleted, Event, Updated
from kaito.framework.index import Index, IndexFunction, Key
from kaito.kube.objects import Record
from kaito.kube.versions import newer_or_equal, well_formed

SLICE = 500
"""Records handled between two yields of a replacement: the page size of a list."""

Emit = Callable[[Sequence[Event]], None]
Pause = Callable[[], Awaitable[None]]


class Siblings(Protocol):
    """The other shards of a store, which may hold an object that has just moved here."""

    def take(self, key: Key, taker: "Shard", version: str) -> Record | None:
        """Remove `key` from whoever else holds it in a state not newer than `version`."""
        ...

    def held_elsewhere(self, key: Key, asker: "Shard") -> bool: ...


@final
class Shard:
    """A part of a store. `emit` is called in the same step as the change that it reports."""

    def __init__(
        self, emit: Emit, indexes: Mapping[str, IndexFunction], siblings: Siblings | None = None
    ) -> None:
        self.records: dict[Key, Record] = {}
        self.indexes = {name: Index(function) for name, function in indexes.items()}
        self.version = ""
        """The resourceVersion up to which everything is applied; empty before the first sync."""
        self.synced = False
        self.followed = False
        """Whether a reflector is at work on it."""
        self._siblings = siblings
        self._emit = emit
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._vanishing: dict[Key, list[tuple[str, Callable[[], None]]]] = {}
        self._arrivals = 0
        self._moved_away: set[Key] | None = None
        """What other shards have taken over since the replacement at work began."""

    # -- what the reflector does ---------------------------------------------------------------

    async def replace(self, records: Iterable[Record], version: str, pause: Pause) -> None:
        """Make the content exactly `records`, known at `version`.

        A record of unchanged uid and resourceVersion keeps its identity and causes no event.
        Deletions (tombstones) are reported first, then additions and updates in list order.
        """
        known = set(self.indexes)
        self._moved_away = set()
        content, replaced, changed = await self._compare(records, pause)
        gone = await self._missing(content, pause)
        indexes = {name: Index(self.indexes[name].function) for name in sorted(known)}
        for count, (key, record) in enumerate(content.items(), 1):
            for index in indexes.values():
                index.add(key, record)
            if indexes and count % SLICE == 0:
                await pause()
        for name in sorted(self.indexes.keys() - known):  # declared while we yielded
            indexes[name] = self._indexed(content, self.indexes[name].function)
        before, events = self.records, [*gone, *replaced, *changed]
        del gone, replaced, changed
        self._swap(content, indexes, version, events)
        await _let_go(before, events, pause)

    def known(self, record: Record) -> Record:
        """The very record that is held, if it is of the same uid and resourceVersion; else this."""
        held = self.records.get((record.meta.namespace, record.meta.name))
        return held if held is not None and same_version(held, record) else record

    def upsert(self, record: Record, *, advance: bool = True) -> None:
        """An ADDED or MODIFIED event. `advance`: its version is where the stream has got to."""
        key = (record.meta.namespace, record.meta.name)
        old = self.records.get(key)
        if old is None and self._siblings is not None:
            old = self._siblings.take(key, self, record.meta.resource_version)
        elif old is not None and self.indexes:
            self._unindex(key, old)
        self.records[key] = record
        if self.indexes:
            for index in self.indexes.values():
                index.add(key, record)
        if advance:
            self.version = record.meta.resource_version
        if events := _difference(old, record, initial=False):
            self._emit(events)
        if old is not None and old.meta.uid != record.meta.uid:
            self._vanished(key)
        if self._waiting:
            self._progress()

    def remove(self, record: Record) -> None:
        """A DELETED event; `record` carries the version of the deletion."""
        key = (record.meta.namespace, record.meta.name)
        old = self.records.pop(key, None)
        self.version = record.meta.resource_version
        if old is not None:
            self._unindex(key, old)
            same = old.meta.uid == record.meta.uid
            self._emit((Deleted(record if same else old, tombstone=not same),))
            self._vanished(key)
        self._progress()

    def advance(self, version: str) -> None:
        """A bookmark: nothing changed up to `version`."""
        self.version = version
        self._progress()

    def begin(self) -> None:
        """A reflector sets to work."""
        self.followed = True

    def end(self) -> None:
        """The reflector is gone: nothing will be brought, so nobody should wait for it."""
        self.followed = self.synced = False
        for key in tuple(self._vanishing):
            for _, wake in self._vanishing.pop(key):
                wake()
        while self._waiting:
            heapq.heappop(self._waiting)[2]()

    # -- what others ask -----------------------------------------------------------------------

    def reached(self, version: str) -> bool:
        """Whether everything up to `version` is applied. Incomparable versions pass."""
        return bool(self.version) and newer_or_equal(self.version, version)

    def when_reached(self, version: str, wake: Callable[[], None]) -> None:
        """Call `wake` once, after `version` is applied; at the next change if incomparable."""
        self._arrivals += 1
        number = int(version) if well_formed(version) else 0
        heapq.heappush(self._waiting, (number, self._arrivals, wake))

    def has(self, key: Key, uid: str) -> bool:
        record = self.records.get(key)
        return record is not None and record.meta.uid == uid

    def when_vanished(self, key: Key, uid: str, wake: Callable[[], None]) -> None:
        """Call `wake` once, after the object of that uid, which is here now, is gone."""
        self._vanishing.setdefault(key, []).append((uid, wake))

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Also over what is already here. A name that exists keeps its function."""
        if name not in self.indexes:
            self.indexes[name] = self._indexed(self.records, function)

    def give_up(self, key: Key) -> Record | None:
        """Another shard now holds this object."""
        record = self.records.pop(key, None)
        if record is not None:
            self._unindex(key, record)
            if self._moved_away is not None:
                self._moved_away.add(key)
        return record

    # -- inside --------------------------------------------------------------------------------

    async def _compare(
        self, records: Iterable[Record], pause: Pause
    ) -> tuple[dict[Key, Record], list[Event], list[Event]]:
        """What there will be, whose namesakes are gone for it, and what else has happened."""
        content: dict[Key, Record] = {}
        replaced: list[Event] = []
        changed: list[Event] = []
        for count, record in enumerate(records, 1):
            key = (record.meta.namespace, record.meta.name)
            old = self.records.get(key)
            if old is not None and same_version(old, record):
                content[key] = old
            else:
                content[key] = record
                *gone, news = _difference(old, record, initial=not self.version)
                replaced += gone
                changed.append(news)
            if count % SLICE == 0:
                await pause()
        return content, replaced, changed

    async def _missing(self, content: Mapping[Key, Record], pause: Pause) -> list[Event]:
        gone: list[Event] = []
        for count, key in enumerate(tuple(self.records), 1):
            if key not in content and (record := self.records.get(key)) is not None:
                gone.append(Deleted(record, tombstone=True))
            if count % SLICE == 0:
                await pause()
        return gone

    def _swap(
        self,
        content: dict[Key, Record],
        indexes: dict[str, Index],
        version: str,
        events: Sequence[Event],
    ) -> None:
        self.records, self.indexes, self.version = content, indexes, version
        self.synced = True
        self._emit(self._without_moved(events))
        for key in tuple(self._vanishing):
            self._vanished(key)
        self._progress()

    def _without_moved(self, events: Sequence[Event]) -> Sequence[Event]:
        """Drop what another shard has meanwhile taken over, and take over what it still holds."""
        if self._siblings is None:
            return events
        kept: list[Event] = []
        for event in events:
            meta = event.record.meta
            key = (meta.namespace, meta.name)
            if isinstance(event, Deleted):
                if not self._siblings.held_elsewhere(key, self):
                    kept.append(event)
                continue
            before = self._siblings.take(key, self, meta.resource_version)
            if self._siblings.held_elsewhere(key, self):
                self.give_up(key)
            elif before is None:
                kept.append(event)
            else:
                kept += _difference(before, event.record, initial=False)
        moved, self._moved_away = self._moved_away or (), None
        for key in moved:
            # Listed before it went, and unchanged, so there is no event about it.
            if self._siblings.held_elsewhere(key, self):
                self.give_up(key)
        return kept

    def _unindex(self, key: Key, record: Record) -> None:
        for index in self.indexes.values():
            index.discard(key, record)

    @staticmethod
    def _indexed(records: Mapping[Key, Record], function: IndexFunction) -> Index:
        index = Index(function)
        for key, record in records.items():
            index.add(key, record)
        return index

    def _vanished(self, key: Key) -> None:
        waiting = self._vanishing.pop(key, ())
        for uid, wake in waiting:
            if self.has(key, uid):
                self.when_vanished(key, uid, wake)
            else:
                wake()

    def _progress(self) -> None:
        if not self._waiting:
            return
        reached = int(self.version) if well_formed(self.version) else None
        while self._waiting and (reached is None or self._waiting[0][0] <= reached):
            heapq.heappop(self._waiting)[2]()


async def _let_go(records: dict[Key, Record], events: list[Event], pause: Pause) -> None:
    """Freeing thirty thousand records at once stops the loop for longer than decoding a page."""
    while len(records) > SLICE:
        for _ in range(SLICE):
            records.popitem()
        await pause()
    while len(events) > SLICE:
        del events[-SLICE:]
        await pause()


def same_version(a: Record, b: Record) -> bool:
    """The same object in the same state."""
    return bool(a.meta.resource_version) and (
        a.meta.resource_version == b.meta.resource_version and a.meta.uid == b.meta.uid
    )


def _difference(old: Record | None, new: Record, *, initial: bool) -> list[Event]:
    if old is None:
        return [Added(new, initial=initial)]
    if old.meta.uid != new.meta.uid:
        return [Deleted(old, tombstone=True), Added(new)]
    if same_version(old, new):
        return []
    return [Updated(old, new)]
