"""One handler's view of a cache: every object once, in order, whenever it joined.

A handler is a plain function that does next to nothing (it puts a key into a queue). Few events
are handed over in the step that brought them. Many, as after a list, are handed over in slices
between which the loop runs; until that is done later events queue up behind them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import final

import structlog

from kaito.framework.events import Event

SLICE = 500
"""Events handed over in one go."""

ALARM = 100_000
"""Waiting events beyond which the backlog is reported, once per time it grows that long."""

Handler = Callable[[Event], None]

_log = structlog.get_logger(__name__)


@final
class Subscription:
    """Returned by `Informer.subscribe`. `count(what)` is told of failures and alarms."""

    def __init__(self, handler: Handler, name: str, count: Callable[[str], None]) -> None:
        self._handler = handler
        self._name = name
        self._count = count
        self._backlog: deque[Event | None] = deque()  # None marks the end of the initial objects
        self._scheduled = False
        self._alarmed = False
        self._closed = False
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the handler has been given every object that was there at the beginning."""
        return self._synced.is_set()

    async def wait(self) -> None:
        """Return when `synced`."""
        await self._synced.wait()

    def close(self) -> None:
        """The handler is not called again, and nobody waits for it any more."""
        self._closed = True
        self._backlog.clear()
        self._synced.set()

    def __len__(self) -> int:
        """Events waiting to be handed over."""
        return len(self._backlog)

    # -- what the informer does ----------------------------------------------------------------

    def offer(self, events: Sequence[Event]) -> None:
        """Hand over now, or behind what is waiting."""
        if self._closed:
            return
        if not self._backlog and len(events) <= SLICE:
            for event in events:
                self._handle(event)
            return
        self._backlog.extend(events)
        self._schedule()

    def initial_done(self) -> None:
        """Everything that was there at the beginning has been offered."""
        if self._backlog:
            self._backlog.append(None)
        else:
            self._synced.set()

    # -- inside --------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if len(self._backlog) > ALARM and not self._alarmed:
            self._alarmed = True
            self._count("handler_backlog_alarm")
            _log.warning(
                "a handler falls behind its cache", handler=self._name, waiting=len(self._backlog)
            )
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        for _ in range(SLICE):
            if not self._backlog:  # handed over, or dropped by a handler that left
                break
            event = self._backlog.popleft()
            if event is None:
                self._synced.set()
            else:
                self._handle(event)
        if self._backlog:
            self._schedule()
        else:
            self._alarmed = False

    def _handle(self, event: Event) -> None:
        if self._closed:  # by the handler itself, a moment ago
            return
        try:
            self._handler(event)
        except Exception:  # noqa: BLE001 - a stranger's code; the others and the stream go on
            self._count("handler_failed")
            _log.exception("a handler raised", handler=self._name, key=str(event.record.meta.key))
