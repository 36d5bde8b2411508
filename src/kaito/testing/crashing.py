"""A crash is a crash: the process stops between two instructions, and no `finally` tidies up.

A `CrashPlan` counts the writes that leave a process through all its doors. At the chosen one it
severs every door first, so nothing that runs afterwards reaches the world, and then tells the test,
which cancels the process's tasks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, final

from kaito.kube.transport import Request, Response, Stream, Transport

When = Literal["before", "after"]

_READS = frozenset({"GET", "HEAD", "OPTIONS"})

Handle = Callable[[Request], Awaitable[Response]]


def _any(_write: str) -> bool:
    return True


@final
class CrashPlan:
    """Crash at write number `at` (1 is the first), before it is sent or after it was answered.

    With `at` = 0 there is no crash and the plan only counts. `counted`: which writes count, by
    their `METHOD path`; in real time, where lease renewals and events come in between, the one of
    interest is best named.
    """

    def __init__(
        self, at: int = 0, when: When = "before", *, counted: Callable[[str], bool] = _any
    ) -> None:
        self._at = at
        self._when = when
        self._counted = counted
        self.writes: list[str] = []
        """Every counted write so far, as `METHOD path`."""
        self.crashed = asyncio.Event()

    async def carry(self, request: Request, send: Callable[[], Awaitable[Response]]) -> Response:
        """Send a request through one of the doors, unless the process is dead or dies of it."""
        await self.alive()
        if request.method in _READS:
            response = await send()
            await self.alive()
            return response
        write = f"{request.method} {request.path}"
        counts = self._counted(write)
        if counts:
            self.writes.append(write)
        fatal = counts and len(self.writes) == self._at
        if fatal and self._when == "before":
            await self._die()
        response = await send()
        if fatal:
            await self._die()
        await self.alive()
        return response

    async def alive(self) -> None:
        """Returns at once while the process lives; afterwards nothing ever comes back."""
        if self.crashed.is_set():
            await self._silence()

    async def _die(self) -> None:
        self.crashed.set()
        await self._silence()

    async def _silence(self) -> None:
        await asyncio.get_running_loop().create_future()


@final
class CrashingTransport:
    """A door to the API server that falls shut with the plan."""

    def __init__(self, inner: Transport, plan: CrashPlan) -> None:
        self._inner = inner
        self._plan = plan

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        return await self._plan.carry(request, lambda: self._inner.send(request, timeout=timeout))

    def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        return self._inner.stream(request, idle_timeout=idle_timeout)

    async def close(self) -> None:
        await self._inner.close()


def crashing_handler(handle: Handle, plan: CrashPlan) -> Handle:
    """A door to anything that answers requests, such as a cloud's endpoint."""

    async def guarded(request: Request) -> Response:
        return await plan.carry(request, lambda: handle(request))

    return guarded
