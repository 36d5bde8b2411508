"""The plugin installs itself for strangers, is never loaded twice, and leaves others alone."""

import functools
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from kaito.testing import fixtures
from kaito.testing.calling import coroutine_of

pytestmark = pytest.mark.realtime

SOURCES = Path(__file__).parents[2] / "src"

STRANGER = """
import asyncio
import pytest

async def test_left_to_somebody_else():
    raise AssertionError("nobody runs this")

@pytest.mark.virtual_time
async def test_an_hour(embedded_api):
    async with embedded_api() as api:
        await asyncio.sleep(3600)
        assert api.clock.monotonic() >= 3600
"""


@pytest.mark.parametrize(
    ("installed", "options", "outcome"),
    [
        (True, [], "1 passed"),
        (True, ["-p", "kaito.testing.plugin"], "1 failed, 1 passed"),
        (False, ["-p", "kaito.testing.plugin"], "1 failed, 1 passed"),
    ],
    ids=["a stranger", "installed and asked for", "asked for"],
)
def test_it_is_loaded_once_however_it_comes(tmp_path, installed, options, outcome):
    """As an entry point only what asks for it is changed; with -p every coroutine is a test."""
    (tmp_path / "test_stranger.py").write_text(STRANGER, encoding="utf-8")
    if installed:
        info = tmp_path / "kaito-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kaito\nVersion: 0\n")
        (info / "entry_points.txt").write_text("[pytest11]\nkaito = kaito.testing.fixtures\n")
    others = ["-p", "no:xdist", "-p", "no:randomly", "-p", "no:hypothesispytest"]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", *others, *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert outcome in found.stdout, found.stdout + found.stderr


def test_strangers_pay_for_what_they_use():
    """The plugin imports nothing; a server in the process no HTTP, nor anything of a framework."""
    steps = [
        ("kaito.testing.fixtures", ("kaito.api", "kaito.kube", "aiohttp")),
        ("kaito.testing.api", ("aiohttp", "structlog", "prometheus_client", "kaito.framework")),
        ("kaito.testing.threaded", ("aiohttp", "structlog", "kaito.framework")),
    ]
    program = "import sys\n" + "".join(
        f"import {module}\nprint([m for m in sys.modules if m.startswith({without!r})])\n"
        for module, without in steps
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["[]"] * len(steps)


def test_a_coroutine_is_found_behind_what_another_plugin_puts_around_it():
    """pytest-asyncio in its mode `auto` does: a virtual hour would be waited for in real time."""

    async def test() -> None: ...

    @functools.wraps(test)
    def wrapped() -> None: ...

    assert coroutine_of(SimpleNamespace(obj=wrapped)) is test
    assert coroutine_of(SimpleNamespace(obj=test)) is test
    assert coroutine_of(SimpleNamespace(obj=lambda: None)) is None


def test_virtual_time_is_refused_where_it_would_do_nothing():
    """A plain function with the mark would silently run in real time."""
    item = SimpleNamespace(obj=lambda: None, get_closest_marker=lambda name: name)
    with pytest.raises(pytest.fail.Exception, match="async def"):
        fixtures.pytest_pyfunc_call(item)


def test_the_types_are_for_everybody():
    """Without the marker of PEP 561, type checkers see nothing of an installed package."""
    assert files("kaito").joinpath("py.typed").is_file()
