"""The plugin installs itself for strangers, is never loaded twice, and leaves others alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        timeout=60,
    )
    assert outcome in found.stdout, found.stdout + found.stderr


def test_what_strangers_pay_is_nothing(tmp_path):
    """A suite that uses none of it imports no server, no client and no loop."""
    program = (
        "import sys, kaito.testing.fixtures;"
        "print([m for m in sys.modules if m.startswith(('kaito.api', 'kaito.kube', 'aiohttp'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
