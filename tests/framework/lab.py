"""The embedded API server behind a network that misbehaves on demand, and a cache on top of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer, ApiServerOptions
from kaito.framework.cache import Cache
from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import current_key
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.errors import IdleTimeout, TransportError
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import CONFIGMAPS
from kaito.kube.transport import Request, Response, Stream, Transport

T = TypeVar("T")


@dataclass
class Network:
    """A transport. `lag` delays what watches bring, and nothing of it passes while `passing` is not
    set; `after` and `before` see each request and may raise, which loses the answer, or the
    request."""

    inner: Transport
    lag: float = 0.0
    requests: list[Request] = field(default_factory=list)
    before: Callable[[Request], None] = lambda request: None
    after: Callable[[Request, Response], None] = lambda request, response: None
    cuts: list[asyncio.Event] = field(default_factory=list)
    passing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.passing.set()

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        self.requests.append(request)
        self.before(request)
        response = await self.inner.send(request, timeout=timeout)
        self.after(request, response)
        return response

    def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        self.requests.append(request)
        return self._stream(request, idle_timeout)

    @asynccontextmanager
    async def _stream(self, request: Request, idle_timeout: float | None) -> AsyncIterator[Stream]:
        self.before(request)
        cut = asyncio.Event()
        self.cuts.append(cut)
        try:
            async with (
                self.inner.stream(request, idle_timeout=idle_timeout) as stream,
                aclosing(self._delayed(stream, cut)) as chunks,
            ):
                yield Stream(status=stream.status, headers=stream.headers, chunks=chunks)
        finally:
            self.cuts.remove(cut)

    async def _delayed(self, stream: Stream, cut: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """What was sent arrives `lag` seconds later, in order, however much is under way."""
        loop = asyncio.get_running_loop()
        arriving: asyncio.Queue[tuple[float, bytes | Exception | None]] = asyncio.Queue()

        async def carry() -> None:
            try:
                async for chunk in stream.chunks:
                    arriving.put_nowait((loop.time() + self.lag, chunk))
                arriving.put_nowait((loop.time(), None))
            except IdleTimeout as error:
                arriving.put_nowait((loop.time(), error))

        carrying = loop.create_task(carry())
        try:
            while True:
                moment, chunk = await _unless(cut, arriving.get())
                await _unless(cut, asyncio.sleep(moment - loop.time()))
                await _unless(cut, self.passing.wait())
                if chunk is None:
                    return
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            carrying.cancel()
            await asyncio.wait((carrying,))

    def cut_watches(self) -> None:
        """Break every open stream."""
        for cut in self.cuts:
            cut.set()

    async def close(self) -> None:
        await self.inner.close()

    def told(self) -> list[str]:
        """Every request as `VERB path?query`, watches left out."""
        return [
            f"{request.method} {request.target}"
            for request in self.requests
            if not request.param("watch")
        ]


async def _unless(cut: asyncio.Event, coming: Coroutine[Any, Any, T]) -> T:
    """What is coming, or the end of the connection, whichever is first."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coming), loop.create_task(cut.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if cut.is_set():
            raise TransportError("connection reset")
        return tasks[0].result()  # type: ignore[return-value]  # the first is what is coming
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class Gate:
    """A fence that a test opens and shuts."""

    shut = False

    def check(self) -> None:
        if self.shut:
            raise RuntimeError("fenced")


@dataclass
class Lab:
    server: ApiServer
    direct: Client
    """As an administrator, over a perfect network."""
    network: Network
    cache: Cache
    client: ConsistentClient
    fence: Gate
    counted: list[str]

    @asynccontextmanager
    async def run_of(self, name: str) -> AsyncIterator[None]:
        """What happens within is done by the reconcile of `ns/name`."""
        token = current_key.set(ObjectKey("default", name))
        try:
            yield
        finally:
            current_key.reset(token)

    async def waited(self, name: str) -> float:
        """Seconds until that key may run again."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        behind = self.client.behind(ObjectKey("default", name))
        if behind is not None:
            await behind
        assert self.client.behind(ObjectKey("default", name)) is None
        return loop.time() - began


def settings(name: str, version: str = "", **data: str) -> Json:
    """A ConfigMap."""
    metadata: Json = {"name": name, "namespace": "default"}
    if version:
        metadata["resourceVersion"] = version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def key(name: str) -> ObjectKey:
    return ObjectKey("default", name)


@asynccontextmanager
async def laboratory(
    *,
    seed: int = 1,
    declare: Callable[[Cache], object] | None = None,
    options: ApiServerOptions | None = None,
) -> AsyncIterator[Lab]:
    """A running server, and a synced cache of ConfigMaps unless `declare` wants something else."""
    clock = LoopClock()
    server = ApiServer(clock=clock, random=Random(seed), options=options or ApiServerOptions())
    network = Network(in_process(server))
    client = Client(network, clock=clock, random=Random(seed))
    cache = Cache(client, clock=clock, random=Random(seed))
    fence, counted = Gate(), []
    (declare or (lambda cache: cache.informer(CONFIGMAPS)))(cache)
    lab = Lab(
        server=server,
        direct=Client(in_process(server), clock=clock, random=Random(seed)),
        network=network,
        cache=cache,
        client=ConsistentClient(
            client,
            cache,
            fence=fence,
            clock=clock,
            metrics=lambda what, resource: counted.append(what),
        ),
        fence=fence,
        counted=counted,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cache.run())
        await cache.synced()
        network.requests.clear()
        yield lab
        running.cancel()
