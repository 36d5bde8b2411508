"""How far one Workspace has come, read off the objects in the cluster. Pure.

    claim → agent pool creating → node joined → GPU plugin ready → image pulled
          → (tuning: trained → adapter pushed →) started → Ready

Nothing here knows the operator: on any cluster the same objects tell the same story.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, final

from kaito.api.names import GPU_RESOURCE, ConditionType
from kaito.cli.durations import Elapsed
from kaito.framework.conditions import Condition, find_condition
from kaito.kube.objects import Json, ObjectKey, Record


class Stage(Enum):
    """In the order in which they are reached; the value is how people read it."""

    CLAIM = "claim"
    POOL = "agent pool creating"
    NODE = "node joined"
    GPU = "GPU plugin ready"
    IMAGE = "image pulled"
    TRAINED = "trained"
    PUSHED = "adapter pushed"
    STARTED = "started"
    READY = "Ready"


TUNING: Final = tuple(Stage)
INFERENCE: Final = tuple(s for s in Stage if s not in (Stage.TRAINED, Stage.PUSHED))

JOB_LABEL: Final = "batch.kubernetes.io/job-name"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Everything about one Workspace that is in the cluster now."""

    workspace: Record
    claims: Sequence[Record] = ()
    nodes: Sequence[Record] = ()
    pods: Sequence[Record] = ()
    jobs: Sequence[Record] = ()

    @property
    def tuning(self) -> bool:
        return self.workspace.raw("tuning") is not None

    def condition(self, type_: str) -> Condition | None:
        """A condition that is about the present spec; None before anybody has looked at it."""
        status = self.workspace.get("status") or {}
        found = find_condition(status.get("conditions"), type_)
        if found is None or found.observed_generation < self.workspace.meta.generation:
            return None
        return found


def is_ready(sight: Sight) -> bool:
    found = sight.condition(ConditionType.READY)
    return found is not None and found.status == "True"


def stalled(sight: Sight) -> Condition | None:
    """The condition Stalled while it holds: nothing will happen until somebody acts."""
    found = sight.condition(ConditionType.STALLED)
    return found if found is not None and found.status == "True" else None


def reached(sight: Sight) -> dict[Stage, str]:
    """The stages that are reached now, each with what it was reached by."""
    looks = TUNING if sight.tuning else INFERENCE
    found = {stage: _LOOKS[stage](sight) for stage in looks}
    return {stage: told for stage, told in found.items() if told is not None}


def _claim(sight: Sight) -> str | None:
    return ", ".join(record.meta.name for record in sight.claims) or None


def _pool(sight: Sight) -> str | None:
    """The cloud has accepted the machine; refusals are told by the same condition."""
    for claim in sight.claims:
        found = find_condition(claim.get("status", "conditions"), "Launched")
        if found is None or not (found.status == "True" or found.reason == "Launching"):
            return None
    return _sizes(sight.claims)


def _sizes(claims: Sequence[Record]) -> str | None:
    wanted = [
        value
        for claim in claims
        for need in claim.get("spec", "requirements") or ()
        if need.get("key") == "node.kubernetes.io/instance-type"
        for value in need.get("values") or ()
    ]
    return ", ".join(wanted) or ("" if claims else None)


def _node(sight: Sight) -> str | None:
    return ", ".join(node.meta.name for node in sight.nodes) or None


def _gpu(sight: Sight) -> str | None:
    counts = [
        int((node.get("status", "allocatable") or {}).get(GPU_RESOURCE, 0)) for node in sight.nodes
    ]
    return f"{sum(counts)} x {GPU_RESOURCE}" if counts and all(counts) else None


def _image(sight: Sight) -> str | None:
    pods = _of_job(sight) if sight.tuning else _servers(sight)
    return next((str(c.get("image", "")) for c in _engines(pods) if c.get("imageID")), None)


def _trained(sight: Sight) -> str | None:
    for container in _engines(_of_job(sight)):
        ended = (container.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode") == 0:
            return ""
    return _pushed(sight)


def _pushed(sight: Sight) -> str | None:
    for job in sight.jobs:
        found = find_condition(job.get("status", "conditions"), "Complete")
        if found is not None and found.status == "True":
            return str(sight.workspace.get("tuning", "output", "image") or "")
    return None


def _started(sight: Sight) -> str | None:
    for pod in _servers(sight):
        if any(container.get("started") for container in _engines([pod])):
            return pod.meta.name
    return None


def _ready(sight: Sight) -> str | None:
    return "" if is_ready(sight) else None


_LOOKS: Final[Mapping[Stage, Callable[[Sight], str | None]]] = {
    Stage.CLAIM: _claim,
    Stage.POOL: _pool,
    Stage.NODE: _node,
    Stage.GPU: _gpu,
    Stage.IMAGE: _image,
    Stage.TRAINED: _trained,
    Stage.PUSHED: _pushed,
    Stage.STARTED: _started,
    Stage.READY: _ready,
}


def _of_job(sight: Sight) -> list[Record]:
    return [pod for pod in sight.pods if JOB_LABEL in pod.meta.labels]


def _servers(sight: Sight) -> list[Record]:
    return [pod for pod in sight.pods if JOB_LABEL not in pod.meta.labels]


def _engines(pods: Sequence[Record]) -> Iterator[Json]:
    """The status of every container that asks for GPUs."""
    for pod in pods:
        spec, status = pod.get("spec") or {}, pod.get("status") or {}
        for kind, told in (
            ("initContainers", "initContainerStatuses"),
            ("containers", "containerStatuses"),
        ):
            wanting = {c["name"] for c in spec.get(kind) or () if _wants_gpu(c)}
            yield from (c for c in status.get(told) or () if c.get("name") in wanting)


def _wants_gpu(container: Json) -> bool:
    return GPU_RESOURCE in ((container.get("resources") or {}).get("limits") or {})


@final
@dataclass(slots=True, eq=False)
class Journey:
    """When each stage was reached first, and what stands in the way now."""

    key: ObjectKey
    tuning: bool
    begun: Elapsed
    reached: dict[Stage, tuple[Elapsed, str]] = field(default_factory=dict)
    trouble: str = ""
    """`Reason: message` of Ready while it is not True; empty before and after."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        return TUNING if self.tuning else INFERENCE

    @property
    def done(self) -> bool:
        return Stage.READY in self.reached

    def see(self, sight: Sight, now: Elapsed) -> list[Stage]:
        """Take note of what is there now; the stages that are new, in order.

        A stage whose trace was gone before anybody looked is taken as reached with the next one.
        """
        found = reached(sight)
        last = max((self.stages.index(stage) for stage in found), default=-1)
        fresh = [stage for stage in self.stages[: last + 1] if stage not in self.reached]
        for stage in fresh:
            self.reached[stage] = (now, found.get(stage, ""))
        ready = sight.condition(ConditionType.READY)
        waiting = ready is not None and ready.status != "True"
        self.trouble = f"{ready.reason}: {ready.message}" if ready is not None and waiting else ""
        return fresh

    def took(self, stage: Stage) -> Elapsed:
        """From the stage before it (the first: from the beginning) to this one."""
        at, _ = self.reached[stage]
        before = [self.reached[s][0] for s in self.stages[: self.stages.index(stage)]]
        return at - (before[-1] if before else self.begun)
