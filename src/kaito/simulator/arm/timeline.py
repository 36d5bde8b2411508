"""What happens later: actions on a clock, carried out when somebody looks, in their due order.

Nothing runs in the background. Whoever looks at the world settles it first, so what they see is
what a background task would have made of it by now.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final, final

from kaito.kube.clock import Clock

_TICK: Final = 0.01
"""Seconds. A timer may ring a hair early; waiting less than this could then wait for ever."""


@final
class Timeline:
    """Due actions, and a way to wait for the next moment at which anything may be different."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._sequence = itertools.count()
        self._touched = asyncio.Event()

    def after(self, seconds: float, action: Callable[[float], None]) -> None:
        """Carry out `action` then; it gets the moment at which it was due."""
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._due, (due, next(self._sequence), action))
        self.touch()

    def settle(self) -> None:
        """Carry out everything that is due."""
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now + 1e-6:
            due, _, action = heapq.heappop(self._due)
            action(due)

    def touch(self) -> None:
        """Something changed, or a new action was planned: wake whoever waits."""
        self._touched.set()
        self._touched = asyncio.Event()

    async def wait(self) -> None:
        """Return at the next touch or when the next action is due, whichever is first."""
        touched = self._touched
        if not self._due:
            await touched.wait()
            return
        seconds = self._due[0][0] - self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            alarm = group.create_task(self._ring(seconds))
            await touched.wait()
            alarm.cancel()

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(max(seconds, _TICK))
        self.touch()
