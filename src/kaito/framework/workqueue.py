"""The work queue: wanted keys, each at most once, never two runs of one key at the same time.

    add ──► ready ──get──► processing ──done──► gone, or ready again if wanted meanwhile
     │        ▲             │      ▲
     │        │             park   unpark
     │        │             ▼      │
     │        └──────────── parked ┘        waits for the cache; holds no worker
     └─after─► waiting ──timer──► ready     one timer, for the earliest

Adding a key that is ready or waiting keeps the higher priority and the earlier time. The contract
is that of client-go's work queue and controller-runtime's priority queue.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from itertools import accumulate, count, repeat
from operator import mul
from typing import Generic, NamedTuple, TypeVar, final

from kaito.framework.buckets import Buckets
from kaito.framework.fairness import Item, ReadySet
from kaito.framework.ratelimit import DEFAULT_LIMITS, RateLimiter, RateLimitOptions
from kaito.kube.clock import Clock, Timer

K = TypeVar("K", bound=Hashable)

LOW_PRIORITY = -100
"""controller-runtime's priority of what the initial list and resyncs bring."""

DURATION_BUCKETS = tuple(accumulate(repeat(10.0, 11), mul, initial=10e-9))
"""controller-runtime's `ExponentialBuckets(10e-9, 10, 12)`: 10 ns to 1000 s, rounding included."""


class QueueClosed(Exception):
    """The queue was shut down and has nothing left to hand out."""


class _Delayed(NamedTuple):
    at: float
    priority: int
    ticket: int


class _Wanted(NamedTuple):
    priority: int
    since: float


@final
class QueueStats:
    """What a queue has done so far; exported when somebody scrapes."""

    __slots__ = ("adds", "retries", "wait", "work")

    def __init__(self) -> None:
        self.adds = 0
        """Keys that became wanted; a key that is wanted already does not count again."""
        self.retries = 0
        """Keys that were wanted after a delay, whatever the reason; what controller-runtime counts.
        """
        self.wait = Buckets(DURATION_BUCKETS)
        """Seconds from being wanted to being handed out."""
        self.work = Buckets(DURATION_BUCKETS)
        """Seconds from being handed out to `done`."""


def _one_tenant(_key: object) -> Hashable:
    return None


@final
class WorkQueue(Generic[K]):
    """See the module. Everything but `get` and `drained` is synchronous and never waits."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        tenant: Callable[[K], Hashable] = _one_tenant,
        limits: RateLimitOptions = DEFAULT_LIMITS,
    ) -> None:
        self.name = name
        self.stats = QueueStats()
        self._clock = clock
        self._now = clock.monotonic
        self._limiter: RateLimiter[K] = RateLimiter(clock.monotonic, limits)
        self._ready: ReadySet[K] = ReadySet(tenant)
        self._processing: dict[K, float] = {}
        self._parked: dict[K, float] = {}
        self._dirty: dict[K, _Wanted] = {}
        self._waiting: dict[K, _Delayed] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._tickets = count()
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._getters: deque[asyncio.Future[None]] = deque()
        self._drains: list[asyncio.Future[None]] = []
        self._closed = False
        self._draining = False

    # ---- adding

    def add(self, key: K, *, priority: int = 0) -> None:
        """Queue `key` now; cancels a pending delay, keeping the higher priority."""
        if self._closed:
            return
        delayed = self._waiting.pop(key, None)
        self._want(key, priority if delayed is None else max(priority, delayed.priority))

    def add_after(self, key: K, seconds: float, *, priority: int = 0) -> None:
        """Queue `key` in that many seconds; of several delays the earliest wins."""
        if seconds <= 0:
            self.add(key, priority=priority)
            return
        if self._closed:
            return
        self.stats.retries += 1
        if key in self._ready or key in self._dirty:
            self._want(key, priority)
        else:
            self._delay(key, self._now() + seconds, priority)

    def add_rate_limited(self, key: K, *, priority: int = 0) -> None:
        """Queue `key` again after a failure: later the more often it failed."""
        if not self._closed:
            self.add_after(key, self._limiter.when(key), priority=priority)

    def forget(self, key: K) -> None:
        """`key` succeeded: its failures are history."""
        self._limiter.forget(key)

    def failures(self, key: K) -> int:
        return self._limiter.failures(key)

    # ---- handing out

    async def get(self) -> Item[K]:
        """The next key; `done` or `park` must follow. Raises QueueClosed after shutdown.

        A getter that was woken and is cancelled before it ran passes its wake-up on.
        """
        while (item := self.take()) is None:
            if self._finished():
                raise QueueClosed(self.name)
            await self._woken()
        return item

    def take(self) -> Item[K] | None:
        """What `get` would return at once, if anything."""
        item = self._ready.pop()
        if item is None:
            return None
        now = self._now()
        self._processing[item.key] = now
        self.stats.wait.observe(now - item.since)
        return item

    def done(self, key: K) -> None:
        """The run of `key` is over; if it was wanted meanwhile it is ready again."""
        self.stats.work.observe(self._now() - self._processing.pop(key))
        self._release(key)

    def park(self, key: K) -> None:
        """Instead of `done`: nothing ran, and nothing shall until `unpark`."""
        self._parked[key] = self._processing.pop(key)
        self._settle()

    def unpark(self, key: K) -> None:
        """The end of `park`: if the key was wanted meanwhile it is ready again.

        Not after the shutdown, draining or not: whoever would take it may have left by then.
        """
        del self._parked[key]
        if self._closed:
            self._dirty.pop(key, None)
        self._release(key)

    # ---- ending

    def shut_down(self, *, drain: bool = False) -> None:
        """Accept nothing more. Ready keys are dropped, or with `drain` still handed out.

        May be called again without `drain` to give up draining. Whoever waits in `get` is woken.
        """
        self._closed = True
        self._draining = drain
        self._waiting.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not drain:
            self._ready.clear()
            self._dirty.clear()
        self._settle()

    async def drained(self) -> None:
        """Wait until a queue that was shut down has nothing left to hand out or to finish."""
        while not (self._closed and self._finished() and not self._processing):
            waiter = asyncio.get_running_loop().create_future()
            self._drains.append(waiter)
            await waiter

    # ---- looking

    def __len__(self) -> int:
        """Keys that are ready, or wanted again while they run."""
        return len(self._ready) + len(self._dirty)

    def depths(self) -> dict[int, int]:
        """`len` by priority."""
        depths = self._ready.depths()
        for wanted in self._dirty.values():
            depths[wanted.priority] = depths.get(wanted.priority, 0) + 1
        return depths

    @property
    def closed(self) -> bool:
        """Whether it was shut down."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Keys that are wanted later."""
        return len(self._waiting)

    @property
    def parked(self) -> int:
        """Keys that wait for the cache."""
        return len(self._parked)

    def unfinished(self) -> float:
        """Seconds that the runs now in progress have taken so far, added up."""
        now = self._now()
        return sum(now - started for started in self._processing.values())

    def longest(self) -> float:
        """Seconds that the oldest run in progress has taken so far."""
        started = min(self._processing.values(), default=None)
        return 0.0 if started is None else self._now() - started

    # ---- inside

    def _want(self, key: K, priority: int) -> None:
        if key in self._processing or key in self._parked:
            known = self._dirty.get(key)
            if known is None:
                self.stats.adds += 1
                self._dirty[key] = _Wanted(priority, self._now())
            elif priority > known.priority:
                self._dirty[key] = _Wanted(priority, known.since)
        elif self._ready.add(key, priority, self._now()):
            self.stats.adds += 1
            self._wake_one()

    def _release(self, key: K) -> None:
        wanted = self._dirty.pop(key, None)
        if wanted is not None:
            self._ready.add(key, *wanted)
            self._wake_one()
        if self._closed:
            self._settle()

    def _finished(self) -> bool:
        """Nothing will ever be ready again."""
        return self._closed and not (self._draining and (self._ready or self._processing))

    def _settle(self) -> None:
        if not self._closed:
            return
        if self._finished():
            _wake_all(self._getters)
        if not self._processing:
            _wake_all(self._drains)

    async def _woken(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._getters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()
            else:
                # Whoever woke others since it was cancelled has passed it by, and taken it out.
                with suppress(ValueError):
                    self._getters.remove(waiter)
            raise

    def _wake_one(self) -> None:
        while self._getters:
            waiter = self._getters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _delay(self, key: K, at: float, priority: int) -> None:
        known = self._waiting.get(key)
        if known is not None:
            priority = max(priority, known.priority)
        if known is not None and known.at <= at:
            self._waiting[key] = known._replace(priority=priority)
            return
        ticket = next(self._tickets)
        self._waiting[key] = _Delayed(at, priority, ticket)
        if len(self._heap) > 2 * len(self._waiting) + 64:
            self._compact()
        else:
            heapq.heappush(self._heap, (at, ticket, key))
        self._set_timer()

    def _compact(self) -> None:
        """Delays that were overtaken stay in the heap; do not let them pile up."""
        self._heap = [(delayed.at, delayed.ticket, key) for key, delayed in self._waiting.items()]
        heapq.heapify(self._heap)

    def _set_timer(self) -> None:
        at = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._clock.call_later(max(0.0, at - self._now()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        # Timers may ring a hair early; what this one was set for is due nevertheless.
        now = max(self._now(), self._timer_at)
        while self._heap and self._heap[0][0] <= now:
            _, ticket, key = heapq.heappop(self._heap)
            delayed = self._waiting.get(key)
            if delayed is not None and delayed.ticket == ticket:
                del self._waiting[key]
                self._want(key, delayed.priority)
        if self._heap:
            self._set_timer()


def _wake_all(waiters: deque[asyncio.Future[None]] | list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
