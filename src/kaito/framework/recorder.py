"""Recording events about objects, for people who run `kubectl describe`.

Recording never waits and never fails: an event goes into a bounded queue and one task writes it.

    the same event again     one object; its series counts up and is written seldom
    over 10 similar ones     one object with a combined note, its series counting up
    over 25 about an object  dropped, one more every 5 minutes
    queue full               dropped

Whatever is dropped is counted. The constants are client-go's.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from random import Random
from typing import final

import structlog
from msgspec.structs import replace

from kaito.framework.eventobject import EventType, Series, What, reference
from kaito.framework.lru import Lru
from kaito.framework.metrics import Metrics
from kaito.framework.ratelimit import TokenBucket
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.errors import (
    AlreadyExists,
    ApiError,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
)
from kaito.kube.labels import subdomain_problems
from kaito.kube.objects import Json, Record
from kaito.kube.resources import EVENTS

log = structlog.get_logger(__name__)

_TOLERANCE = 1e-3
"""Seconds by which a timer may ring early."""

_LATER = (TransportError, ServerError, TooManyRequests)
"""Failures that another try may mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """client-go's, where it has them. Times are seconds."""

    queue_size: int = 1000
    similar_limit: int = 10
    """As many events that differ only in their note are written one by one ..."""
    similar_window: float = 600.0
    """... unless it has been quiet for that long in between."""
    spam_burst: int = 25
    spam_interval: float = 300.0
    cache_size: int = 4096
    first_repeat: float = 10.0
    """The first repetition waits that long for others, then the series is written."""
    refresh: float = 1800.0
    """A series that goes on is written once in so long."""
    finish: float = 360.0
    """A series without news for that long is over; such an event is then a new object."""
    tries: int = 12
    retry_pause: float = 10.0
    flush: float = 5.0
    """How long a stop may take to write what is left."""


DEFAULTS = RecorderOptions()


@final
class Recorder:
    """Records events as one component. Made by `Manager.recorder`."""

    def __init__(self, sink: "EventSink", component: str, instance: str) -> None:
        self._sink = sink
        self._component = component
        self._instance = instance

    def event(
        self,
        regarding: Record | Json,
        *,
        type: EventType,  # noqa: A002 - the field's name
        reason: str,
        message: str,
        action: str,
        related: Record | Json | None = None,
    ) -> None:
        """Tell about something that happened to an object. Returns at once, never raises.

        `reason` says why in CamelCase, `action` what was done or failed. Never pass a secret.
        """
        self._sink.record(
            What(
                component=self._component,
                instance=self._instance,
                regarding=reference(regarding),
                related=None if related is None else reference(related),
                type=type,
                reason=reason,
                action=action,
                note=message,
            )
        )


@dataclass(slots=True)
class _Similar:
    """Events that differ only in their note."""

    notes: set[str]
    last: float


@final
class EventSink:
    """Aggregates, limits and writes events. Owns no task: `run` is one."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        random: Random,
        metrics: Metrics,
        options: RecorderOptions = DEFAULTS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._options = options
        self._queue: deque[Series] = deque()
        self._wake = asyncio.Event()
        size, now = options.cache_size, clock.monotonic
        # Each is kept for as long as it makes a difference; a bucket until it is full again.
        self._series: Lru[Hashable, Series] = Lru(
            size, now, idle=options.finish, on_evict=self._evicted
        )
        self._similar: Lru[Hashable, _Similar] = Lru(size, now, idle=options.similar_window)
        self._spam: Lru[Hashable, TokenBucket] = Lru(
            size, now, idle=options.spam_burst * options.spam_interval
        )

    # ---- taking

    def record(self, what: What) -> None:
        """Take one event. Returns at once."""
        now = self._clock.monotonic()
        key, note = self._combined(what, now)
        series = self._series.get(key)
        if series is not None and now - series.last < self._options.finish:
            series.repeat(now, self._clock.wall())
            self._arm(series)
        elif self._is_spam(what):
            self._metrics.event_dropped("spam")
        elif len(self._queue) >= self._options.queue_size:
            self._metrics.event_dropped("full")
        else:
            fresh = Series(
                what=replace(what, note=note),
                name=_name(what.regarding.name, self._random),
                first=self._clock.wall(),
                last=now,
                last_wall=self._clock.wall(),
            )
            self._series.put(key, fresh)
            self._enqueue(fresh)

    def _combined(self, what: What, now: float) -> tuple[Hashable, str]:
        """The key under which this event repeats, and its note."""
        kind = replace(what, note="")
        similar = self._similar.get(kind)
        if similar is None or now - similar.last > self._options.similar_window:
            similar = _Similar(set(), now)
            self._similar.put(kind, similar)
        similar.last = now
        if what.note in similar.notes:
            return what, what.note
        if len(similar.notes) < self._options.similar_limit - 1:
            similar.notes.add(what.note)
            return what, what.note
        return kind, f"(combined from similar events): {what.note}"

    def _is_spam(self, what: What) -> bool:
        source = (what.component, what.regarding)
        bucket = self._spam.get(source)
        if bucket is None:
            bucket = TokenBucket(
                self._clock.monotonic,
                rate=1 / self._options.spam_interval,
                burst=self._options.spam_burst,
            )
            self._spam.put(source, bucket)
        return not bucket.take()

    # ---- repeating

    def _arm(self, series: Series) -> None:
        """See that the repetitions get written, once, when it is time."""
        if series.timer is None:
            now = self._clock.monotonic()
            series.timer = self._clock.call_later(
                max(0.0, self._due(series) - now), lambda: self._ring(series)
            )

    def _due(self, series: Series) -> float:
        if series.written_at is None or series.written == 1:
            return series.last + self._options.first_repeat
        return min(series.written_at + self._options.refresh, series.last + self._options.finish)

    def _ring(self, series: Series) -> None:
        series.timer = None
        if series.written > 1 and self._due(series) > self._clock.monotonic() + _TOLERANCE:
            self._arm(series)
        else:
            self._enqueue(series)

    def _evicted(self, series: Series) -> None:
        if series.timer is not None:
            series.timer.cancel()
            series.timer = None
            self._enqueue(series)

    # ---- writing

    def _enqueue(self, series: Series) -> None:
        if not series.queued:
            series.queued = True
            self._queue.append(series)
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            await self._drain()
            self._wake.clear()

    async def flush(self) -> None:
        """Write what is left, counts of running series included, within the time allowed."""
        for series in self._series.values():
            self._evicted(series)
        try:
            async with asyncio.timeout(self._options.flush):
                await self._drain()
        except TimeoutError:
            for _ in self._queue:
                self._metrics.event_dropped("failed")
            log.warning("events were not written before the stop", events=len(self._queue))
            self._queue.clear()

    async def _drain(self) -> None:
        while self._queue:
            # The head stays until it is written, so that a cancelled write is not lost.
            series = self._queue[0]
            await self._deliver(series)
            self._queue.popleft()
            series.queued = False
            if series.count > series.written:
                self._arm(series)

    async def _deliver(self, series: Series) -> None:
        for attempt in range(1, self._options.tries + 1):
            count = series.count
            try:
                await self._write(series)
            except _LATER as error:
                log.debug("event not written yet", attempt=attempt, error=str(error))
            except KubeError as error:
                self._give_up(series, "refused", error)
                return
            else:
                series.written = count
                series.written_at = self._clock.monotonic()
                return
            await self._clock.sleep(self._options.retry_pause)
        self._give_up(series, "failed", None)

    async def _write(self, series: Series) -> None:
        if series.written:
            try:
                await self._client.merge_patch(EVENTS, series.key, {"series": series.counts()})
            except NotFound:
                # Events expire on the server, after an hour by default.
                series.name = _name(series.what.regarding.name, self._random)
            else:
                return
        try:
            await self._client.create(EVENTS, series.json())
        except AlreadyExists:
            return

    def _give_up(self, series: Series, reason: str, error: ApiError | KubeError | None) -> None:
        series.written = series.count
        self._metrics.event_dropped(reason)
        log.info(
            "event not written",
            why=reason,
            error=str(error) if error else "too many tries",
            reason=series.what.reason,
            regarding=str(series.key),
        )


def _name(regarding: str, random: Random) -> str:
    """One that the server accepts: not every object bears a DNS name, and none may be so long."""
    number = f"{random.getrandbits(64):016x}"
    name = f"{regarding}.{number}"
    return f"event.{number}" if subdomain_problems(name) else name
