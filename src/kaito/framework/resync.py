"""Telling a handler of everything again, now and then: against what nobody thought of.

A level-triggered controller needs no resync to notice changes of what it watches. It helps where
the world has parts that nobody watches. Handlers ask for it; there is none by default.
"""

from collections.abc import Callable
from random import Random
from typing import Final, final

from kaito.kube.clock import Clock, Timer

RESYNC: Final = 36_000.0
"""Seconds; controller-runtime's SyncPeriod of ten hours."""
_JITTER: Final = 0.1
"""Of the period, either way: all that were started together do not resync together."""


@final
class Resync:
    """Calls `ring` every `period` seconds, give or take a tenth, from `start` until `stop`."""

    def __init__(
        self, clock: Clock, random: Random, period: float, ring: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._random = random
        self._period = period
        self._ring = ring
        self._timer: Timer | None = None

    def start(self) -> None:
        """The first call comes after one period."""
        stretch = self._random.uniform(1 - _JITTER, 1 + _JITTER)
        self._timer = self._clock.call_later(self._period * stretch, self._rung)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rung(self) -> None:
        self.start()
        self._ring()
