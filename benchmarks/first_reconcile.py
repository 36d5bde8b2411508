"""From a manager's start to its first reconcile, with ten thousand objects to read before.

    PYTHONPATH=src:. python -m benchmarks.first_reconcile

The pods come from another process over HTTP, ready made, as one streamed list and as a list in
pages. The floor reads the same bytes with the same library and decodes the metadata, no more.
"""

import asyncio
import time
from random import Random

import aiohttp
import msgspec
from benchmarks.measuring import MILLI, Row, program, uncollected
from benchmarks.recorded import recorded

from kaito.framework.controller import Controller
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import static
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import Meta
from kaito.kube.resources import PODS

ELAPSED, USED = 0, 1
WATCH = "/api/v1/pods?watch=true&sendInitialEvents=true"


class _Object(msgspec.Struct, gc=False):
    metadata: Meta


class _Event(msgspec.Struct, gc=False):
    type: str
    object: _Object


class _Page(msgspec.Struct, gc=False):
    items: list[_Object]
    metadata: dict[str, str]


class Noting:
    """When the first key came, and when all had come."""

    def __init__(self, count):
        self.left, self.first, self.all = count, None, asyncio.Event()

    async def reconcile(self, key):
        if self.first is None:
            self.first = moment()
        self.left -= 1
        if not self.left:
            self.all.set()
        return Done()


def moment():
    """(seconds on the wall, processor seconds of this thread)"""
    return time.perf_counter(), time.thread_time()


def since(began):
    return tuple(now - then for now, then in zip(moment(), began, strict=True))


async def ours(url, count):
    """From the start to the first reconcile, and to the last."""
    noting, stop = Noting(count), asyncio.Event()
    transport = HttpsTransport(static(url, clock=SystemClock()))
    manager = Manager(transport, clock=SystemClock(), random=Random(1))
    manager.add(Controller("noting", noting, [for_object(PODS)]))
    began = moment()
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run(stop))
        await noting.all.wait()
        whole = since(began)
        stop.set()
    await transport.close()
    return tuple(at - start for at, start in zip(noting.first, began, strict=True)), whole


async def floor(url, *, streams):
    began = moment()
    async with aiohttp.ClientSession(url, read_bufsize=1 << 20, auto_decompress=False) as session:
        found = await (streamed if streams else paged)(session)
    return found, since(began)


async def paged(session):
    """How many objects there are, page by page."""
    decode = msgspec.json.Decoder(_Page).decode
    found, token = 0, "0"
    while token:
        async with session.get(f"/api/v1/pods?limit=500&continue={token}") as answer:
            page = decode(await answer.read())
        found, token = found + len(page.items), page.metadata["continue"]
    return found


async def streamed(session):
    """How many objects there are, event by event."""
    decode = msgspec.json.Decoder(_Event).decode
    found, rest = 0, b""
    async with session.get(WATCH) as answer:
        while chunk := await answer.content.readany():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if decode(line).type == "BOOKMARK":
                    return found
                found += 1
    raise AssertionError("the stream ended without its bookmark")


def measure(count=10_000, size=6_000, rounds=3):
    configure_logging("json", level=40)
    for how, streams in (("streamed", True), ("in pages", False)):
        with recorded(count, size, streams=streams) as url:
            found, least, first, whole = [], [], [], []
            for _ in range(rounds):
                with uncollected():
                    number, taken = asyncio.run(floor(url, streams=streams))
                found.append(number)
                least.append(taken)
                until_first, until_last = asyncio.run(ours(url, count))
                first.append(until_first)
                whole.append(until_last)
            assert set(found) == {count}
        objects = f"{count:,} objects {how}"
        yield _row(f"first reconcile with {objects}, elapsed", ELAPSED, first, least)
        yield _row(f"first reconcile with {objects}, processor time", USED, first, least)
        yield _row(f"all reconciled with {objects}, processor time", USED, whole, least)


def _row(what, which, ours, least):
    """The least of each: whatever disturbs a measurement adds to it."""
    return Row(
        what=what,
        value=min(taken[which] for taken in ours) / MILLI,
        unit="ms",
        floor=min(taken[which] for taken in least) / MILLI,
        floor_is="the same bytes read, metadata decoded",
    )


if __name__ == "__main__":
    program(measure, __doc__)
