"""What a reconcile costs that does nothing: the framework's own share of every run.

    PYTHONPATH=src:. python -m benchmarks.reconciling

Keys go into the queue of a controller that a manager runs, with metrics, the consistent client and
logging as in production (level `info`), and come out as runs. Everything from `enqueue` to the end
of the run's task counts. Two floors: a task per key and nothing else, and a loop over a deque that
awaits the same coroutine without a task.
"""

import asyncio
import sys
import time
from collections import deque
from random import Random

from benchmarks.measuring import MICRO, Row, program, quietest

from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Done
from kaito.kube.clock import SystemClock
from kaito.kube.objects import ObjectKey

BUDGET = 20.0
"""Microseconds around a reconciler that returns at once."""


class NoOp:
    """Counts down, and says so at zero."""

    def __init__(self):
        self.left, self.finished = 0, asyncio.Event()

    def expect(self, runs):
        self.left = runs
        self.finished.clear()

    async def reconcile(self, key):
        self.left -= 1
        if not self.left:
            self.finished.set()
        return Done()


class Nowhere:
    """A transport for a manager that watches nothing."""


def keys(count):
    return [ObjectKey(f"ns-{number % 50}", f"object-{number}") for number in range(count)]


async def through_controller(runs, rounds, concurrency):
    """Processor seconds per run."""
    noop = NoOp()
    options = ControllerOptions(concurrency=concurrency)
    controller = Controller("noop", noop, (), options)
    manager = Manager(Nowhere(), clock=SystemClock(), random=Random(1))
    manager.add(controller)
    stop, wanted = asyncio.Event(), keys(runs)

    async def once():
        noop.expect(runs)
        started = time.thread_time()
        for key in wanted:
            controller.enqueue(key)
        await noop.finished.wait()
        while controller.queue.unfinished():
            await asyncio.sleep(0)
        return (time.thread_time() - started) / runs

    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run(stop))
        found = [await once() for _ in range(rounds)]
        stop.set()
    return min(found)


def bare(wait):
    """Processor seconds per run of a loop that is not a controller."""

    def measure(runs, rounds):
        wanted = keys(runs)

        async def once():
            noop, pending = NoOp(), deque(wanted)
            noop.expect(runs)
            started = time.thread_time()
            while pending:
                await wait(noop.reconcile(pending.popleft()))
            return (time.thread_time() - started) / runs

        return quietest(lambda: asyncio.run(once()), rounds)

    return measure


async def in_task(work):
    await asyncio.get_running_loop().create_task(work)


async def in_place(work):
    await work


def measure(runs=20_000, rounds=7):
    configure_logging("json", stream=sys.stderr)
    task, loop = bare(in_task)(runs, rounds), bare(in_place)(runs, rounds)
    for concurrency in (1, 100):
        cost = asyncio.run(through_controller(runs, rounds, concurrency))
        what = f"no-op reconcile, {concurrency} at a time"
        row = Row(
            what=what,
            value=cost / MICRO,
            unit="µs",
            floor=task / MICRO,
            floor_is="a task per key, awaited",
        )
        yield row.within(value=BUDGET)
    yield Row(
        what="the same without a task",
        value=cost / MICRO,
        unit="µs",
        floor=loop / MICRO,
        floor_is="a loop over a deque that awaits the coroutine",
    )


if __name__ == "__main__":
    program(measure, __doc__)
