"""A pytest plugin: `async def` tests run in virtual time, those marked `realtime` on a real loop.

Every test ends with its loop's tasks gone; one that leaves a task behind fails.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import pytest

from kaito.testing.loop import VirtualTimeLoop


async def _run(test: Callable[..., Awaitable[None]], arguments: dict[str, object]) -> None:
    await test(**arguments)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"the test left tasks behind: {sorted(task.get_name() for task in left)}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    real = pyfuncitem.get_closest_marker("realtime") is not None
    factory = asyncio.new_event_loop if real else VirtualTimeLoop
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_run(pyfuncitem.obj, arguments))
    return True
