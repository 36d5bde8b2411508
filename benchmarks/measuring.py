"""What every benchmark shares: a row of the table, and how time is taken.

Time is processor time of this thread, unless a row says otherwise: other work on the machine then
costs caches, not results. A floor is what nobody can do without, measured in the same run: the
ratio means the same on any machine, the number beside it does not.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

MICRO, MILLI = 1e-6, 1e-3
MB = 1_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `value` and `floor` are in the same `unit`."""

    what: str
    value: float
    unit: str
    floor: float | None = None
    floor_is: str = ""
    """What the floor does, in a few words."""
    aim: str = ""
    """What we want, in words; `met` says whether this run had it."""
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        """The value in floors."""
        return self.value / self.floor if self.floor else None

    def within(self, *, ratio: float | None = None, value: float | None = None) -> Self:
        """This row with an upper bound as its aim."""
        if ratio is not None:
            met = self.ratio is not None and self.ratio <= ratio
            return self._aiming(f"≤ {ratio:g} floors", met=met)
        assert value is not None
        return self._aiming(f"≤ {value:g} {self.unit}", met=self.value <= value)

    def _aiming(self, aim: str, *, met: bool) -> Self:
        return type(self)(**{**asdict(self), "aim": aim, "met": met})


def table(rows: Iterable[Row]) -> str:
    """Plain text, columns aligned."""
    cells = [("", "measured", "floor", "ratio", "aim", "the floor is")]
    cells += [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in (0, 4, 5) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {None: "", True: ", met", False: ", MISSED"}[row.met]
    return (
        row.what,
        f"{number(row.value)} {row.unit}".rstrip(),
        "" if row.floor is None else f"{number(row.floor)} {row.unit}".rstrip(),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        f"{row.aim}{verdict}",
        row.floor_is,
    )


def number(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def quietest(measure: Callable[[], float], rounds: int) -> float:
    """The least of several measurements: whatever disturbs one adds to it, nothing takes away.

    Garbage is collected before each, never within.
    """
    found = []
    for _ in range(rounds):
        with uncollected():
            found.append(measure())
    return min(found)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector from running at a moment of its own choice."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def program(measure: Callable[[], Iterable[Row]], description: str) -> None:
    """The command line of one benchmark: its table, or with `--json` one row per line."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one row per line, for programs")
    given = parser.parse_args()
    rows = list(measure())
    if given.json:
        sys.stdout.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
    else:
        print(table(rows))
