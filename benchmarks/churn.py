"""A day of an operator's life, in virtual time: does it need more in the evening than at noon?

    PYTHONPATH=src:. python -m benchmarks.churn

An operator that leads, keeps a child per object, records events, fails and comes back, on an
embedded API server in the same process. Every twenty seconds an object changes, every minute one
goes and another is born under a new name; every half hour the server forgets its history and breaks
all watches; every hour a write's answer is lost and the events expire.
"""

import asyncio
import gc
import sys
from base64 import b64encode
from contextlib import asynccontextmanager
from functools import _lru_cache_wrapper
from random import Random

from benchmarks.measuring import MB, Row, program, resident

from kaito.apiserver.comparing import forget
from kaito.framework.applying import ApplyOptions
from kaito.framework.children import Children, child
from kaito.framework.controller import Controller
from kaito.framework.leader import LeaderOptions
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.reconcile import Again, Done
from kaito.framework.sources import for_object, owned_by
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, EVENTS, SECRETS
from kaito.kube.transport import Request
from kaito.testing.api import embedded_api
from kaito.testing.faults import WRITES
from kaito.testing.loop import VirtualTimeLoop

MINUTE, HOUR = 60.0, 3600.0
NAME = "churn"
AIM = 1.05
"""The last hour, in settled hours."""


class Keeper:
    """A Secret per ConfigMap, of the same content; some fails at first, some is looked at again."""

    def __init__(self, manager):
        self.client, self.runs = manager.client, 0
        self.children = Children(
            manager.client,
            manager.recorder(NAME),
            field_manager=NAME,
            options=ApplyOptions(hash_annotation="example.org/applied"),
        )

    async def reconcile(self, key):
        self.runs += 1
        parent, kept = (self.client.store(kind).get(key) for kind in (CONFIGMAPS, SECRETS))
        if parent is None:
            if kept is not None:
                await self.client.delete(SECRETS, key)
            return Done()
        content = parent.get("data", "content")
        if content.endswith("7") and self.runs % 3:
            raise RuntimeError("not yet")
        data = {"content": b64encode(content.encode()).decode()}
        await self.children.keep(parent, {SECRETS: child(parent, SECRETS, {"data": data})})
        return Again(5 * MINUTE) if content.endswith("5") else Done()


class Day:
    """The operator, and the world that keeps it busy."""

    def __init__(self, api, objects, haste, retry_period):
        self.api, self.objects, self.born, self.changes = api, objects, 0, 0
        self.haste = haste
        self.random, self.alive = Random(5), []
        self.manager = Manager(
            api.transport(),
            clock=api.clock,
            random=Random(6),
            options=ManagerOptions(
                leader=_lease(retry_period),
                identity=NAME,
                user_agent=NAME,
            ),
        )
        self.keeper = Keeper(self.manager)
        sources = [for_object(CONFIGMAPS), owned_by(SECRETS, CONFIGMAPS)]
        self.controller = Controller(NAME, self.keeper, sources)
        self.manager.add(self.controller)

    async def begin(self):
        for _ in range(self.objects):
            await self._birth()

    async def pass_(self, hours):
        """Live through that many hours, and let what is under way end."""
        clock = self.api.clock
        until = clock.monotonic() + hours * HOUR
        while clock.monotonic() < until - MINUTE:
            await self._minute(int(clock.monotonic() // MINUTE))
        await clock.sleep(max(MINUTE, until - clock.monotonic()))

    async def _minute(self, number):
        if number % (30 // self.haste) == 0:
            self.api.faults.expire_history()
            self.api.faults.cut_watches()
        if number % (60 // self.haste) == 0:
            self.api.faults.drop(WRITES, carried_out=True)
            self.api.requests.clear()
            self.api.faults.met.clear()
            await self.api.client.raw(Request(method="DELETE", path=EVENTS.path("default")))
        await self._death()
        await self._birth()
        for _ in range(3):
            await self._change()
            await self.api.clock.sleep(20)

    async def _birth(self):
        self.born += 1
        key = ObjectKey("default", f"object-{self.born}")
        self.alive.append(key)
        meta = {"name": key.name, "namespace": key.namespace}
        await self.api.client.create(CONFIGMAPS, {"metadata": meta, "data": {"content": "0"}})

    async def _death(self):
        await self.api.client.delete(CONFIGMAPS, self.alive.pop(0))

    async def _change(self):
        self.changes += 1
        patch = {"data": {"content": str(self.changes)}}
        await self.api.client.merge_patch(CONFIGMAPS, self.random.choice(self.alive), patch)


def _lease(retry_period):
    return LeaderOptions(
        namespace="default",
        name=NAME,
        lease_duration=round(7.5 * retry_period),
        renew_deadline=5 * retry_period,
        retry_period=retry_period,
    )


@asynccontextmanager
async def day(objects, *, haste=1, retry_period=2.0):
    """A running one. With `haste` troubles come that much more often."""
    async with embedded_api() as api:
        one, stop = Day(api, objects, haste, retry_period), asyncio.Event()
        await one.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(one.manager.run(stop))
            yield one
            stop.set()


def settle():
    """Leave nothing unreachable, nor what is kept at hand up to a number of entries and no further:
    the server has much of that, and takes longer than an hour to fill it.
    """
    forget()
    for found in gc.get_objects():
        if type(found) is _lru_cache_wrapper and found.cache_parameters()["maxsize"] is not None:
            found.cache_clear()
    gc.collect()


def blocks():
    """Pieces of memory in use, whatever they belong to: exact where resident size is coarse."""
    settle()
    return sys.getallocatedblocks()


async def live(objects, hours):
    """(hour, resident bytes, blocks) at the end of each of `hours`."""
    found, before = [], 0
    async with day(objects) as one:
        for hour in hours:
            await one.pass_(hour - before)
            before = hour
            found.append((hour, blocks(), resident()))
        return found, one.keeper.runs, one.changes


def measure(objects=100, hours=(1, 6, 12, 24)):
    configure_logging("json", level=50)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        found, runs, changes = runner.run(live(objects, hours))
    # By the second look the server, which lives in the same process, has filled its caches.
    (early, *_), (settled, floor_blocks, floor_size), *_ = found
    floor_is = f"the same after {settled:g} h"
    for hour, count, size in found:
        rows = [
            Row(
                what=f"resident after {hour:g} virtual hours of churn",
                value=size / MB,
                unit="MB",
                floor=floor_size / MB,
                floor_is=floor_is,
            ),
            Row(
                what=f"memory blocks in use after {hour:g} virtual hours",
                value=count,
                unit="",
                floor=floor_blocks,
                floor_is=floor_is,
            ),
        ]
        if hour == early:
            yield from rows
        elif hour != settled:
            yield from (row.within(ratio=AIM) for row in rows)
    yield Row(what=f"reconciles in those hours, {changes:,} changes by others", value=runs, unit="")


if __name__ == "__main__":
    program(measure, __doc__)
