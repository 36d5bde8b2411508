"""A deadline that does not take no for an answer."""

import asyncio
from collections.abc import Callable
from typing import Any, final

from kaito.kube.clock import Clock, Timer

INSIST_SECONDS = 5.0
"""How long a cancelled run may take to clean up before it counts as stuck and is cancelled again.
"""


@final
class Deadline:
    """Cancels `task` after `seconds`, and again every five seconds while it does not end.

    `on_stuck` is called once, when the first cancellation was ignored. Call `end` when the task's
    work is over; it takes our own cancellations back, so that others' remain visible.
    """

    def __init__(
        self,
        task: asyncio.Task[Any],
        clock: Clock,
        seconds: float,
        on_stuck: Callable[[], None],
    ) -> None:
        self._task = task
        self._clock = clock
        self._on_stuck = on_stuck
        self._cancellations = 0
        self._timer: Timer = clock.call_later(seconds, self._expire)

    @property
    def expired(self) -> bool:
        return self._cancellations > 0

    def end(self) -> None:
        """The work is over, in time or not."""
        self._timer.cancel()
        for _ in range(self._cancellations):
            self._task.uncancel()

    def _expire(self) -> None:
        if self._cancellations == 1:
            self._on_stuck()
        self._cancellations += 1
        self._task.cancel()
        self._timer = self._clock.call_later(INSIST_SECONDS, self._expire)
