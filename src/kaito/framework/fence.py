"""The fence: a leader's writes stop at a deadline, whatever its tasks believe.

A leader that was paused may wake up after another has taken over. So every write to the API server
and every mutation of a cloud asks here first, and the answer depends on nothing but a clock: each
successful renewal moves the deadline, and nothing else does.
"""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import final

from kaito.kube.retrying import HasHost
from kaito.kube.transport import Request, Response, Stream, Transport


class Fenced(Exception):
    """The right to write has ended. Whoever sees this must stop, not retry."""


@final
class Fence:
    """Open until a deadline on `monotonic`, which must read the same in every thread.

    Only assigns and compares one float, so the elector's thread may move it while others ask.
    """

    def __init__(self, monotonic: Callable[[], float], *, deadline: float = math.inf) -> None:
        self._monotonic = monotonic
        self._deadline = deadline

    @property
    def open(self) -> bool:
        return self._monotonic() < self._deadline

    def check(self) -> None:
        """Raises Fenced when the leadership deadline has passed or none was ever set."""
        if not self.open:
            raise Fenced("not the leader: the lease was lost, or was never held")

    def extend(self, deadline: float) -> None:
        """The lease was renewed: writes are allowed until `deadline`."""
        self._deadline = deadline

    def shut(self) -> None:
        """No write from now on."""
        self._deadline = -math.inf


_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@final
class FencedTransport:
    """A transport that refuses to send a write when the fence is shut."""

    def __init__(self, inner: Transport, fence: Fence) -> None:
        self._inner = inner
        self._fence = fence
        self.host = inner.host if isinstance(inner, HasHost) else ""

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        if request.method not in _READS:
            self._fence.check()
        return await self._inner.send(request, timeout=timeout)

    def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        if request.method not in _READS:
            self._fence.check()
        return self._inner.stream(request, idle_timeout=idle_timeout)

    async def close(self) -> None:
        await self._inner.close()
