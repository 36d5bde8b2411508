"""The status of a Workspace as a pure function of what was observed and how far it has come.

    Ready                 all done; else the deepest cause, with the next step in the message
    Reconciling           under way, nobody has to do anything
    Stalled               somebody has to act
    NodeClaimReady, NodesReady, ResourceReady, InferenceReady, JobStarted, WorkspaceSucceeded
                          upstream's, same types and reasons, for the scripts that read them

A status is written when the set of (type, status, reason) or another field changes; when only a
message tells progress, at most every 30 seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, final

from kaito.api.names import ConditionType, Reason, State
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Progress, Step
from kaito.framework.conditions import Condition, set_conditions
from kaito.kube.objects import Json

MESSAGE_INTERVAL = 30.0
"""Seconds between two writes that only change a message."""

_MACHINE_TYPES = (
    ConditionType.NODECLAIM_READY,
    ConditionType.NODES_READY,
    ConditionType.RESOURCE_READY,
)


_PASSING = (
    ConditionType.UPDATE_AVAILABLE,
    ConditionType.WORKSPACE_DELETING,
    ConditionType.BENCHMARK_COMPLETED,
)
"""Kept only while they are told. The benchmark is KAITO's to tell; here its probe gates Ready."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What differs between the status that is and the one that should be."""

    status: Json
    """The whole status as it should be."""
    urgent: bool
    """More than messages differ."""


def desired(observed: Observed, progress: Progress, now: datetime) -> Json:
    """The whole status as it should be."""
    existing = observed.record.get("status") or {}
    generation = observed.record.meta.generation
    conditions = [
        Condition(
            type=c.type,
            status=c.status,
            reason=c.reason,
            message=c.message,
            observed_generation=generation,
        )
        for c in conditions_of(progress, tuning=observed.workspace.tuning is not None)
    ]
    kept = _without_settled(existing.get("conditions"), {c.type for c in conditions})
    demand = progress.demand
    status: Json = {
        **existing,
        "observedGeneration": generation,
        "state": state_of(observed, progress),
        "conditions": set_conditions(kept, conditions, now),
        "workerNodes": observed.worker_nodes,
    }
    if demand is not None:
        status |= {"targetNodeCount": demand.nodes, "engine": demand.runtime}
        if demand.serves:
            status["endpoint"] = f"http://{observed.key.name}.{observed.key.namespace}.svc"
    return status


def _without_settled(existing: list[Json] | None, named: set[str]) -> list[Json]:
    """Drop what no longer applies: an update that was taken, machines of a refused Workspace,
    the failed benchmark of a Workspace that was taken over."""
    droppable = {*_PASSING, *_MACHINE_TYPES}
    return [c for c in existing or () if c.get("type") in named or c.get("type") not in droppable]


def compare(observed: Observed, status: Json) -> Change | None:
    """None when the live status already is that status."""
    live = observed.record.get("status") or {}
    if live == status:
        return None
    return Change(status=status, urgent=_essence(live) != _essence(status))


def _essence(status: Json) -> Json:
    conditions = status.get("conditions") or ()
    states = sorted((c["type"], c["status"], c["reason"]) for c in conditions)
    return {**status, "conditions": states, "observed": _generations(conditions)}


def _generations(conditions: Iterable[Json]) -> list[int]:
    return sorted({c.get("observedGeneration", 0) for c in conditions})


def conditions_of(progress: Progress, *, tuning: bool) -> list[Condition]:
    """Every condition that applies, in the order in which people read them."""
    blocked = progress.blocked
    found = [*_machine_conditions(progress)]
    found += _tuning_conditions(progress) if tuning else [_inference_condition(progress.workload)]
    found.append(_succeeded(progress, tuning=tuning))
    update = progress.update
    if update is not None:
        found.append(
            Condition(
                type=ConditionType.UPDATE_AVAILABLE,
                status="True" if update.available else "False",
                reason=update.reason,
                message=update.message,
            )
        )
    return [*found, *_kstatus(blocked)]


def _condition(type_: str, step: Step | None, absent: str, success: str = "") -> Condition:
    if step is None:
        return Condition(type=type_, status="False", reason=absent, message="not there yet")
    if not step.done:
        return Condition(type=type_, status="False", reason=step.reason, message=step.message)
    return Condition(type=type_, status="True", reason=success or step.reason, message=step.message)


def _machine_conditions(progress: Progress) -> list[Condition]:
    if progress.refused is not None:
        refused = progress.refused
        return [
            Condition(
                type=ConditionType.RESOURCE_READY,
                status="False",
                reason=refused.reason,
                message=refused.message,
            )
        ]
    steps = [step for step in (progress.claims, progress.nodes) if step is not None]
    first = next((step for step in steps if not step.done), None)
    if first is not None:
        resource = _condition(ConditionType.RESOURCE_READY, first, Reason.RESOURCE_NOT_READY)
    else:
        resource = Condition(
            type=ConditionType.RESOURCE_READY,
            status="True",
            reason=Reason.RESOURCE_READY,
            message="the machines are ready",
        )
    return [
        _condition(ConditionType.NODECLAIM_READY, progress.claims, Reason.NODECLAIM_NOT_READY),
        _condition(ConditionType.NODES_READY, progress.nodes, Reason.NODE_NOT_READY),
        resource,
    ]


def _inference_condition(step: Step | None) -> Condition:
    return _condition(
        ConditionType.INFERENCE_READY, step, Reason.INFERENCE_PENDING, Reason.INFERENCE_READY
    )


def _tuning_conditions(progress: Progress) -> list[Condition]:
    trained = progress.workload
    job_status: Literal["True", "False"] = "False"
    reason, message = Reason.JOB_PENDING, "the tuning Job has not started yet"
    if trained is not None and trained.stalled:
        reason, message = Reason.JOB_FAILED, trained.message
    elif trained is not None and (trained.done or progress.job_started):
        job_status, reason, message = "True", Reason.JOB_STARTED, trained.message
    started = Condition(
        type=ConditionType.JOB_STARTED, status=job_status, reason=reason, message=message
    )
    if progress.served is None:
        return [started]
    return [started, _inference_condition(progress.served)]


def _succeeded(progress: Progress, *, tuning: bool) -> Condition:
    blocked = progress.blocked
    type_ = ConditionType.WORKSPACE_SUCCEEDED
    if blocked is None:
        message = progress.steps[-1].message if progress.steps else ""
        return Condition(type=type_, status="True", reason=Reason.SUCCEEDED, message=message)
    failed = tuning and blocked.stalled and progress.refused is None
    reason = Reason.FAILED if failed else Reason.PENDING
    return Condition(type=type_, status="False", reason=reason, message=blocked.message)


def _kstatus(blocked: Step | None) -> list[Condition]:
    """The trio that `kubectl wait` and deployment tools read."""
    if blocked is None:
        return [
            Condition(type=ConditionType.READY, status="True", reason=Reason.READY),
            Condition(type=ConditionType.RECONCILING, status="False", reason=Reason.READY),
            Condition(type=ConditionType.STALLED, status="False", reason=Reason.READY),
        ]
    reason, message = blocked.reason, blocked.message
    return [
        Condition(type=ConditionType.READY, status="False", reason=reason, message=message),
        _flag(ConditionType.RECONCILING, not blocked.stalled, reason, message),
        _flag(ConditionType.STALLED, blocked.stalled, reason, message),
    ]


def _flag(type_: str, holds: bool, reason: str, message: str) -> Condition:
    return Condition(
        type=type_,
        status="True" if holds else "False",
        reason=reason,
        message=message if holds else "",
    )


def state_of(observed: Observed, progress: Progress) -> str:
    """Upstream's one-word summary."""
    blocked = progress.blocked
    if observed.workspace.tuning is not None:
        if blocked is None:
            return State.SUCCEEDED
        trained = progress.workload
        if trained is not None and trained.done:
            return State.SUCCEEDED
        if trained is not None and trained.stalled:
            return State.FAILED
        return State.RUNNING if progress.job_started else State.PENDING
    if blocked is None:
        return State.READY
    was = (observed.record.get("status") or {}).get("state")
    return State.NOT_READY if was in (State.READY, State.NOT_READY) else State.PENDING
