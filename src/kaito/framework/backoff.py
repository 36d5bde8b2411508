"""How long to wait before trying again, and when past failures are forgotten."""

from random import Random
from typing import final

from kaito.kube.clock import Clock


@final
class Backoff:
    """Delays that double, with jitter, and start over after a quiet time.

    The defaults are those of client-go's reflector: 0.8 s doubling to 30 s, each stretched by up
    to its own length, forgotten when nothing failed for two minutes.
    """

    def __init__(
        self,
        clock: Clock,
        random: Random,
        *,
        first: float = 0.8,
        factor: float = 2.0,
        longest: float = 30.0,
        jitter: float = 1.0,
        reset_after: float = 120.0,
    ) -> None:
        self._clock = clock
        self._random = random
        self._first = first
        self._factor = factor
        self._longest = longest
        self._jitter = jitter
        self._reset_after = reset_after
        self._next = first
        self._last = -reset_after

    def delay(self) -> float:
        """Seconds to wait after a failure that happened just now."""
        now = self._clock.monotonic()
        if now - self._last > self._reset_after:
            self._next = self._first
        base = self._next
        self._next = min(self._longest, base * self._factor)
        stretched = base * (1.0 + self._jitter * self._random.random())
        self._last = now + stretched
        return stretched
