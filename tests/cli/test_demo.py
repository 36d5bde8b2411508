"""`kaito demo`: the whole job."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from kaito.cli.demo import files
from kaito.cli.failure import INTERRUPTED, OK
from tests.cli.programs import ROOT, kaito


@pytest.mark.realtime
async def test_three_acts_and_nothing_left_behind(tmp_path):
    """The seed refused and served; quota told and cured; the killed operator converges; the books
    are even; and the first and the last line say that nothing of it was real."""
    async with kaito(tmp_path, "demo", "--world-speed", "400", COLUMNS="200") as demo:
        code, err = await demo.end()

    told = "\n".join(demo.lines)
    assert (code, err) == (OK, "")
    assert "No GPU, no cloud and no model" in demo.lines[0]
    assert "No GPU, no cloud and no model was used." in demo.lines[-1]
    warned = [line for line in demo.lines if line.startswith("Warning: ")]
    assert sum("looks like a placeholder" in line for line in warned) == 2
    assert "Stalled=True, OutputNotPushable: tuning.output.image" in told
    assert "workspace.kaito.sh/workspace-tuning-phi-3 configured" in told
    assert '{"Result":' in told
    assert "QuotaExceeded: " in told
    assert "SIGKILL" in told
    assert "claims made 3, pools ever created 3, writes after Ready 0" in told
    assert "pools left 0, nodes left 0" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realtime
async def test_ctrl_c_leaves_nothing_behind(tmp_path):
    """Neither files nor the operator's process, however often it is pressed."""
    async with kaito(tmp_path, "demo", "--act", "2") as demo:
        await demo.until("  claim ")
        operators = _operators(tmp_path)
        demo.interrupt()
        demo.interrupt()
        code, err = await demo.end()

    assert (code, err) == (INTERRUPTED, "")
    assert len(operators) == 1
    assert _operators(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realtime
async def test_a_killed_demo_takes_its_operator_along(tmp_path):
    """SIGKILL leaves no chance to tidy up; the operator notices and ends by itself."""
    async with kaito(tmp_path, "demo", "--act", "2") as demo:
        await demo.until("  claim ")
        (operator,) = _operators(tmp_path)
        ended = _end_of(int(operator))
        demo.interrupt(signal.SIGKILL)
        code, _ = await demo.end()
        async with asyncio.timeout(120):
            await ended.wait()

    assert code == -signal.SIGKILL
    assert _operators(tmp_path) == []


@pytest.mark.realtime
async def test_ctrl_c_before_anything_has_begun(tmp_path):
    """The first line is there, nothing else yet."""
    async with kaito(tmp_path, "demo") as demo:
        await demo.until("No GPU")
        demo.interrupt()
        code, err = await demo.end()

    assert (code, err) == (INTERRUPTED, "")
    assert list(tmp_path.iterdir()) == []


def _end_of(pid):
    """Set when that process, which is not a child of ours, has ended."""
    ended, loop, watched = asyncio.Event(), asyncio.get_running_loop(), os.pidfd_open(pid)

    def told():
        loop.remove_reader(watched)
        os.close(watched)
        ended.set()

    loop.add_reader(watched, told)
    return ended


def _operators(tmp_path):
    """Processes that run an operator of this test, by their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"run" in words and any(str(tmp_path).encode() in word for word in words):
            found.append(path.parent.name)
    return found


@pytest.mark.parametrize("name", [files.SEED, files.INFERENCE])
def test_the_shipped_files_are_the_examples_byte_for_byte(name):
    """An installed package has no examples folder; what it applies is the same file."""
    assert files.text(name).encode() == (ROOT / name).read_bytes()


def test_only_the_two_placeholders_are_replaced():
    """The rest of the file stays, byte for byte."""
    before, after = files.text(files.SEED).splitlines(), files.filled_in().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]

    assert len(changed) == 2
    assert files.IMAGE in changed[0]
    assert files.SECRET in changed[1]
