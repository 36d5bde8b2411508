"""An event loop whose time jumps: a cluster-day runs in milliseconds and replays exactly.

Whenever nothing is ready, the loop advances its clock to the next timer instead of waiting. There
must be neither sockets nor threads on such a loop; with nothing ready and no timer left nothing can
ever happen again, and that is reported instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, Final, final

_PASSES: Final = 3
"""Of a loop, until what was aborted is closed."""


class Deadlock(RuntimeError):
    """Every task waits for something that no timer and no other task will ever bring."""


@final
class _JumpingSelector(selectors.BaseSelector):
    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock(
                "all tasks are waiting and no timer is set; what waits for a socket, a thread or a "
                "process needs a test in real time"
            )
        self.now += max(0.0, timeout)
        return []

    def register(
        self,
        fileobj: Any,
        events: int,
        data: object = None,
    ) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def close(self) -> None:
        self._inner.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()


@final
class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`loop.time()` starts at 0 and moves only when everything waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # Sums of floats must not leave a timer a hair short of due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.now


async def cut_connections() -> None:
    """Cut the connections that the running loop still has, because it is closed next.

    To close TLS in good order takes as long as the peer likes. What is open when a loop is closed
    is found by the garbage collector, whose warning then hits whatever test just runs.
    """
    transports = list(getattr(asyncio.get_running_loop(), "_transports", {}).values())
    for transport in transports:
        transport.abort()
    for _ in transports and range(_PASSES):
        await asyncio.sleep(0)
