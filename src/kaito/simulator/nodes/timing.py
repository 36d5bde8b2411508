"""The world's time for nodes: one heap of deadlines, and stamps that people can read.

The world may run faster than the wire. Deadlines are the world's; what is written into objects is
stamped with the wire's time, so that ages in `kubectl` stay true.
"""

import heapq
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Generic, TypeVar, final

from kaito.kube.clock import Clock, Timer, parse_rfc3339, rfc3339

K = TypeVar("K", bound=Hashable)

TICK = 0.001
"""Seconds. A shorter wait would not move a clock that counts microseconds."""


@final
class Wheel(Generic[K]):
    """Calls back with each key when its time has come; one timer for all of them.

    A key has one deadline: setting it again replaces the former.
    """

    def __init__(self, clock: Clock, ring: Callable[[K], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._number = 0
        self._timer: Timer | None = None
        self._timed = float("inf")

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: K, seconds: float) -> None:
        """Ring in so many seconds of the clock; infinite: never."""
        if seconds == float("inf"):
            self._due.pop(key, None)
            return
        at = self._clock.monotonic() + max(TICK, seconds)
        self._due[key] = at
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, key))
        self._arm()

    def close(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._heap.clear()
        self._disarm()

    def _arm(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap:
            self._disarm()
        elif self._timer is None or self._heap[0][0] < self._timed:
            self._disarm()
            self._timed = self._heap[0][0]
            wait = max(0.0, self._timed - self._clock.monotonic())
            self._timer = self._clock.call_later(wait, self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timed = None, float("inf")

    def _fire(self) -> None:
        # A timer may come a hair early; what was due at its time is due now.
        now = max(self._clock.monotonic(), self._timed)
        self._timer = None
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                self._ring(key)
        self._arm()


@final
class WorldTime:
    """Seconds since the epoch on the world's clock, and how they are written."""

    def __init__(self, world: Clock, wire: Clock) -> None:
        self._world = world
        self._wire = wire
        self._same = world is wire
        self._world_start = world.monotonic()
        self._wire_start = wire.monotonic()

    def now(self) -> float:
        return self._world.wall().timestamp()

    def stamp(self, seconds: float) -> str:
        """RFC 3339 of a moment of the world, as a clock on the wall of the wire shows it."""
        if self._same:
            return rfc3339(datetime.fromtimestamp(seconds, UTC))
        world = self._world.monotonic() - self._world_start
        wire = self._wire.monotonic() - self._wire_start
        speed = world / wire if wire > 0 else 1.0
        ago = (self.now() - seconds) / max(speed, 1e-9)
        return rfc3339(datetime.fromtimestamp(self._wire.wall().timestamp() - ago, UTC))

    def read(self, text: str) -> float:
        """A stamp as a moment of the world; good to a second of the wire."""
        moment = parse_rfc3339(text).timestamp()
        if self._same:
            return moment
        world = self._world.monotonic() - self._world_start
        wire = self._wire.monotonic() - self._wire_start
        speed = world / wire if wire > 0 else 1.0
        return self.now() - (self._wire.wall().timestamp() - moment) * speed
