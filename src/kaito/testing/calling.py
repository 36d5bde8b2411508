"""How a coroutine that is a test is run."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest


async def _run(test: Callable[..., Awaitable[None]], arguments: dict[str, object]) -> None:
    await test(**arguments)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"the test left tasks behind: {sorted(task.get_name() for task in left)}"


def call(function: pytest.Function, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Run an `async def` test on a loop of its own. It fails if it leaves a task behind."""
    names = function._fixtureinfo.argnames
    arguments = {name: function.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_run(function.obj, arguments))
