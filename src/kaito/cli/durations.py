"""Durations: as people type them, and as they are told on two clocks."""

import re
from dataclasses import dataclass
from typing import Any, Final, final

import click

from kaito.kube.clock import Clock

_PARTS: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def parse(text: str) -> float:
    """Seconds of `300s`, `5m`, `1h30m` or `300`. Raises ValueError for anything else."""
    try:
        return _positive(float(text))
    except ValueError:
        found = _PARTS.fullmatch(text.strip())
        if found is None or not any(found.groups()):
            raise ValueError(f"{text!r} is not a duration; write 300s, 5m or 1h30m") from None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return _positive(hours * 3600 + minutes * 60 + seconds)


def _positive(seconds: float) -> float:
    if not 0 < seconds < float("inf"):
        raise ValueError("a duration must be longer than zero")
    return seconds


@final
class Duration(click.ParamType[float]):
    """A click option that takes `300s`, `5m`, `1h30m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def long(seconds: float) -> str:
    """`7m40s`, as kubectl writes ages, to the second."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02d}m{left:02d}s"
    return f"{minutes}m{left:02d}s" if minutes else f"{left}s"


def short(seconds: float) -> str:
    """`4.1 s`."""
    return f"{max(0.0, seconds):.1f} s"


@final
@dataclass(frozen=True, slots=True)
class Elapsed:
    """One stretch of time on both clocks, in seconds."""

    simulated: float
    real: float

    def __sub__(self, other: "Elapsed") -> "Elapsed":
        return Elapsed(self.simulated - other.simulated, self.real - other.real)

    def __str__(self) -> str:
        return f"{long(self.simulated)} simulated, {short(self.real)} real"


@final
class Stopwatch:
    """Since its making, on the world's clock and on the real one."""

    def __init__(self, world: Clock, real: Clock) -> None:
        self._world, self._real = world, real
        self._start = Elapsed(world.monotonic(), real.monotonic())

    def now(self) -> Elapsed:
        return Elapsed(self._world.monotonic(), self._real.monotonic()) - self._start
