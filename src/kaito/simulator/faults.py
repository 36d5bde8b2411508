"""Seeded faults on a door of the API server: what networks and busy servers do to a client.

    lose      the request never arrives
    forget    the request is carried out, and its answer is lost
    delay     the answer comes late
    refuse    the server answers with an error of its own (500, 429 ...)
    cut       a stream breaks off after some pieces

A severed transport is a dead process' one: every further call hangs, unsent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, final

import msgspec

from kaito.kube.clock import Clock
from kaito.kube.errors import TransportError
from kaito.kube.transport import Request, Response, Stream, Transport

Kind = Literal["lose", "forget", "delay", "refuse", "cut"]

_REASONS = {
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to requests that match, with a probability."""

    kind: Kind
    probability: float = 1.0
    methods: frozenset[str] = frozenset()
    """Empty: any."""
    path: str = ""
    """A part of the path; empty: any."""
    times: int | None = None
    """How often at most; None: for ever."""
    seconds: float = 0.0
    """For `delay`."""
    status: int = 500
    """For `refuse`."""
    retry_after: int | None = None
    """For `refuse`: the seconds that the server asks to wait."""
    pieces: int = 1
    """For `cut`: how many pieces arrive before."""

    def matches(self, request: Request) -> bool:
        wanted = not self.methods or request.method in self.methods
        return wanted and self.path in request.path


@final
class FaultyTransport:
    """Another transport, with faults. With the same seed and requests, the same faults."""

    def __init__(self, inner: Transport, *, clock: Clock, random: Random) -> None:
        self._inner = inner
        self._clock = clock
        self._random = random
        self._faults: list[Fault] = []
        self._severed = False
        self.met: list[tuple[Kind, str, str]] = []
        """(kind, method, path) of everything that went wrong."""

    def inject(self, *faults: Fault) -> None:
        """From now on."""
        self._faults += faults

    def clear(self) -> None:
        """No more faults; a severed transport stays severed."""
        self._faults.clear()

    def sever(self) -> None:
        """Every further call hangs, and what is under way gets no answer."""
        self._severed = True

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        await self._alive()
        fault = self._meet(request, streaming=False)
        if fault is not None and fault.kind == "lose":
            raise TransportError("the connection was refused", sent=False)
        if fault is not None and fault.kind == "refuse":
            return _refusal(fault)
        answer = await self._inner.send(request, timeout=timeout)
        await self._alive()
        if fault is not None and fault.kind == "forget":
            raise TransportError("the connection was reset")
        if fault is not None and fault.kind == "delay":
            await self._clock.sleep(fault.seconds)
        return answer

    def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        return self._stream(request, idle_timeout)

    @asynccontextmanager
    async def _stream(self, request: Request, idle_timeout: float | None) -> AsyncIterator[Stream]:
        await self._alive()
        fault = self._meet(request, streaming=True)
        if fault is not None and fault.kind in ("lose", "forget"):
            raise TransportError("the connection was refused", sent=False)
        if fault is not None and fault.kind == "refuse":
            refused = _refusal(fault)
            chunks = _once(refused.body)
            yield Stream(status=refused.status, headers=refused.headers, chunks=chunks)
            return
        if fault is not None and fault.kind == "delay":
            await self._clock.sleep(fault.seconds)
        async with self._inner.stream(request, idle_timeout=idle_timeout) as stream:
            pieces = fault.pieces if fault is not None and fault.kind == "cut" else None
            yield replace(stream, chunks=self._chunks(stream.chunks, pieces))

    async def _chunks(
        self, chunks: AsyncIterator[bytes], pieces: int | None
    ) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in chunks:
            await self._alive()
            if pieces is not None and seen >= pieces:
                raise TransportError("the connection was reset")
            seen += 1
            yield chunk

    async def close(self) -> None:
        await self._inner.close()

    async def _alive(self) -> None:
        if self._severed:
            await asyncio.get_running_loop().create_future()

    def _meet(self, request: Request, *, streaming: bool) -> Fault | None:
        for index, fault in enumerate(self._faults):
            if not fault.matches(request) or (fault.kind == "cut" and not streaming):
                continue
            if self._random.random() >= fault.probability:
                continue
            self._spend(index, fault)
            self.met.append((fault.kind, request.method, request.path))
            return fault
        return None

    def _spend(self, index: int, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times <= 1:
            del self._faults[index]
        else:
            self._faults[index] = replace(fault, times=fault.times - 1)


def _refusal(fault: Fault) -> Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "a fault was injected here",
        "reason": _REASONS.get(fault.status, ""),
        "code": fault.status,
    }
    headers = {"content-type": "application/json"}
    if fault.retry_after is not None:
        headers["retry-after"] = str(fault.retry_after)
    return Response(status=fault.status, headers=headers, body=msgspec.json.encode(status))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
