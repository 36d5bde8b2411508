"""Blueprint: how one preset runs on one runtime, as data that nobody can change.

A blueprint is complete but for `Slot`s, the few values that only a plan can know (how many GPUs,
which number format). `kaito.planning` fills them; `kaito.manifests` turns the result into pods.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, final

Runtime = Literal["vllm", "transformers", "tuning"]


class Slot(Enum):
    """A value that the plan fills in."""

    DTYPE = "dtype"
    MEMORY_UTILIZATION = "memory_utilization"
    TENSOR_PARALLEL = "tensor_parallel"
    GPUS = "gpus"
    """GPUs of one node."""


@final
@dataclass(frozen=True, slots=True)
class Flag:
    """One command-line flag, `--name=value`; without a value the bare `--name`."""

    name: str
    value: str | Slot | None = None

    def text(self, slots: Mapping[Slot, str]) -> str:
        """The word on the command line. Raises KeyError for a slot that was not filled."""
        if self.value is None:
            return f"--{self.name}"
        value = slots[self.value] if isinstance(self.value, Slot) else self.value
        return f"--{self.name}={value}"


@final
@dataclass(frozen=True, slots=True)
class Image:
    """A container image, less its registry."""

    name: str
    tag: str

    def reference(self, registry: str) -> str:
        return f"{registry}/{self.name}:{self.tag}"


@final
@dataclass(frozen=True, slots=True)
class Port:
    """A port the container listens on."""

    number: int
    name: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A probe of the container; seconds. Either `path` (HTTP GET on `port`) or `command`."""

    path: str = ""
    port: int = 0
    command: tuple[str, ...] = ()
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    failures: int = 3


@final
@dataclass(frozen=True, slots=True)
class Mount:
    """A volume of the pod and where the container sees it."""

    volume: str
    path: str
    medium: Literal["disk", "memory"] = "disk"
    """An emptyDir on disk or in memory."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """One preset on one runtime."""

    runtime: Runtime
    preset: str
    served_model_name: str
    image: Image
    prelude: str = ""
    """Shell text that goes before the command; empty when the command can be exec'ed as it is."""
    program: tuple[str, ...]
    """The program and its fixed first arguments."""
    launcher_flags: tuple[Flag, ...] = ()
    """Flags of a launcher, before `script`."""
    script: str = ""
    """What a launcher runs; empty when `program` is the engine itself."""
    flags: tuple[Flag, ...] = ()
    """Flags of the engine, sorted by name."""
    env: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    startup: Probe | None = None
    benchmark: Probe | None = None
    """Replaces `startup` where the start-up benchmark is to run."""
    liveness: Probe | None = None
    readiness: Probe | None = None
    weights: Image | None = None
    """An image that a container pulls into the weights volume before the start."""
    cuda_toolkit: bool = False
    """The node needs a CUDA toolkit under CUDA_HOME before the start."""

    def argv(self, slots: Mapping[Slot, str], extra: tuple[Flag, ...] = ()) -> tuple[str, ...]:
        """The command, one word per element, flags sorted by name.

        `extra` adds flags, or replaces those of the same name. Raises KeyError for an empty slot.
        """
        named = {flag.name: flag for flag in (*self.flags, *extra)}
        engine = tuple(named[name].text(slots) for name in sorted(named))
        launcher = tuple(flag.text(slots) for flag in self.launcher_flags)
        script = (self.script,) if self.script else ()
        return (*self.program, *launcher, *script, *engine)
