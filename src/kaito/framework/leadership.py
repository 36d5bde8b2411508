"""Where an elector lives: on this event loop, or on a thread of its own with a watchdog.

On a thread, because a reconcile that blocks the loop, or a long garbage collection, must not cost
the lease, nor hide that it was lost: if the process has not left its leader's work by the time that
others may take over, the watchdog ends it.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import final

import structlog

from kaito.framework.elector import Elector
from kaito.kube.clock import Clock
from kaito.kube.transport import Transport

log = structlog.get_logger(__name__)

_LEAST_NOTICE = 1.0
"""Seconds that the process has at least, to leave in good order after the lease was lost."""


@asynccontextmanager
async def elected_here(elector: Elector) -> AsyncIterator[asyncio.Event]:
    """The event is set when this process leads; leaving releases the lease.

    Raises LeadershipLost (in a group), cancelling the body.
    """
    leading = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_lead(elector, leading.set), name="leader election")
        try:
            yield leading
        finally:
            task.cancel()


async def _lead(elector: Elector, on_leading: Callable[[], None]) -> None:
    try:
        await elector.campaign()
        on_leading()
        await elector.renew()
    finally:
        await elector.release()


@asynccontextmanager
async def elected_on_thread(
    make: Callable[[], Elector],
    transport: Transport,
    clock: Clock,
    *,
    kill: Callable[[int], object] = os._exit,
) -> AsyncIterator[asyncio.Event]:
    """As `elected_here`, raising LeadershipLost bare when the body had ended.

    `make` is called on the thread, which then owns and closes `transport`.

    `kill` is called, on the thread, when the lease has run out and this context was not left.
    """
    host = _Host(make, transport, clock, kill)
    host.start()
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(host.failed(), name="leader election")
            try:
                yield host.leading
            finally:
                watcher.cancel()
    finally:
        await host.stop()
    host.check()


@final
class _Host:
    def __init__(
        self,
        make: Callable[[], Elector],
        transport: Transport,
        clock: Clock,
        kill: Callable[[int], object],
    ) -> None:
        self.leading = asyncio.Event()
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._make = make
        self._transport = transport
        self._clock = clock
        self._kill = kill
        self._elector: Elector | None = None
        self._left = threading.Event()
        self._cancel: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._run, name="leader election", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def failed(self) -> None:
        """Raises what ended the election."""
        await self._ended.wait()
        self.check()

    def check(self) -> None:
        """As `failed`, for what is known now."""
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """The leader's work is over: release, and wait until the thread has ended."""
        self._left.set()
        if self._cancel is not None:
            self._cancel()
        await self._ended.wait()
        self._thread.join()

    # ---- on the thread

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._main())
        except asyncio.CancelledError:
            self._tell(self._ended.set)
        except BaseException as error:  # noqa: BLE001 - it is raised again on the main loop
            self._error = error
            self._tell(self._ended.set)
            self._guard()
        else:
            self._tell(self._ended.set)

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def cancel() -> None:
            # The loop is closed when the election has ended by itself.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: task and task.cancel())

        self._cancel = cancel
        if self._left.is_set():
            return
        try:
            self._elector = self._make()
            await _lead(self._elector, lambda: self._tell(self.leading.set))
        finally:
            await self._transport.close()

    def _tell(self, callback: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _guard(self) -> None:
        """The watchdog: what the main loop does now, however stuck it is, must end in time."""
        if self._elector is None or self._elector.lease_until is None:
            return
        notice = max(_LEAST_NOTICE, self._elector.lease_until - self._clock.monotonic())
        if not self._left.wait(notice):
            log.critical("the lease was lost and the process did not stop", waited=round(notice, 1))
            self._kill(1)
