"""Trouble, on order: what a fault does, and which requests it meets."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, final

from kaito.simulator.arm.answers import ArmError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Met by requests that fit all of `method`, `pool` and `vm_size` (shell patterns)."""

    method: str = "*"
    pool: str = "*"
    vm_size: str = "*"
    times: int | None = 1
    """How many requests it meets; None for all of them until it is taken away."""
    refusal: ArmError | None = None
    """The request is answered with it and has no effect."""
    outcome: ArmError | None = None
    """The request is accepted, and its pool ends as Failed with it."""
    lose: Literal["", "request", "answer"] = ""
    """The connection breaks: before the request arrived, or after it took effect."""
    joins: bool = True
    """False: the machine runs, but never reaches the API server."""
    delay: float = 0.0
    """Seconds before the answer."""


class ConnectionLost(Exception):
    """The caller gets no answer. `arrived`: whether the request took effect."""

    def __init__(self, *, arrived: bool) -> None:
        super().__init__("connection lost")
        self.arrived = arrived


@final
@dataclass(slots=True)
class Faults:
    """The faults in force, oldest first."""

    _active: list[tuple[Fault, int]] = field(default_factory=list)

    def inject(self, fault: Fault) -> None:
        self._active.append((fault, 0))

    def clear(self) -> None:
        self._active.clear()

    def meet(self, method: str, pool: str, vm_size: str) -> Fault | None:
        """The first fault that this request meets, counted."""
        for index, (fault, met) in enumerate(self._active):
            if not (
                fnmatchcase(method, fault.method)
                and fnmatchcase(pool, fault.pool)
                and fnmatchcase(vm_size, fault.vm_size)
            ):
                continue
            if fault.times is not None and met + 1 >= fault.times:
                del self._active[index]
            else:
                self._active[index] = (fault, met + 1)
            return fault
        return None
