"""What networks and busy servers do to a client, on demand.

A fault plan lies between the doors of an embedded API server and the server itself, so it meets
every client alike: one in the process, kubectl, or somebody else's operator over HTTPS. What the
test's own client asks for is never disturbed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Literal, cast, final

import msgspec

from kaito.apiserver.server import Answer
from kaito.apiserver.storage import Storage
from kaito.kube.clock import Clock
from kaito.kube.errors import TransportError
from kaito.kube.transport import Request, Response, Stream
from kaito.testing.counting import AGENT

Kind = Literal["drop", "delay", "refuse"]

_REASONS: Final = {
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """The requests that a fault is for; by default every one."""

    methods: frozenset[str] = frozenset()
    """Empty: any."""
    path: str = ""
    """A part of the path; empty: any."""
    agent: str = ""
    """How the user agent begins; empty: any."""

    def __contains__(self, request: Request) -> bool:
        return (
            (not self.methods or request.method in self.methods)
            and self.path in request.path
            and request.headers.get("user-agent", "").startswith(self.agent)
        )


WRITES: Final = Which(methods=frozenset({"POST", "PUT", "PATCH", "DELETE"}))
EVERY: Final = Which()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    kind: Kind
    which: Which
    left: int | None
    apply: Callable[[Answer], Awaitable[Response | Stream]]


@final
class FaultPlan:
    """Faults that are to come, and those that were met. `times=None` means: until `clear`."""

    def __init__(self, clock: Clock, storage: Storage) -> None:
        self._clock = clock
        self._storage = storage
        self._faults: list[_Fault] = []
        self._streams: dict[object, tuple[Request, asyncio.Timeout]] = {}
        self.met: list[tuple[Kind | Literal["cut"], str, str]] = []
        """(kind, method, path) of everything that went wrong."""

    # ---- planning

    def drop(
        self, which: Which = EVERY, *, times: int | None = 1, carried_out: bool = False
    ) -> None:
        """The connection breaks; with `carried_out` after the server did what was asked."""

        async def dropped(answer: Answer) -> Response | Stream:
            if carried_out:
                await answer()
            raise TransportError("the connection was dropped", sent=carried_out)

        self._plan("drop", which, times, dropped)

    def delay(self, seconds: float, which: Which = EVERY, *, times: int | None = 1) -> None:
        """The request arrives that much later."""

        async def delayed(answer: Answer) -> Response | Stream:
            await self._clock.sleep(seconds)
            return await answer()

        self._plan("delay", which, times, delayed)

    def refuse(
        self,
        status: int,
        which: Which = EVERY,
        *,
        times: int | None = 1,
        retry_after: int | None = None,
    ) -> None:
        """The server answers 429, 500, 503 ... and does nothing."""

        async def refused(_: Answer) -> Response:
            return _refusal(status, retry_after)

        self._plan("refuse", which, times, refused)

    def clear(self) -> None:
        """No more faults."""
        self._faults.clear()

    # ---- at once

    def cut_watches(self, which: Which = EVERY) -> int:
        """Break every open stream, now; how many there were."""
        loop = asyncio.get_running_loop()
        cut = [(request, scope) for request, scope in self._streams.values() if request in which]
        for request, scope in cut:
            self.met.append(("cut", request.method, request.path))
            scope.reschedule(loop.time())
        return len(cut)

    def expire_history(self) -> None:
        """The server forgets what led to the present: whoever resumes a watch is told 410 Gone.

        Open watches go on; cut them, and their clients have to list again.
        """
        self._storage.forget()

    # ---- being the network

    async def carry(self, request: Request, answer: Answer) -> Response | Stream:
        """`ApiServer.network`."""
        if request.headers.get("user-agent", "").startswith(AGENT):
            return await answer()
        fault = self._meet(request)
        found = await (answer() if fault is None else fault.apply(answer))
        if isinstance(found, Stream):
            chunks = cast(AsyncGenerator[bytes, None], found.chunks)
            return replace(found, chunks=self._breakable(request, chunks))
        return found

    def _plan(
        self,
        kind: Kind,
        which: Which,
        times: int | None,
        apply: Callable[[Answer], Awaitable[Response | Stream]],
    ) -> None:
        self._faults.append(_Fault(kind=kind, which=which, left=times, apply=apply))

    def _meet(self, request: Request) -> _Fault | None:
        for index, fault in enumerate(self._faults):
            if request not in fault.which:
                continue
            if fault.left is not None and fault.left <= 1:
                del self._faults[index]
            elif fault.left is not None:
                self._faults[index] = replace(fault, left=fault.left - 1)
            self.met.append((fault.kind, request.method, request.path))
            return fault
        return None

    async def _breakable(
        self, request: Request, chunks: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        stream = object()
        async with aclosing(chunks):
            while True:
                try:
                    async with asyncio.timeout(None) as scope:
                        self._streams[stream] = (request, scope)
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise TransportError("the connection was cut") from error
                finally:
                    self._streams.pop(stream, None)
                yield chunk


def _refusal(status: int, retry_after: int | None) -> Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "a fault was planned here",
        "reason": _REASONS.get(status, ""),
        "code": status,
    }
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Response(status=status, headers=headers, body=msgspec.json.encode(body))
