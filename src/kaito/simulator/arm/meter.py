"""What would have been paid: machines run from power-on until their deletion has ended."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final


@dataclass(slots=True)
class _Interval:
    start: float
    gpus: int


@final
@dataclass(slots=True)
class Meter:
    """Counts over the whole life of the endpoint; nothing is ever subtracted."""

    now: Callable[[], float]
    pools_created: int = 0
    """Pools that the API made, failed ones included."""
    _node_seconds: float = 0.0
    _gpu_seconds: float = 0.0
    _running: dict[str, _Interval] = field(default_factory=dict)

    def switched_on(self, machine: str, gpus: int, at: float) -> None:
        self._running[machine] = _Interval(at, gpus)

    def switched_off(self, machine: str, at: float) -> None:
        interval = self._running.pop(machine, None)
        if interval is not None:
            self._node_seconds += at - interval.start
            self._gpu_seconds += (at - interval.start) * interval.gpus

    @property
    def node_seconds(self) -> float:
        now = self.now()
        return self._node_seconds + sum(now - run.start for run in self._running.values())

    @property
    def gpu_seconds(self) -> float:
        now = self.now()
        return self._gpu_seconds + sum(
            (now - run.start) * run.gpus for run in self._running.values()
        )
