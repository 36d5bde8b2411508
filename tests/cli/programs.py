"""The program `kaito` as a process, read line by line."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEED = ROOT / "examples/fine-tuning/kaito_workspace_tuning_phi_3.yaml"
PHI_4 = ROOT / "examples/inference/kaito_workspace_phi_4_mini.yaml"
PATIENCE = 120.0


def environment(tmp_path, **extra):
    """Its temporary files are under the test's folder; no terminal, no colours, no home."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "COLUMNS": "100",
        **extra,
    }


class Program:
    """A running `kaito`."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    async def until(self, start):
        """Read lines until one begins like that; the line."""
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip("\n"))
                if line.startswith(start):
                    return line.rstrip("\n")
        raise AssertionError(f"no line begins with {start!r}: {self.lines}")

    async def end(self):
        """Read to the end; exit code and stderr."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate()
        self.lines += out.decode().splitlines()
        return self.process.returncode, err.decode()

    def interrupt(self, number=signal.SIGINT):
        self.process.send_signal(number)


@asynccontextmanager
async def kaito(tmp_path, *arguments, **extra):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kaito.cli",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(tmp_path, **extra),
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()
