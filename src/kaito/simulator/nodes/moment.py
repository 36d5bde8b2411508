"""What a stage may look at, and what it may bring about. All of it is frozen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from kaito.kube.objects import Json
from kaito.simulator.engine import Engine
from kaito.simulator.images import Reference, Registries
from kaito.simulator.nodes.containers import Container, Ended
from kaito.simulator.nodes.options import NodeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """A fault: the container ends with this code, so long after its start."""

    code: int
    after: float = 1.0


class Surroundings(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a kubelet sees beside the pod itself."""

    now: float
    """Seconds since the epoch, on the world's clock."""
    options: NodeOptions
    engine: Engine
    registries: Registries
    cached: Callable[[str], bool] = lambda _image: False
    """Whether the node already has an image (by its complete reference)."""
    misconfigured: Callable[[Json], str] = lambda _container: ""
    """What is missing for a container's environment, in a kubelet's words."""
    missing: tuple[tuple[str, str], ...] = ()
    """(volume, what is missing): mounts that cannot be set up now."""
    credentials: frozenset[str] = frozenset()
    """Registries that the pod's containers can log in to, by the Secrets mounted."""
    answers: Mapping[str, Ended] = msgspec.field(default_factory=dict)
    """Finished HTTP requests of containers that make one, by container name."""
    crash: Callable[[Json, str], Crash | None] = lambda _pod, _container: None


class Moment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One container among its siblings, now."""

    pod: Json
    siblings: tuple[Container, ...]
    """Every container of the pod in the order of their start, this one included."""
    one: Container
    around: Surroundings

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def policy(self) -> str:
        return str(self.pod["spec"].get("restartPolicy") or "Always")


class Note(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An event of the pod, as a kubelet reports it."""

    type: str
    reason: str
    message: str


class Change(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a stage does: the container as it is afterwards, and what else happens."""

    container: Container
    notes: tuple[Note, ...] = ()
    lines: tuple[str, ...] = ()
    """Appended to the container's log."""
    pulled: str = ""
    """A complete image reference that the node has from now on."""
    pushed: tuple[Reference, str] | None = None
    """An artifact that a registry has from now on, and the model it names."""


def normal(reason: str, message: str) -> Note:
    return Note(type="Normal", reason=reason, message=message)


def warning(reason: str, message: str) -> Note:
    return Note(type="Warning", reason=reason, message=message)
