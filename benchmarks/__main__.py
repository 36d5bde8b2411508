"""`make bench`: every benchmark in a process of its own, one table, and what was left out.

python -m benchmarks                      what runs anywhere, within a few minutes
python -m benchmarks relisting watching   only these
python -m benchmarks everything           also those that take a while or a control plane
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Row, number, table

ROOT = Path(__file__).parents[1]
EVERYTHING = "everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One benchmark: `python -m benchmarks.<name>`."""

    name: str
    seconds: int
    """It is ended after that many."""
    rows: bool = True
    """Whether `--json` makes it print rows; else what it prints is shown as it is."""
    asked: bool = False
    """Whether it runs only when named."""
    arguments: tuple[str, ...] = ()


PARTS = (
    Part(name="work_queue", seconds=60),
    Part(name="reconciling", seconds=60),
    Part(name="first_reconcile", seconds=90),
    Part(name="relisting", seconds=120),
    Part(name="collector", seconds=90),
    Part(name="starting", seconds=60),
    Part(name="churn", seconds=400),
    Part(name="apiserver", seconds=180, rows=False, arguments=("--count", "300")),
    Part(name="watching", seconds=660, rows=False),
    Part(name="thousand_nodes", seconds=600, rows=False),
    Part(name="handover", seconds=180, rows=False, asked=True),
    Part(name="workspace_controller", seconds=300, rows=False, asked=True),
    Part(name="hundred_workspaces", seconds=600, rows=False, asked=True),
)


def run(part):
    """Its rows, in words why there are none, and whether that is because it broke."""
    words = [sys.executable, "-m", f"benchmarks.{part.name}", *part.arguments]
    try:
        done = subprocess.run(
            [*words, "--json"] if part.rows else words,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            capture_output=True,
            timeout=part.seconds,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [], f"ended after {part.seconds} s", True
    if not part.rows:
        print(f"\n{part.name}\n\n{done.stdout}", flush=True)
    if done.returncode:
        said = done.stderr.strip() or "it failed and said nothing"
        return [], said.splitlines()[-1], "Traceback" in said
    return (*(read(done.stdout) if part.rows else ([], "")), False)


def read(text):
    """What a part with `--json` printed: rows, and lines that say what it left out."""
    rows, left_out = [], []
    for line in text.splitlines():
        found = json.loads(line)
        if "left_out" in found:
            left_out.append(found["left_out"])
        else:
            rows.append(Row(**found))
    return rows, "; ".join(left_out)


def chosen(names):
    """The parts to run. Raises SystemExit for a name that there is not."""
    by_name = {part.name: part for part in PARTS}
    unknown = [name for name in names if name not in (*by_name, EVERYTHING)]
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [
        part
        for part in PARTS
        if part.name in names or EVERYTHING in names or not (names or part.asked)
    ]


def main():
    parser = argparse.ArgumentParser(prog="benchmarks", description="measure, and print one table")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(p.name for p in PARTS))
    parts = chosen(parser.parse_args().names)
    rows, left_out, broken, began = [], {}, False, time.monotonic()
    for part in parts:
        print(f"{part.name} ...", end=" ", file=sys.stderr, flush=True)
        started = time.monotonic()
        found, missing, broke = run(part)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
        rows += found
        broken = broken or broke
        if missing:
            left_out[part.name] = missing
    if rows:
        print(table(rows))
    load = number(os.getloadavg()[0])
    print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores, load average now {load}")
    for part in PARTS:
        if part not in parts and part.asked:
            left_out[part.name] = f"takes a while: make bench WHAT={part.name}"
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
