"""What the work queue costs, beside the least that a queue without duplicates can be.

    PYTHONPATH=src:. python -m benchmarks.work_queue

An operation is an `add`, a `get` or a `done`. The floor is a deque and a set with the same three,
the same duplicates, and as many turns of the event loop: no delays, priorities, tenants, metrics.
"""

import asyncio
import time
from collections import deque

from benchmarks.measuring import MICRO, Row, program, quietest
from benchmarks.reconciling import keys

from kaito.framework.workqueue import WorkQueue
from kaito.kube.clock import SystemClock


class Least:
    """Keys, each at most once; one getter at a time."""

    def __init__(self):
        self.ready, self.known = deque(), set()
        self.getter = None

    def add(self, key):
        if key in self.known:
            return
        self.known.add(key)
        self.ready.append(key)
        if self.getter is not None:
            self.getter.set_result(None)
            self.getter = None

    async def get(self):
        while not self.ready:
            self.getter = asyncio.get_running_loop().create_future()
            await self.getter
        key = self.ready.popleft()
        self.known.discard(key)
        return key

    def done(self, key):
        """Nobody remembers who is being worked on."""


class Ours:
    """The same three, of a controller's queue: namespaces take turns."""

    def __init__(self):
        self.queue = WorkQueue("bench", clock=SystemClock(), tenant=lambda key: key.namespace)
        self.add, self.done = self.queue.add, self.queue.done

    async def get(self):
        return (await self.queue.get()).key


async def in_bulk(queue, wanted):
    """Everything is added, twice, before anything is taken."""
    started = time.thread_time()
    for key in wanted:
        queue.add(key)
    for key in wanted:
        queue.add(key)
    for _ in wanted:
        queue.done(await queue.get())
    return (time.thread_time() - started) / (4 * len(wanted))


async def one_by_one(queue, wanted):
    """Whoever takes is already waiting: a turn of the loop per key."""

    async def take():
        for _ in wanted:
            queue.done(await queue.get())

    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take())
        await asyncio.sleep(0)
        started = time.thread_time()
        for key in wanted:
            queue.add(key)
            await asyncio.sleep(0)
        await taking
        return (time.thread_time() - started) / (3 * len(wanted))


def measure(count=50_000, rounds=5):
    wanted = keys(count)
    for what, drive in (
        ("added in bulk, then taken", in_bulk),
        ("taken one by one", one_by_one),
    ):
        ours, least = (
            quietest(lambda made=made, drive=drive: asyncio.run(drive(made(), wanted)), rounds)
            for made in (Ours, Least)
        )
        yield Row(
            what=f"queue operation, {what}",
            value=ours / MICRO,
            unit="µs",
            floor=least / MICRO,
            floor_is="deque and set, same turns of the loop",
        )
        yield Row(
            what=f"queue operations per second, {what}",
            value=1 / ours,
            unit="/s",
            floor=1 / least,
            floor_is="the same",
        )


if __name__ == "__main__":
    program(measure, __doc__)
