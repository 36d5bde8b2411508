"""Commands of the pages, run beside `kaito up`, with the real kubectl, in their order."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, blocks

PAGE = ROOT / "docs/seed-walkthrough.md"
LIFE = [ROOT / page for page in ("README.md", "docs/troubleshooting.md", "docs/operations.md")]
"""Install, look, remove: their blocks that are marked `cluster`."""
PATIENCE = 60.0

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl"),
]


def steps() -> Iterator[tuple[str, list[str]]]:
    """The page's commands, each with the lines it shows."""
    for block in blocks(PAGE):
        if "seed" not in block.words:
            continue
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield command, shown


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a shell beside `kaito up`."""
    kubeconfig = tmp_path / "kubeconfig"
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(ROOT / "src"),
    }
    arguments = ["--kubeconfig", str(kubeconfig), "--world-speed", "600"]
    program = "from kaito.cli import main; main()"
    with (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-c", program, "up", *arguments],
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while "running" not in (tmp_path / "up.log").read_text():
                assert up.poll() is None, (tmp_path / "up.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield environment
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(PATIENCE)


def test_every_command_does_what_its_page_says(environment: dict[str, str]) -> None:
    """In one cluster, from the walkthrough to the removal of everything."""
    walk(environment)
    live(environment)


def walk(environment: dict[str, str]) -> None:
    """The same commands, the same output, but for what chance decides."""
    marker = "--- end of step ---"
    script = "".join(f"{command}\necho '{marker}'\n" for command, _ in steps())
    done = shell(environment, script, stderr=subprocess.STDOUT)
    printed = done.stdout.split(f"{marker}\n")
    wanted = list(steps())
    assert len(printed) == len(wanted) + 1
    for (command, shown), output in zip(wanted, printed, strict=False):
        assert plain(output.splitlines()) == plain(shown), command


def live(environment: dict[str, str]) -> None:
    """From the first `kubectl apply` to the last `kubectl delete`, nothing fails on the way."""
    marked = [block.text for page in LIFE for block in blocks(page) if "cluster" in block.words]
    assert len(marked) == len(LIFE)
    script = "set -eux\n" + "".join(marked).replace("NAME", "phi-4-mini")
    done = shell(environment, script, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert "workspace.kaito.sh/phi-4-mini condition met" in done.stdout
    assert 'workspace.kaito.sh "phi-4-mini" deleted' in done.stdout


def shell(
    environment: dict[str, str], script: str, *, stderr: int
) -> subprocess.CompletedProcess[str]:
    """One session, in the repository."""
    return subprocess.run(
        ["sh", "-c", script],
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )


_CHANCE = (
    (r"\b10\.96\.\d+\.\d+\b", "<address>"),
    (r"\bws[a-z0-9]{10}\b", "<claim>"),
    (r"-\d{8}-vmss", "-<pool>-vmss"),
    (r"\b(\d+[dhms])+\b", "<age>"),
    (r"\s+", " "),
)
_NOISE = re.compile(
    r"Unable to use a TTY|If you don't see a command prompt|^$"
    # Only where the pod still runs when kubectl looks; of one that has ended it reads the log.
    r"|^warning: couldn't attach to pod"
)


def plain(lines: list[str]) -> list[str]:
    """Without what chance or time decides, and what kubectl says of the terminal it has not got."""
    kept = []
    for line in lines:
        if _NOISE.search(line):
            continue
        for pattern, word in _CHANCE:
            line = re.sub(pattern, word, line)
        kept.append(line.strip())
    return kept
