"""Runs contestants side by side, asks them what they have used, and makes sure that they end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds that anything may take before the benchmark gives up."""
_LOOK = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One program and the work it does."""

    name: str
    work: str
    command: tuple[str, ...]
    caches: bool = True
    """Whether it holds the objects, so that resident bytes per object mean something."""


def python(name: str, module: str, work: str, *, loop: str = "asyncio", caches: bool = True):
    """A contestant in Python; `module` is one of this package."""
    words = (sys.executable, "-m", f"benchmarks.peers.{module}", "--work", work, "--loop", loop)
    return Contestant(name=name, work=work, command=words, caches=caches)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a contestant says of itself: the line that all of them print."""

    events: int
    reconciles: int
    cpu_seconds: float
    rss_bytes: int


class GaveUp(Exception):
    """A contestant ended or got stuck; the message has its last words."""


class Running:
    """A contestant at work."""

    def __init__(self, stack: ExitStack, contestant: Contestant, kubeconfig, namespace) -> None:
        self.contestant = contestant
        words = [*contestant.command, "--kubeconfig", str(kubeconfig), "--namespace", namespace]
        self.errors = Path(kubeconfig).parent / f"{id(self):x}.log"
        log = stack.enter_context(self.errors.open("wb"))
        self.child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(),
        )
        stack.callback(self.end)

    def sample(self) -> Sample:
        """Ask, and wait for the answer."""
        with suppress(BrokenPipeError):
            self.child.stdin.write("\n")
            self.child.stdin.flush()
        for line in self.child.stdout:
            if line.startswith('{"events"'):
                return Sample(**json.loads(line))
        last = self.errors.read_text(errors="replace")[-2000:]
        raise GaveUp(f"{self.contestant.name} ({self.contestant.work}) ended:\n{last}")

    def settled(self, events: int) -> Sample:
        """Wait until it has seen so many events and has nothing left to do."""
        deadline = time.monotonic() + PATIENCE
        before = self.sample()
        while time.monotonic() < deadline:
            time.sleep(_LOOK)
            now = self.sample()
            still = (now.events, now.reconciles) == (before.events, before.reconciles)
            if still and now.events >= events:
                return now
            before = now
        raise GaveUp(
            f"{self.contestant.name} ({self.contestant.work}) saw {before.events} of {events} "
            f"events in {PATIENCE:g} s:\n{self.errors.read_text(errors='replace')[-2000:]}"
        )

    def end(self) -> None:
        """End of input is the signal; who does not follow is killed."""
        with suppress(BrokenPipeError):
            self.child.stdin.close()
        try:
            self.child.wait(2)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contestant needed for one round of events."""

    contestant: Contestant
    events: int
    reconciles: int
    cpu_seconds: float
    rss_bytes: int
    """At the end, when all is quiet again."""

    @property
    def micros(self) -> float:
        """Microseconds of processor per event."""
        return self.cpu_seconds / self.events * 1e6


def environment() -> dict[str, str]:
    """Of a child: ours, with this repository's source in front."""
    path = os.pathsep.join(
        part for part in (str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")) if part
    )
    return {**os.environ, "PYTHONPATH": path}


def drive(task: str, kubeconfig: Path, namespace: str, pods: int, **options: object) -> str:
    """Let the driver, a process of its own, create or change pods; what it printed."""
    words = [sys.executable, "-m", "benchmarks.peers.driver", task]
    flags = {"kubeconfig": kubeconfig, "namespace": namespace, "pods": pods, **options}
    for flag, value in flags.items():
        words += [f"--{flag}", str(value)]
    return subprocess.run(
        words,
        check=True,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * PATIENCE,
    ).stdout


def resting(
    contestants: Iterable[Contestant], kubeconfig: Path, namespace: str
) -> dict[Contestant, int]:
    """Resident bytes of each with a single pod to watch, which shows that it is ready."""
    with ExitStack() as stack:
        running = [Running(stack, one, kubeconfig, namespace) for one in contestants]
        return {one.contestant: one.settled(1).rss_bytes for one in running}


def race(
    contestants: Sequence[Contestant],
    kubeconfig: Path,
    namespace: str,
    pods: int,
    churn: Callable[[], int],
) -> list[Result]:
    """Start them all, let them come to rest, churn once, and take the differences.

    `churn` returns how many events it has caused.
    """
    with ExitStack() as stack:
        running = [Running(stack, one, kubeconfig, namespace) for one in contestants]
        before = [one.settled(pods) for one in running]
        changes = churn()
        after = [
            one.settled(start.events + changes) for one, start in zip(running, before, strict=True)
        ]
    return [
        Result(
            contestant=one,
            events=end.events - start.events,
            reconciles=end.reconciles - start.reconciles,
            cpu_seconds=end.cpu_seconds - start.cpu_seconds,
            rss_bytes=end.rss_bytes,
        )
        for one, start, end in zip(contestants, before, after, strict=True)
    ]
