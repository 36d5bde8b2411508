"""Who runs what a queue hands out.

One task at a time, the taker, takes keys and runs them one after the other. As soon as a run has to
wait, the task is that run's alone, to its end, and a new taker goes on. So whoever waits does so in
a task of their own, named after the key, and a run that finds nothing to do costs none.
"""

import asyncio
from collections.abc import Callable
from typing import final

from kaito.framework.attempt import Attempt, Run, this_task
from kaito.framework.fairness import Item
from kaito.framework.workqueue import QueueClosed
from kaito.kube.objects import ObjectKey

RUNS_PER_TURN = 8
"""Runs begun in one turn of the event loop. In a burst, watches are read between the turns: keys
that change again meanwhile need one run less, and neither probes nor leases wait for all of it."""

TURN_SECONDS = 0.005
"""No further run is begun in a turn in which they have taken so long."""

Park = Callable[[Item[ObjectKey]], bool]
"""True: the key may not run now, and it has been seen to that it will later."""


@final
class Workers:
    """Keep at most `limit` runs going, as tasks of `group`."""

    def __init__(
        self, name: str, attempt: Attempt, park: Park, group: asyncio.TaskGroup, limit: int
    ) -> None:
        self._name = name
        self._attempt = attempt
        self._queue = attempt.queue
        self._park = park
        self._group = group
        self._limit = limit
        self._waiting = 0
        """Runs that have had to wait and are not over."""
        self._taken = False
        """Whether somebody is the taker."""
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Return when the queue is closed and nothing more begins; what has begun goes on."""
        self._appoint()
        try:
            await self._ended.wait()
        finally:
            self._ended.set()

    def _appoint(self) -> None:
        """A new taker, if there is none and there may be one."""
        if not self._taken and self._waiting < self._limit and not self._ended.is_set():
            self._taken = True
            self._group.create_task(self._work(), name=f"{self._name}: takes keys")

    async def _work(self) -> None:
        """A task's life: first a taker's, then that of a run."""
        leave = _Once(self._resign)
        try:
            run = await self._take()
            if run is not None:
                self._waiting += 1
                leave()
                leave = _Once(self._finish)
                this_task().set_name(f"{self._name} {run.key}")
                await run.rest(leave)
        except Exception:
            self._ended.set()  # it ends the group, so nobody shall go on
            raise
        finally:
            leave()

    def _resign(self) -> None:
        self._taken = False
        self._appoint()

    def _finish(self) -> None:
        self._waiting -= 1
        self._appoint()

    async def _take(self) -> Run | None:
        """Take keys until a run has to wait. None: the queue is closed."""
        task, queue, clock = this_task(), self._queue, self._attempt.clock
        count, end = 0, clock.monotonic() + TURN_SECONDS
        while True:
            # A run may have cancelled this task: then this is where it ends.
            if count == RUNS_PER_TURN or clock.monotonic() > end or task.cancelling():
                await clock.sleep(0)
                count, end = 0, clock.monotonic() + TURN_SECONDS
            item = queue.take()
            if item is None:
                try:
                    item = await queue.get()
                except QueueClosed:
                    self._ended.set()
                    return None
                count, end = 0, clock.monotonic() + TURN_SECONDS
            count += 1
            run = None if self._park(item) else self._attempt.begin(item)
            if run is not None:
                return run


@final
class _Once:
    """Calls back the first time that it is called."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()
