"""A pytest plugin for whole suites: every `async def` test runs in virtual time, unless `realtime`.

Load it by `-p kaito.testing.plugin`. It brings `kaito.testing.fixtures` along where that has not
installed itself. Every test ends with its loop's tasks gone; one that leaves a task behind fails.
"""

import asyncio

import pytest

from kaito.testing import fixtures
from kaito.testing.calling import call, coroutine_of
from kaito.testing.loop import VirtualTimeLoop


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin(fixtures.NAME):
        config.pluginmanager.register(fixtures, fixtures.NAME)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if (test := coroutine_of(pyfuncitem)) is None:
        return None
    real = pyfuncitem.get_closest_marker("realtime") is not None
    call(pyfuncitem, test, asyncio.new_event_loop if real else VirtualTimeLoop)
    return True
