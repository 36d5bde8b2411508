"""An event loop whose time jumps: a cluster-day runs in milliseconds and replays exactly.

Whenever nothing is ready, the loop advances its clock to the next timer instead of waiting. There
must be neither sockets nor threads on such a loop; with nothing ready and no timer left nothing can
ever happen again, and that is reported instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any, final


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
