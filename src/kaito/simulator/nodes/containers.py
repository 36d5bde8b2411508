"""One container of one pod, as its kubelet sees it: a frozen value that stages replace.

Values of pods in play (here and in `lifecycle`) are not tracked by the garbage collector: they have
no cycles, and with ten thousand pods at rest walking over them would take long.
"""

from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from kaito.kube.objects import Json
from kaito.simulator.programs import Program, program_of


class Phase(Enum):
    """Where a container is on its way."""

    WAITING = "waiting"
    """Not its turn yet, or about to begin."""
    INVALID = "invalid"
    """Its image is no image reference; nothing but a new pod helps."""
    PULLING = "pulling"
    PULL_FAILED = "pull-failed"
    PULL_BACKOFF = "pull-backoff"
    PULLED = "pulled"
    MISCONFIGURED = "misconfigured"
    """A Secret or ConfigMap that its environment needs is absent."""
    RUNNING = "running"
    ENDED = "ended"
    CRASH_BACKOFF = "crash-backoff"


class Ended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One finished run. Times are seconds since the epoch, on the world's clock."""

    code: int
    started: float
    finished: float
    reason: str = ""
    message: str = ""
    """What it left for whoever asks why: the end of its log, if the container says so."""

    @property
    def why(self) -> str:
        return self.reason or ("Completed" if self.code == 0 else "Error")


class Container(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    spec: Json
    """Less its mounts; shared by the pods of a template: not to be changed."""
    kind: Literal["init", "sidecar", "main"]
    program: Program
    phase: Phase = Phase.WAITING
    since: float = 0.0
    """When the phase began."""
    started_at: float = 0.0
    restarts: int = 0
    crashes: int = 0
    """Ends in a row, for the backoff."""
    failed_pulls: int = 0
    problem: str = ""
    """What a failed pull or a missing reference said."""
    started: bool = False
    """The startup probe has succeeded, or there is none."""
    up_since: float = 0.0
    """When it had started up."""
    ready: bool = False
    complained: bool = False
    """An event has told of the probe that fails now."""
    sick_since: float = 0.0
    """When a running, once healthy container was first seen not to answer; 0: it answers."""
    last: Ended | None = None
    """The run that ended most recently; in phase ENDED it is the present state."""

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def image(self) -> str:
        return str(self.spec.get("image") or "")

    @property
    def succeeded(self) -> bool:
        return self.phase is Phase.ENDED and self.last is not None and self.last.code == 0


def containers_of(pod: Json, now: float) -> tuple[Container, ...]:
    """All of them, waiting, in the order in which they start."""
    found: list[Container] = []
    for spec in pod["spec"].get("initContainers") or ():
        kind: Literal["init", "sidecar"] = (
            "sidecar" if spec.get("restartPolicy") == "Always" else "init"
        )
        found.append(_container(pod, spec, kind, now))
    found.extend(_container(pod, spec, "main", now) for spec in pod["spec"]["containers"])
    return tuple(found)


def _container(
    pod: Json, spec: Json, kind: Literal["init", "sidecar", "main"], now: float
) -> Container:
    # Mounts matter to the program alone, and that of the token has a name of its own in every pod.
    lasting = {name: value for name, value in spec.items() if name != "volumeMounts"}
    shared = _shared(_encode(lasting))
    return Container(spec=shared, kind=kind, program=program_of(pod, spec), since=now)


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


@lru_cache(256)
def _shared(spec: bytes) -> Json:
    """One and the same for every container of a template: a kubelet holds thousands of them."""
    return _decode(spec)
