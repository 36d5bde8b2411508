"""A pytest plugin that installs itself: fixtures, and a mark. Other tests it leaves as they are.

    embedded_api    makes API servers in the process: `async with embedded_api() as api:`
    served_api      an API server on HTTPS with a kubeconfig, for any client; real time
    virtual_time    a mark: this `async def` test runs on a loop whose time jumps

Everything else is imported when it is used, so that a suite which uses nothing pays nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kaito.testing.api import EmbeddedApi
    from kaito.testing.threaded import ServedApi

NAME = "kaito"
"""Under which pytest knows this plugin, whoever loads it first."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "virtual_time: run this coroutine on a loop whose time jumps (kaito.testing)"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if pyfuncitem.get_closest_marker("virtual_time") is None:
        return None
    from kaito.testing.calling import call, coroutine_of
    from kaito.testing.loop import VirtualTimeLoop

    if (test := coroutine_of(pyfuncitem)) is None:
        pytest.fail("the mark virtual_time is for `async def` tests", pytrace=False)
    call(pyfuncitem, test, VirtualTimeLoop)
    return True


@pytest.fixture
def embedded_api() -> "Callable[..., AbstractAsyncContextManager[EmbeddedApi]]":
    """`kaito.testing.api.embedded_api`: an API server in the process, without sockets."""
    from kaito.testing.api import embedded_api as make

    return make


@pytest.fixture
def served_api(tmp_path: Path) -> "Iterator[ServedApi]":
    """An API server of this test's own, on HTTPS: `served_api.kubeconfig` is for any client."""
    from kaito.testing.threaded import served_api as serve

    with serve(tmp_path) as served:
        yield served
