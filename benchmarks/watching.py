"""What it costs to watch pods: this framework beside kopf, controller-runtime and the bare floor.

    python -m benchmarks.watching

On a real API server: 2,000 pods of 16 KB and 20,000 label changes, or as many as it takes in 80
seconds, in rounds. The contestants of a round share its changes, and the floor that does the same
work is one of them, so a ratio compares two programs at the same moment. Then a burst from memory,
one contestant after the other.

Processor time is all that a contestant used between two questions, user and system. Resident bytes
per object are what it holds after the churn, less what the same program holds with a single pod.
It talks to 127.0.0.1 only and ends by itself within ten minutes.
"""

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import controller_runtime
from benchmarks.peers.burst import burst
from benchmarks.peers.contest import Contestant, GaveUp, Result, drive, python, race, resting
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane, Options

NAMESPACE, ALONE = "bench", "alone"
LIMIT_SECONDS = 600
TRIES = 9
"""Bursts take a second: whatever else the machine does then is all there is in it, so everybody
has several, in turns."""
FLOOR_AIM, BURST_AIM, KOPF_AIM, HELD_AIM = 1.4, 0.6, 20, 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table."""

    result: Result
    floor: Result
    held: float | None = None
    size: int = 0
    """JSON bytes of one object."""

    @property
    def ratio(self) -> float:
        """Processor time in floors."""
        return self.result.micros / self.floor.micros


def rounds(go: Path | None) -> list[list[Contestant]]:
    """Who shares which churn; the first of each is the floor of its work."""
    loops = ["asyncio"]
    if importlib.util.find_spec("uvloop"):
        loops.append("uvloop")
    metadata, spec, partial = (
        [python("floor", "floor", work, caches=False)] for work in ("metadata", "spec", "partial")
    )
    for loop in loops:
        name = "kaito" if loop == "asyncio" else f"kaito, {loop}"
        metadata.append(python(name, "ours", "metadata", loop=loop))
    spec += [python("kaito", "ours", work) for work in ("spec", "get")]
    partial.append(python("kaito", "ours", "partial"))
    if go is not None:
        metadata += [_go(go, "metadata", content) for content in ("protobuf", "json")]
        spec += [_go(go, work, "protobuf") for work in ("spec", "get")]
        partial += [_go(go, "partial", content) for content in ("protobuf", "json")]
    return [metadata, spec, partial]


def _go(program: Path, work: str, content: str) -> Contestant:
    command = (str(program), "--work", work, "--content", content)
    return Contestant(name=f"controller-runtime, {content}", work=work, command=command)


def kopf(work: str = "metadata") -> Contestant:
    return python("kopf", "kopf_operator", work, caches=False)


def real(
    folder: Path, scratch: Path, go: Path | None, given: argparse.Namespace
) -> Iterator[list[Line]]:
    """The rounds on a real API server, and last one at a pace that kopf can follow."""
    options = Options(controllers=False, scheduler=False, unlimited=True)
    with ControlPlane(folder, scratch, options) as plane:
        kubeconfig = plane.kubeconfig("admin")
        drive("create", kubeconfig, ALONE, 1)
        size = int(drive("create", kubeconfig, NAMESPACE, given.pods))
        for number, contestants in enumerate(rounds(go)):
            yield _round(kubeconfig, contestants, given, size, number, changes=given.changes)
        slow = [python("floor", "floor", "metadata", caches=False), kopf()]
        few = given.changes // 10
        yield _round(kubeconfig, slow, given, size, "slow", changes=few, pace=given.slow)


def _round(kubeconfig, contestants, given, size, number, **options) -> list[Line]:
    """Measure one churn."""
    _say(f"churn for {', '.join(f'{one.name} ({one.work})' for one in contestants)}")
    rest = resting(contestants, kubeconfig, ALONE)

    def churn() -> int:
        more = {"seconds": given.seconds, "round": number, **options}
        return int(drive("churn", kubeconfig, NAMESPACE, given.pods, **more))

    found = race(contestants, kubeconfig, NAMESPACE, given.pods, churn)
    return [
        Line(
            result=one,
            floor=found[0],
            held=(one.rss_bytes - rest[one.contestant]) / (given.pods - 1),
            size=size,
        )
        for one in found
    ]


def bursts(scratch: Path, given: argparse.Namespace) -> list[Line]:
    """The floor and ours, of each the least disturbed try; and kopf, a tenth of the events."""
    names = [("floor", "floor"), ("kaito", "ours")]
    fast = [python(name, module, "metadata") for name, module in names]
    if importlib.util.find_spec("uvloop"):
        fast.append(python("kaito, uvloop", "ours", "metadata", loop="uvloop"))
    pods = max(1, given.events // 20)
    tries = [burst(fast, scratch, pods=pods, events=given.events) for _ in range(TRIES)]
    found = [min(same, key=lambda one: one.cpu_seconds) for same in zip(*tries, strict=True)]
    found += burst([kopf()], scratch, pods=pods, events=max(1, given.events // 10))
    return [Line(result=one, floor=found[0]) for one in found]


def table(lines: list[Line]) -> str:
    """Markdown, as docs/performance.md shows it."""
    head = (
        "contestant",
        "work",
        "events",
        "µs/event",
        "floors",
        "reconciles/event",
        "bytes/object",
        "over JSON",
    )
    rows = [head, tuple("---" if n < 2 else "---:" for n in range(len(head)))]
    rows += [_cells(line) for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(line: Line) -> tuple[str, ...]:
    one = line.result
    held = line.held if one.contestant.caches else None
    return (
        one.contestant.name,
        one.contestant.work,
        f"{one.events:,}",
        f"{one.micros:.0f}" if one.micros >= 100 else f"{one.micros:.1f}",
        f"{line.ratio:.2f}",
        f"{one.reconciles / one.events:.2f}" if one.reconciles else "",
        f"{held:,.0f}" if held is not None else "",
        f"{held - line.size:+,.0f}" if held is not None else "",
    )


def aims(lines: list[Line]) -> list[str]:
    """What we want of ours on the standard loop, and whether this run had it."""
    said = []
    for line in lines:
        one = line.result.contestant
        if one.name != "kaito":
            continue
        said.append(_verdict(one.work, "floors", line.ratio, FLOOR_AIM))
        said.append(_verdict(one.work, "bytes over JSON", line.held - line.size, HELD_AIM))
        go = [
            other.result.micros
            for other in lines
            if other.result.contestant.name.startswith("controller-runtime")
            and other.result.contestant.work == one.work
        ]
        if go:
            share = line.result.micros / min(go)
            said.append(_verdict(one.work, "of the best Go program", share, 1.0))
    return said


def burst_aims(lines: list[Line]) -> list[str]:
    """The same of the burst."""
    ours = next(line for line in lines if line.result.contestant.name == "kaito")
    kopfs = next(line for line in lines if line.result.contestant.name == "kopf")
    times = kopfs.result.micros / ours.result.micros
    return [
        _verdict("burst", "of the floor's events a second", 1 / ours.ratio, BURST_AIM, least=True),
        _verdict("burst", "times kopf's events a second", times, KOPF_AIM, least=True),
    ]


def _verdict(work: str, what: str, value: float, aim: float, *, least: bool = False) -> str:
    met = value >= aim if least else value <= aim
    sign, word = "≥" if least else "≤", "met" if met else "MISSED"
    shown = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{work}: {shown} {what}; aim {sign} {aim:g}: {word}"


def _too_long(*_: object) -> None:
    raise GaveUp(f"it takes longer than {LIMIT_SECONDS} s here; try --seconds 30")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="what it costs to watch pods")
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=80, help="no churn takes longer")
    parser.add_argument("--slow", type=float, default=100, help="changes a second for kopf")
    parser.add_argument("--events", type=int, default=20_000, help="of the burst")
    parser.add_argument("--only", choices=("real", "burst"))
    given = parser.parse_args()
    # Whoever ends us must not be left with a control plane.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LIMIT_SECONDS)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            if given.only != "burst":
                _show_real(Path(scratch), given)
            if given.only != "real":
                _say("burst")
                lines = bursts(Path(scratch), given)
                print(f"\n{table(lines)}\n", *burst_aims(lines), sep="\n")
        except GaveUp as error:
            print(f"the benchmark was given up: {error}", file=sys.stderr)
            return 1
    print(f"\n{os.cpu_count()} cores, load average now {os.getloadavg()[0]:.1f}")
    return 0


def _show_real(scratch: Path, given: argparse.Namespace) -> None:
    folder = programs.find()
    if folder is None:
        print("left out: everything on a real API server, which is not built (make controlplane)")
        return
    go = None
    try:
        go = controller_runtime.program()
    except controller_runtime.LeftOut as reason:
        print(f"left out: controller-runtime: {reason}")
    lines = []
    for found in real(folder, scratch, go, given):
        print(f"{table(found)}\n", flush=True)
        lines += found
    print(*aims(lines), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
