"""Time, injected. Nothing else in the code base asks the operating system what time it is."""

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol, final


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """It will not come; harmless after it did."""
        ...


class Clock(Protocol):
    """Where time comes from. In tests all of it runs on the event loop's virtual time."""

    def wall(self) -> datetime:
        """Now, timezone-aware, in UTC; may jump. For timestamps that people or peers read."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long on this clock. Zero or less still yields to the loop once."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back on the running event loop when that long has passed on this clock."""
        ...


@final
@final
class SystemClock:
    """The operating system's clock."""

    def wall(self) -> datetime:
        return datetime.now(UTC)

    # Asked several times per run and per event: the function itself, not a method around it.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


@final
class LoopClock:
    """The running event loop's time plus a fixed epoch: virtual where the loop is virtual."""

    def __init__(self, epoch: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._epoch = epoch.timestamp()

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._epoch + self.monotonic(), UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


@final
class ScaledClock:
    """A clock that runs `speed` times as fast as another; the simulated world lives on one."""

    def __init__(self, base: Clock, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._base = base
        self._speed = speed
        self._wall = base.wall().timestamp()
        self._start = base.monotonic()

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._wall + self.monotonic(), UTC)

    def monotonic(self) -> float:
        """Scaled seconds since this clock was made."""
        return (self._base.monotonic() - self._start) * self._speed

    async def sleep(self, seconds: float) -> None:
        await self._base.sleep(seconds / self._speed)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._base.call_later(seconds / self._speed, callback)


def rfc3339(moment: datetime) -> str:
    """`2026-01-31T12:00:00Z`: how `metav1.Time` is written (whole seconds, UTC)."""
    return _written(math.floor(moment.timestamp()))


@lru_cache(1024)
def _written(second: int) -> str:
    # A busy server stamps the same second again and again.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`: how `metav1.MicroTime` is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """The inverse of both. Raises ValueError for anything else."""
    return datetime.fromisoformat(text)
