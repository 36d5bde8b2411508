"""A connection that dies without a word, over a real socket."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import msgspec
import pytest

from kaito.framework.events import Event
from kaito.framework.reflector import Reflector, ReflectorOptions
from kaito.framework.scope import Scope
from kaito.framework.store import Store
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import static
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import Json
from tests.framework.objects import WIDGETS, widget
from tests.framework.script import added, end, modified

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def mute_server(*answers: list[Json]):
    """Answers each request with its events and then, as if packets were dropped, says nothing
    more and closes nothing."""
    waiting = list(answers)
    asked: list[str] = []
    forever = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        while await reader.readline() != b"\r\n":
            pass
        writer.write(HEAD)
        for event in waiting.pop(0) if waiting else []:
            line = msgspec.json.encode(event) + b"\n"
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        await writer.drain()
        await forever.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", asked
    finally:
        forever.set()
        server.close()
        await server.wait_closed()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.mark.realtime
async def test_s18_a_half_open_connection_is_replaced_after_the_idle_timeout() -> None:
    """The server's end is gone and no packet says so: the watch is opened again from the last
    version within the idle timeout, nothing is listed, nothing is missed."""
    first = [added(widget("a", 2)), end(4)]
    second = [modified(widget("a", 9))]
    async with mute_server(first, second) as (url, asked):
        clock, random = SystemClock(), Random(1)
        transport = HttpsTransport(static(url, clock=clock))
        store = Store(WIDGETS, {})
        caught_up = asyncio.Event()

        def see(events: list[Event]) -> None:
            if store.resource_version == "9":
                caught_up.set()

        store.observe(see)
        reflector = Reflector(
            Client(transport, clock=clock, random=random),
            WIDGETS,
            Scope(),
            store.shards[0],
            clock=clock,
            random=random,
            count=lambda what: None,
            options=ReflectorOptions(idle_timeout=0.2),
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reflector.run())
            async with asyncio.timeout(120):
                await caught_up.wait()
            running.cancel()
        await transport.close()
        assert "sendInitialEvents=true" in asked[0]
        assert "resourceVersion=4" in asked[1]
        assert "sendInitialEvents" not in asked[1]
