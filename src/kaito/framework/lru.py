"""A mapping that forgets what was used least recently, or not for a long time."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@final
class Lru(Generic[K, V]):
    """Holds at most `size` entries, none much longer than `idle` seconds after its last use.

    `on_evict` gets each one that has to go. An idle entry goes when the next one is put in, so
    what is held is bounded by what happens, not only by `size`.
    """

    def __init__(
        self,
        size: int,
        monotonic: Callable[[], float],
        *,
        idle: float = math.inf,
        on_evict: Callable[[V], None] | None = None,
    ) -> None:
        self._size = size
        self._monotonic = monotonic
        self._idle = idle
        self._on_evict = on_evict
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        """With the moment of the last use; the oldest first."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The entry, which counts as used now."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._use(key, found[1])
        return found[1]

    def put(self, key: K, entry: V) -> None:
        self._use(key, entry)
        while len(self._entries) > self._size or self._oldest() < self._monotonic() - self._idle:
            _, (_, evicted) = self._entries.popitem(last=False)
            if self._on_evict is not None:
                self._on_evict(evicted)

    def values(self) -> list[V]:
        return [entry for _, entry in self._entries.values()]

    def _use(self, key: K, entry: V) -> None:
        self._entries[key] = (self._monotonic(), entry)
        self._entries.move_to_end(key)

    def _oldest(self) -> float:
        used, _ = next(iter(self._entries.values()))
        return used
