"""The objects, every recent change to them, and one counter that orders all of it.

A stored object is its JSON text less `apiVersion` and `kind`: what is stored cannot be changed by
accident, a read costs no encoding, and another served version of the kind is another first line.
Changes are kept for a window; a watch is a cursor into that window, so watchers cost nothing per
change and a slow one cannot make the server hold memory for it.
"""

import bisect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final, Literal, final
from uuid import UUID

import msgspec

from kaito.kube.clock import Clock
from kaito.kube.objects import Json, ObjectKey

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_EMPTY: Final[Mapping[str, str]] = {}


class Stored(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One version of one object. `tail` is its JSON without apiVersion and kind.

    The garbage collector does not track it, nor anything that it holds: with ten thousand pods and
    as many changes of them, walking over all that would stop the loop for most of a second.
    """

    namespace: str
    name: str
    uid: str
    version: int
    labels: Mapping[str, str]
    deleting: bool
    """Marked for deletion."""
    tail: bytes
    written: str = ""
    """Of a custom object: the apiVersion in which it is stored."""
    memo: dict[str, Any] = {}
    """What selectors read of it, and how it is in other versions: computed once, for everybody."""

    @property
    def key(self) -> ObjectKey:
        # Made when asked for: a tuple with names is something that the collector tracks.
        return ObjectKey(self.namespace, self.name)

    @property
    def path(self) -> str:
        """The key as storage orders it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def json(self) -> Json:
        """A fresh dict that the caller owns, without apiVersion and kind."""
        return _decode(self.tail)


class Change(msgspec.Struct, gc=False):
    """One committed write. For DELETED, `new` is the last state at the version of the deletion."""

    type: ChangeType
    version: int
    at: float
    old: Stored | None
    new: Stored
    lines: dict[str, bytes] = {}
    """Watch events by version of the kind, where encoding them is work: done once for all
    watchers. Elsewhere an event is what is stored, between a few bytes."""


def path_of(key: ObjectKey) -> str:
    """The key as storage orders it: `namespace/name`, or the name alone."""
    return f"{key.namespace}/{key.name}" if key.namespace else key.name


@final
class Bucket:
    """All objects of one resource (every served version of it), ordered by namespace/name."""

    def __init__(self, lifetime: float | None = None) -> None:
        self.lifetime = lifetime
        """Seconds that an object stays after its last write; None: until it is deleted."""
        self.objects: dict[str, Stored] = {}
        self._order: list[str] = []
        self.changes: deque[Change] = deque()
        self.dropped = 0
        """The newest version that is no longer in `changes`."""
        self.first = 0
        """The sequence number of `changes[0]`."""
        self.aging: deque[tuple[float, str, int]] = deque()
        """When a version of an object was written, of objects that do not stay."""
        self._listeners: dict[int, Callable[[], None]] = {}
        self._next_listener = 0

    def get(self, key: ObjectKey) -> Stored | None:
        return self.objects.get(path_of(key))

    def __len__(self) -> int:
        return len(self.objects)

    def scan(self, namespace: str = "", after: str = "") -> Iterator[Stored]:
        """In order; only of one namespace if given; only those behind the path `after`."""
        for path in self._paths(namespace, after):
            yield self.objects[path]

    def _paths(self, namespace: str, after: str) -> list[str]:
        start = bisect.bisect_right(self._order, after) if after else 0
        if not namespace:
            return self._order[start:]
        first = bisect.bisect_left(self._order, f"{namespace}/")
        last = bisect.bisect_left(self._order, f"{namespace}0")
        return self._order[max(start, first) : last]

    def put(self, stored: Stored) -> Stored | None:
        path = stored.path
        old = self.objects.get(path)
        if old is None:
            bisect.insort(self._order, path)
        self.objects[path] = stored
        return old

    def refresh(self, stored: Stored, obj: Json) -> None:
        """Show an object anew, at the same version: its schema changed, not the object."""
        tail = _encode(obj)
        if tail != stored.tail:
            self.objects[stored.path] = msgspec.structs.replace(stored, tail=tail, memo={})

    def drop(self, key: ObjectKey) -> None:
        path = path_of(key)
        del self.objects[path]
        del self._order[bisect.bisect_left(self._order, path)]

    def as_of(self, version: int) -> dict[str, Stored]:
        """The objects as they were at `version`, which must lie within the window."""
        objects = dict(self.objects)
        for change in reversed(self.changes):
            if change.version <= version:
                break
            path = change.new.path
            if change.old is None:
                objects.pop(path, None)
            else:
                objects[path] = change.old
        return dict(sorted(objects.items()))

    def position(self, version: int) -> int:
        """The sequence number of the first change after `version`."""
        index = bisect.bisect_right(self.changes, version, key=lambda change: change.version)
        return self.first + index

    def next_position(self) -> int:
        """The sequence number that the next change will have."""
        return self.first + len(self.changes)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after every change; returns what ends it."""
        number = self._next_listener
        self._next_listener += 1
        self._listeners[number] = wake
        return lambda: self._listeners.pop(number, None) and None

    @property
    def watchers(self) -> int:
        return len(self._listeners)

    def notify(self) -> None:
        for wake in tuple(self._listeners.values()):
            wake()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How much history is kept, per resource."""

    changes: int = 10_000
    """At most so many changes."""
    seconds: float = 600.0
    """None older than this: etcd compacts every 5 minutes what is older than 5 minutes."""


_LIFETIMES: Final = {"events": 3600.0}
"""Seconds that objects stay after they were written last: `--event-ttl` of kube-apiserver."""


@final
class Storage:
    """Commits writes. There is no `await` in here: every operation is atomic on the loop."""

    def __init__(self, *, clock: Clock, random: Random, window: Window = Window()) -> None:
        self._clock = clock
        self._random = random
        self._window = window
        self._buckets: dict[str, Bucket] = {}
        self.revision = 1

    def bucket(self, group_resource: str) -> Bucket:
        found = self._buckets.get(group_resource)
        if found is None:
            found = self._buckets[group_resource] = Bucket(_LIFETIMES.get(group_resource))
        return found

    def buckets(self) -> Mapping[str, Bucket]:
        """Every one that has been asked for, by resource."""
        return MappingProxyType(self._buckets)

    def new_uid(self) -> str:
        """A version 4 UUID from the injected chance."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def write(self, bucket: Bucket, obj: Json) -> Stored:
        """Store `obj` (less kind, and apiVersion but for custom objects) as a new version."""
        stored = self._stamp(obj)
        old = bucket.put(stored)
        self._record(bucket, "ADDED" if old is None else "MODIFIED", old, stored)
        if bucket.lifetime is not None:
            bucket.aging.append((self._clock.monotonic(), stored.path, stored.version))
        return stored

    def expire(self, bucket: Bucket) -> None:
        """Remove what was written too long ago. Nothing runs in the background: whoever comes for
        these objects does this first."""
        aging = bucket.aging
        while aging and aging[0][0] + (bucket.lifetime or 0.0) <= self._clock.monotonic():
            _, path, version = aging.popleft()
            stored = bucket.objects.get(path)
            if stored is not None and stored.version == version:
                self.remove(bucket, stored.key)

    def remove(self, bucket: Bucket, key: ObjectKey, last: Json | None = None) -> Stored:
        """Delete; `last` is the final state shown to watchers (by default the stored one)."""
        old = bucket.get(key)
        if old is None:
            raise KeyError(key)
        stored = self._stamp(old.json() if last is None else last)
        bucket.drop(key)
        self._record(bucket, "DELETED", old, stored)
        return stored

    def _stamp(self, obj: Json) -> Stored:
        self.revision += 1
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(self.revision)
        written = obj.pop("apiVersion", "")
        return Stored(
            namespace=metadata.get("namespace") or "",
            name=metadata["name"],
            uid=metadata["uid"],
            version=self.revision,
            labels=metadata.get("labels") or _EMPTY,
            deleting=bool(metadata.get("deletionTimestamp")),
            tail=_encode(obj),
            written=written,
        )

    def _record(self, bucket: Bucket, kind: ChangeType, old: Stored | None, new: Stored) -> None:
        now = self._clock.monotonic()
        bucket.changes.append(Change(kind, new.version, now, old, new))
        self.compact(bucket)
        bucket.notify()

    def compact(self, bucket: Bucket) -> None:
        """Forget changes outside the window."""
        horizon = self._clock.monotonic() - self._window.seconds
        changes = bucket.changes
        while changes and (len(changes) > self._window.changes or changes[0].at < horizon):
            bucket.dropped = changes.popleft().version
            bucket.first += 1

    def forget(self) -> None:
        """Compact everything: no watch, and no list in pages, goes on from before now."""
        for bucket in self._buckets.values():
            bucket.first += len(bucket.changes)
            bucket.changes.clear()
            bucket.dropped = self.revision

    def oldest(self, bucket: Bucket) -> int:
        """The oldest version from which a watch of `bucket` can start without missing anything."""
        self.compact(bucket)
        return bucket.dropped
