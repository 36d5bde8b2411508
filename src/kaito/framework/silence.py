"""A time limit on silence, cheap enough to be pushed back by every event of a stream."""

import asyncio
from types import TracebackType
from typing import Self, final

from kaito.kube.clock import Clock, Timer


@final
class Silence:
    """`async with Silence(clock, 10) as s`: TimeoutError once `s.heard` is 10 s old.

    `heard` is a moment of `clock.monotonic()`; whoever hears something assigns it.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self.heard = clock.monotonic()
        self._clock = clock
        self._limit = limit
        self._timeout = asyncio.timeout(None)
        self._timer: Timer | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._arm()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _arm(self) -> None:
        left = self.heard + self._limit - self._clock.monotonic()
        if left > 0:
            self._timer = self._clock.call_later(left, self._arm)
        else:
            self._timer = None
            self._timeout.reschedule(asyncio.get_running_loop().time())
