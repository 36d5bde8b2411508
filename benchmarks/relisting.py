"""How long the event loop stands still while a full cache is read anew.

    PYTHONPATH=src:. python -m benchmarks.relisting

A manager with an informer, an index, a controller and a full, frozen cache is told that its version
is too old (410) and lists everything again. A task that does nothing but yield measures the longest
time between two of its turns: what every other watch, probe and lease renewal waits. Shown is the
median of three relists; the floor is the decoding of one page, which no event loop can divide.
"""

import asyncio
import statistics
import time
from contextlib import asynccontextmanager
from random import Random

from benchmarks.measuring import MILLI, Row, program, quietest
from benchmarks.pods import PAGE, Recorded, pages, pods, streamed

from kaito.framework.controller import Controller
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.memory import thaw
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.resources import PODS

AIM = 3.0


class NoOp:
    def __init__(self):
        self.runs = 0

    async def reconcile(self, key):
        self.runs += 1
        return Done()


class Impatient:
    """The system's clock, but nobody waits long: back-off is not what is measured."""

    def __init__(self):
        system = SystemClock()
        self.wall, self.monotonic, self.call_later = (
            system.wall,
            system.monotonic,
            system.call_later,
        )

    async def sleep(self, seconds):
        await asyncio.sleep(min(seconds, 0.01))


class Heartbeat:
    """Turns of the loop: how many, and the longest."""

    def __init__(self):
        self.longest, self.turns = 0.0, 0

    async def beat(self):
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, self.turns = max(self.longest, now - before), self.turns + 1
            before = now


@asynccontextmanager
async def heartbeat():
    async with asyncio.TaskGroup() as group:
        heart = Heartbeat()
        task = group.create_task(heart.beat())
        yield heart
        task.cancel()


def node(record):
    return (str(record.get("spec", "nodeName")),)


async def settled(manager, controller, version):
    """The cache has that version, and its controller nothing to do."""
    informer = next(manager.cache.informers(PODS))
    while informer.store.resource_version != version or informer.backlog:
        await asyncio.sleep(0)
    while len(controller.queue) or controller.queue.unfinished():
        await asyncio.sleep(0)


async def relists(states, *, streams):
    """The longest pause, in processor seconds, of reading each (version, state) after the first."""
    transport, reconciler = Recorded([state for _, state in states], streams=streams), NoOp()
    manager = Manager(
        transport,
        clock=Impatient(),
        random=Random(1),
        options=ManagerOptions(freeze_after_sync=True),
    )
    controller = Controller("noop", reconciler, [for_object(PODS, indexes={"node": node})])
    manager.add(controller)
    stop, pauses = asyncio.Event(), []
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run(stop))
        await settled(manager, controller, states[0][0])
        for version, _ in states[1:]:
            async with heartbeat() as heart:
                transport.expire()
                await settled(manager, controller, version)
            pauses.append(heart.longest)
        stop.set()
    thaw()
    return pauses


async def one_page(page):
    client = Client(Recorded([page]), clock=SystemClock(), random=Random(1))
    started = time.thread_time()
    await client.list(PODS)
    return time.thread_time() - started


def measure(count=30_000, size=3_000, rounds=3):
    configure_logging("json", level=40)
    old, new = pods(count, size, 1_000_000), pods(count, size, 2_000_000)
    page = pages(old[:PAGE], 1_000_000)
    floor = quietest(lambda: asyncio.run(one_page(page)), 3 * rounds)
    for how, answer in (("in pages", pages), ("streamed", streamed)):
        # The same objects twice, at two versions of the list: the second time nothing is new.
        worlds = [old, *([new, new, old, old] * rounds)[: 2 * rounds]]
        states = [(str(version), answer(items, version)) for version, items in enumerate(worlds, 1)]
        pauses = asyncio.run(relists(states, streams=answer is streamed))
        for what, found in (("all changed", pauses[::2]), ("nothing changed", pauses[1::2])):
            row = Row(
                what=f"longest pause in a relist of {count:,} {how}, {what}",
                value=statistics.median(found) / MILLI,
                unit="ms",
                floor=floor / MILLI,
                floor_is=f"the decoding of one page of {min(count, PAGE)}",
            )
            yield row.within(ratio=AIM)


if __name__ == "__main__":
    program(measure, __doc__)
