"""How a coroutine that is a test is run."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import pytest

from kaito.testing.loop import cut_connections

Test = Callable[..., Awaitable[None]]


def coroutine_of(item: pytest.Function) -> Test | None:
    """The `async def` behind a test, if that is what it is.

    Another plugin that runs coroutines may have put a plain function around it (pytest-asyncio
    does, in its mode `auto`), which would run it on that plugin's loop, in real time.
    """
    function: Test | None = item.obj
    while function is not None and not inspect.iscoroutinefunction(function):
        function = getattr(function, "__wrapped__", None)
    return function


async def _run(test: Test, arguments: dict[str, object]) -> None:
    try:
        await test(**arguments)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"the test left tasks behind: {sorted(task.get_name() for task in left)}"
    finally:
        await cut_connections()


def call(item: pytest.Function, test: Test, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run an `async def` test on a loop of its own. It fails if it leaves a task behind."""
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_run(test, arguments))
