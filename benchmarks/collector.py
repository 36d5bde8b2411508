"""What the garbage collector walks over, and how long it stops the loop, with a full cache.

    PYTHONPATH=src:. python -m benchmarks.collector

Full collections are timed with the cache empty (the floor), full, and full and frozen, as a program
has it (`freeze_after_sync`).
"""

import asyncio
import gc
import time
from random import Random

from benchmarks.measuring import MILLI, Row, program
from benchmarks.pods import Recorded, pages, pods

from kaito.framework.controller import Controller
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager
from kaito.framework.memory import freeze, thaw
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.kube.clock import SystemClock
from kaito.kube.resources import PODS

AIM = 1.0
"""Milliseconds, once frozen."""


class NoOp:
    async def reconcile(self, key):
        return Done()


def collection(rounds):
    """Processor seconds of a full collection, and how many objects it looked at."""
    gc.collect()
    found = []
    for _ in range(rounds):
        started = time.thread_time()
        gc.collect()
        found.append(time.thread_time() - started)
    return sorted(found)[rounds // 2], len(gc.get_objects())


async def collections(count, size, rounds):
    """Of an empty manager, a full one, a frozen one."""
    manager = Manager(
        Recorded([pages(pods(count, size, 1_000_000), 1_000_000)]),
        clock=SystemClock(),
        random=Random(1),
    )
    controller = Controller("noop", NoOp(), [for_object(PODS)])
    manager.add(controller)
    empty = collection(rounds)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run(stop))
        await manager.cache.synced()
        while len(controller.queue) or controller.queue.unfinished():
            await asyncio.sleep(0.01)
        full = collection(rounds)
        freeze()
        frozen = collection(rounds)
        stop.set()
    thaw()
    return empty, full, frozen


def measure(count=30_000, size=6_000, rounds=5):
    configure_logging("json", level=40)
    empty, full, frozen = asyncio.run(collections(count, size, rounds))
    for what, (seconds, _) in (("", full), (", frozen", frozen)):
        row = Row(
            what=f"full garbage collection, {count:,} cached{what}",
            value=seconds / MILLI,
            unit="ms",
            floor=empty[0] / MILLI,
            floor_is="the same process with an empty cache",
        )
        yield row.within(value=AIM) if what else row
    row = Row(
        what="objects that the collector walks, per cached object",
        value=(full[1] - empty[1]) / count,
        unit="",
    )
    yield row.within(value=0.1)


if __name__ == "__main__":
    program(measure, __doc__)
