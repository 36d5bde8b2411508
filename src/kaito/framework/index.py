"""One index over records: value -> the keys that have it."""

from collections.abc import Callable, Iterable
from typing import final

import structlog

from kaito.kube.objects import Record

Key = tuple[str, str]
"""(namespace, name): equal to an `ObjectKey` and hashed alike, but a plain tuple of strings, which
the garbage collector stops tracking at its first look; a named tuple it tracks for ever."""

IndexFunction = Callable[[Record], Iterable[str]]
"""The values under which a record is found. Pure, and a function of the record alone."""

_log = structlog.get_logger(__name__)


@final
class Index:
    """Buckets of keys by value; a bucket that becomes empty is removed.

    A record for which the function raises is in no bucket, and that is logged.
    """

    def __init__(self, function: IndexFunction) -> None:
        self.function = function
        self._buckets: dict[str, dict[Key, None]] = {}

    def add(self, key: Key, record: Record) -> None:
        for value in self.values_of(record):
            self._buckets.setdefault(value, {})[key] = None

    def discard(self, key: Key, record: Record) -> None:
        """`record` must be the one that was added under `key`."""
        for value in self.values_of(record):
            bucket = self._buckets.get(value)
            if bucket is None:
                continue
            bucket.pop(key, None)
            if not bucket:
                del self._buckets[value]

    def keys(self, value: str) -> Iterable[Key]:
        return self._buckets.get(value, ())

    def values_of(self, record: Record) -> Iterable[str]:
        """What the function says of one record."""
        try:
            return tuple(self.function(record))
        except Exception:  # noqa: BLE001 - a stranger's code; the cache and the stream go on
            _log.exception("an index function raised", key=str(record.meta.key))
            return ()

    def values(self) -> Iterable[str]:
        """Every value that some record has."""
        return self._buckets.keys()
