"""An operator under test, kept running as a kubelet keeps a container: what crashes comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import final

from kaito.framework.manager import Manager
from kaito.kube.transport import Transport
from kaito.testing.crashing import CrashingTransport, CrashPlan

Make = Callable[[Transport], Manager]
"""A manager with its controllers, over this transport, that does not run yet."""


@final
class Operator:
    """One operator through all its lives."""

    def __init__(self, make: Make, door: Callable[[], Transport], plan: CrashPlan) -> None:
        self._make = make
        self._door = door
        self._stop = asyncio.Event()
        self.plan = plan
        """Of the present life."""
        self.lives = 0
        self.manager = self._born()

    def _born(self) -> Manager:
        self.lives += 1
        return self._make(CrashingTransport(self._door(), self.plan))

    def crash(self) -> None:
        """The process is gone at once, and another takes its place."""
        self.plan.crashed.set()

    def stop(self) -> None:
        """Ask for an orderly end, as SIGTERM does."""
        self._stop.set()

    async def live(self) -> None:
        """Until an orderly end. Raises what a manager's run raises."""
        while await self._crashed():
            self.plan = CrashPlan()
            self.manager = self._born()

    async def _crashed(self) -> bool:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.manager.run(self._stop), name="operator")
            crashed = group.create_task(self.plan.crashed.wait(), name="crash")
            await asyncio.wait((running, crashed), return_when=asyncio.FIRST_COMPLETED)
            running.cancel()
            crashed.cancel()
        return self.plan.crashed.is_set()


@asynccontextmanager
async def operating(
    make: Make, door: Callable[[], Transport], crash: CrashPlan | None = None
) -> AsyncIterator[Operator]:
    """Run an operator beside the body, and stop it in good order.

    An exception of the body comes out as it is; what broke in the operator cancels the body and is
    raised as an ExceptionGroup.
    """
    operator = Operator(make, door, crash or CrashPlan())
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        group.create_task(operator.live(), name="operator's lives")
        try:
            yield operator
        except Exception as error:  # noqa: BLE001 - the body's own; raised as it is below
            failure = error
        finally:
            operator.stop()
    if failure is not None:
        raise failure
