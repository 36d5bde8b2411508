"""The Job controller: pods until enough have succeeded or too many have failed.

Every pod carries a finalizer until it has been counted: first its uid is noted in the status, then
the finalizer goes, then the number is raised. So no pod is counted twice and none is missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, owned_by
from kaito.framework.store import Store
from kaito.kube.clock import parse_rfc3339, rfc3339
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import JOBS, PODS
from kaito.simulator.controllers import indexes, podstate
from kaito.simulator.controllers.hands import (
    Action,
    Create,
    Delete,
    Hands,
    Note,
    Patch,
    Tell,
    status_patch,
)
from kaito.simulator.controllers.orphans import Dependents

FINALIZER = "batch.kubernetes.io/job-tracking"
FIRST_BACKOFF = 10.0
LONGEST_BACKOFF = 600.0
"""Seconds before a failed pod is replaced; doubles with every failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    job: Record
    pods: tuple[Record, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    actions: tuple[Action, ...]
    again: float | None = None
    """Seconds after which to look again."""


def decide(observed: Observed) -> Decision:
    return _Pass(observed).decision()


def end_of(job: Record) -> Json | None:
    """The condition that says it is over."""
    for condition in job.get("status", "conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return dict(condition)
    return None


@final
class _Pass:
    """One look at one Job."""

    def __init__(self, observed: Observed) -> None:
        self._job = observed.job
        self._now = observed.now
        self._spec: Json = self._job.get("spec") or {}
        self._status: Json = self._job.get("status") or {}
        self._pods = podstate.by_age(observed.pods)
        noted = self._status.get("uncountedTerminatedPods") or {}
        self._noted = {kind: list(noted.get(kind) or ()) for kind in ("succeeded", "failed")}
        self._indexed = self._spec.get("completionMode") == "Indexed"
        self._tracked = [p for p in self._pods if FINALIZER in p.meta.finalizers]

    def decision(self) -> Decision:
        if end_of(self._job) is not None:
            return self._over()
        if self._job.meta.deleting:
            return Decision(actions=tuple(self._released(everything=True)))
        verdict = self._verdict()
        if verdict is not None:
            return self._ending(verdict)
        if self._to_note():
            return Decision(actions=tuple(self._noting()))
        if any(self._noted.values()):
            return Decision(actions=tuple(self._counting()))
        if self._spec.get("suspend"):
            return Decision(actions=tuple(self._suspended()))
        return self._going_on()

    def _over(self) -> Decision:
        """Let go of the pods; `ttlSecondsAfterFinished` later, of the Job."""
        released = tuple(self._released())
        seconds, end = self._spec.get("ttlSecondsAfterFinished"), end_of(self._job)
        if seconds is None or end is None or self._job.meta.deleting:
            return Decision(actions=released)
        due = parse_rfc3339(end["lastTransitionTime"]) + timedelta(seconds=int(seconds))
        left = (due - self._now).total_seconds()
        if left > 0:
            return Decision(actions=released, again=left)
        key, uid = self._job.key, self._job.meta.uid
        gone = Delete(resource=JOBS, key=key, uid=uid, propagation="Foreground")
        return Decision(actions=(*released, gone))

    # ---- counting

    def _ended(self, phase: str) -> list[Record]:
        return [p for p in self._tracked if self._outcome(p) == phase]

    def _outcome(self, pod: Record) -> str:
        """Its phase; one that is deleted before it ended has failed, unless the end is awaited."""
        lost = pod.meta.deleting and not podstate.is_over(pod)
        waits = self._spec.get("podReplacementPolicy") == "Failed"
        return "Failed" if lost and not waits else podstate.phase(pod)

    def _count(self, kind: str) -> int:
        """Pods that ended so, whether counted, noted, or only seen."""
        if kind == "succeeded" and self._indexed:
            return len(self._done())
        seen = {p.meta.uid for p in self._ended(kind.capitalize())}
        counted = int(self._status.get(kind) or 0)
        return counted + len(seen | set(self._noted[kind]))

    def _done(self, among: set[str] | None = None) -> set[int]:
        """Indexes that have succeeded: counted, or of pods (only `among` these uids)."""
        ended = self._ended("Succeeded")
        fresh = {indexes.of(p) for p in ended if among is None or p.meta.uid in among}
        known = indexes.parse(self._status.get("completedIndexes") or "") | fresh
        return {index for index in known if 0 <= index < self._completions()}

    def _to_note(self) -> dict[str, list[str]]:
        fresh: dict[str, list[str]] = {}
        for kind in ("succeeded", "failed"):
            uids = [p.meta.uid for p in self._ended(kind.capitalize())]
            missing = [uid for uid in uids if uid not in self._noted[kind]]
            if missing:
                fresh[kind] = missing
        return fresh

    def _noting(self, conditions: Sequence[Json] = ()) -> list[Action]:
        """Step one: the uids are in the status."""
        fresh = self._to_note()
        noted = {kind: [*uids, *fresh.get(kind, ())] for kind, uids in self._noted.items()}
        return self._report(noted, conditions=conditions)

    def _counting(self, conditions: Sequence[Json] = (), more: Json | None = None) -> list[Action]:
        """Steps two and three: the finalizers go, then the numbers are raised."""
        noted = {uid for uids in self._noted.values() for uid in uids}
        actions: list[Action] = [
            _without_finalizer(p) for p in self._tracked if p.meta.uid in noted
        ]
        numbers = {
            kind: (int(self._status.get(kind) or 0) + len(uids)) or None
            for kind, uids in self._noted.items()
        }
        if self._indexed:
            done = self._done(set(self._noted["succeeded"]))
            numbers["succeeded"] = len(done) or None
            more = {"completedIndexes": indexes.written(done), **(more or {})}
        told = self._report({}, conditions=conditions, more={**numbers, **(more or {})})
        return [*actions, *told]

    def _report(
        self,
        noted: dict[str, list[str]],
        *,
        created: int = 0,
        removed: int = 0,
        conditions: Sequence[Json] = (),
        more: Json | None = None,
    ) -> list[Action]:
        """The status, as it is once `created` pods more exist."""
        active = [p for p in self._pods if podstate.is_active(p)]
        terminating = [p for p in self._pods if p.meta.deleting and not podstate.is_over(p)]
        wanted: Json = {
            "active": len(active) + created - removed or None,
            "ready": min(sum(map(podstate.is_ready, active)), len(active) - removed),
            "terminating": len(terminating),
            "startTime": self._status.get("startTime") or rfc3339(self._now),
            **(more or {}),
        }
        if conditions:
            known = self._status.get("conditions") or []
            types = {c["type"] for c in conditions}
            wanted["conditions"] = [*(c for c in known if c["type"] not in types), *conditions]
        patch = status_patch(self._status, wanted) or {"status": {}}
        uncounted = {kind: uids for kind, uids in noted.items() if uids}
        if self._status.get("uncountedTerminatedPods") != uncounted:
            # A merge patch keeps what it does not name, so both are named.
            patch["status"]["uncountedTerminatedPods"] = {
                kind: uncounted.get(kind) for kind in ("succeeded", "failed")
            }
        if not patch["status"]:
            return []
        key, uid = self._job.key, self._job.meta.uid
        return [Patch(resource=JOBS, key=key, uid=uid, patch=patch, subresource="status")]

    # ---- the end

    def _verdict(self) -> tuple[str, str, str] | None:
        """(interim condition, reason, message) when it is decided how the Job ends."""
        for condition in self._status.get("conditions") or ():
            if condition["type"] in ("SuccessCriteriaMet", "FailureTarget"):
                return condition["type"], condition["reason"], condition["message"]
        deadline = self._deadline()
        if self._count("succeeded") >= self._completions():
            message = "Reached expected number of succeeded pods"
            return "SuccessCriteriaMet", "CompletionsReached", message
        limit = self._spec.get("backoffLimit")
        if self._failures() > (6 if limit is None else int(limit)):
            message = "Job has reached the specified backoff limit"
            return "FailureTarget", "BackoffLimitExceeded", message
        if deadline is not None and self._now >= deadline:
            message = "Job was active longer than specified deadline"
            return "FailureTarget", "DeadlineExceeded", message
        return None

    def _completions(self) -> int:
        wanted = self._spec.get("completions")
        return 1 if wanted is None else int(wanted)

    def _failures(self) -> int:
        """Failed pods, and restarts of containers in pods that restart them."""
        restarts: int = sum(
            status.get("restartCount", 0)
            for pod in self._pods
            if podstate.is_active(pod)
            for status in pod.get("status", "containerStatuses") or ()
        )
        return self._count("failed") + restarts

    def _deadline(self) -> datetime | None:
        seconds, start = self._spec.get("activeDeadlineSeconds"), self._status.get("startTime")
        if seconds is None or not start:
            return None
        return parse_rfc3339(start) + timedelta(seconds=int(seconds))

    def _ending(self, verdict: tuple[str, str, str]) -> Decision:
        interim, reason, message = verdict
        known = {c["type"] for c in self._status.get("conditions") or ()}
        if interim not in known or self._to_note():
            conditions = [] if interim in known else [self._condition(interim, reason, message)]
            return Decision(actions=(*self._noting(conditions), *self._stopped()))
        if any(podstate.is_active(pod) or pod.meta.deleting for pod in self._tracked):
            return Decision(actions=tuple(self._stopped()))
        final_type = "Complete" if interim == "SuccessCriteriaMet" else "Failed"
        conditions = [self._condition(final_type, reason, message)]
        complete = final_type == "Complete"
        more = {"completionTime": rfc3339(self._now)} if complete else {}
        note = (
            Note(reason="Completed", message="Job completed")
            if complete
            else Note(type="Warning", reason=reason, message=message)
        )
        return Decision(actions=(*self._counting(conditions, more), Tell(note=note)))

    def _condition(self, name: str, reason: str, message: str, status: str = "True") -> Json:
        now = rfc3339(self._now)
        return {
            "type": name,
            "status": status,
            "reason": reason,
            "message": message,
            "lastProbeTime": now,
            "lastTransitionTime": now,
        }

    def _stopped(self) -> list[Action]:
        """Pods that still run when the Job is decided are deleted, and let go of."""
        actions: list[Action] = []
        for pod in self._pods:
            if podstate.is_active(pod):
                actions += _removal(pod)
            elif pod.meta.deleting and FINALIZER in pod.meta.finalizers:
                actions.append(_without_finalizer(pod))
        return actions

    def _released(self, *, everything: bool = False) -> list[Action]:
        """Finalizers that are left when there is nothing to count any more."""
        return [
            _without_finalizer(pod)
            for pod in self._tracked
            if everything or pod.meta.deleting or podstate.is_over(pod)
        ]

    # ---- waiting

    def _is_suspended(self) -> bool:
        conditions = self._status.get("conditions") or ()
        return any(c["type"] == "Suspended" and c["status"] == "True" for c in conditions)

    def _suspended(self) -> list[Action]:
        """No pods, no start; what was running is deleted and not counted."""
        active = [p for p in self._pods if podstate.is_active(p)]
        actions = [action for pod in active for action in _removal(pod)]
        told = () if self._is_suspended() else (self._condition(*_SUSPENDED),)
        more: Json = {"startTime": None}
        actions += self._report({}, removed=len(active), conditions=told, more=more)
        if told:
            actions.append(Tell(note=Note(reason="Suspended", message="Job suspended")))
        return actions

    def _resumed(self) -> tuple[Json, ...]:
        if not self._is_suspended():
            return ()
        return (self._condition("Suspended", "JobResumed", "Job resumed", "False"),)

    # ---- going on

    def _going_on(self) -> Decision:
        active = [p for p in self._pods if podstate.is_active(p)]
        missing = self._missing(len(active))
        wait = self._backoff() if missing > 0 else 0.0
        made = [] if wait > 0 else self._made(missing, active)
        spare = _least_useful(active)[: max(0, -missing)]
        removed = [action for pod in spare for action in _removal(pod)]
        resumed = self._resumed()
        more = {"startTime": rfc3339(self._now)} if resumed else None
        report = self._report(
            {}, created=len(made), removed=len(spare), conditions=resumed, more=more
        )
        told = [Tell(note=Note(reason="Resumed", message="Job resumed"))] if resumed else []
        again = self._sooner(wait if wait > 0 else None)
        return Decision(actions=(*removed, *made, *report, *told), again=again)

    def _made(self, missing: int, active: list[Record]) -> list[Create]:
        if not self._indexed:
            return [self._create() for _ in range(missing)]
        taken = self._done() | {indexes.of(pod) for pod in active}
        free = [index for index in range(self._completions()) if index not in taken]
        return [self._create(index) for index in free[: max(0, missing)]]

    def _missing(self, active: int) -> int:
        parallelism = self._spec.get("parallelism")
        left = self._completions() - self._count("succeeded")
        missing = min(1 if parallelism is None else int(parallelism), left) - active
        if self._spec.get("podReplacementPolicy") == "Failed":
            missing -= sum(p.meta.deleting and not podstate.is_over(p) for p in self._pods)
        return missing

    def _sooner(self, wait: float | None) -> float | None:
        deadline = self._deadline()
        if deadline is None:
            return wait
        left = max(0.0, (deadline - self._now).total_seconds())
        return left if wait is None else min(wait, left)

    def _backoff(self) -> float:
        """Seconds until a failed pod may be replaced."""
        failed = [p for p in self._pods if podstate.phase(p) == "Failed"]
        if not failed:
            return 0.0
        last = max((_finished(pod, self._now) for pod in failed), default=self._now)
        wait = min(FIRST_BACKOFF * 2.0 ** min(len(failed) - 1, 30), LONGEST_BACKOFF)
        return wait - (self._now - last).total_seconds()

    def _create(self, index: int | None = None) -> Create:
        template: Json = self._spec.get("template") or {}
        made = podstate.pod_from(
            template,
            self._job,
            generateName=f"{self._job.meta.name}-",
            finalizers=[FINALIZER],
        )
        if index is not None:
            indexes.tell(made, self._job.meta.name, index)
        return Create(
            resource=PODS,
            obj=made,
            done=Note(reason="SuccessfulCreate", message="Created pod: {name}"),
            failed="FailedCreate",
        )


_SUSPENDED = ("Suspended", "JobSuspended", "Job suspended")


def _removal(pod: Record) -> list[Action]:
    """Delete a pod that is not to be counted."""
    note = Note(reason="SuccessfulDelete", message=f"Deleted pod: {pod.meta.name}")
    gone = Delete(resource=PODS, key=pod.key, uid=pod.meta.uid, done=note)
    return [_without_finalizer(pod), gone]


def _least_useful(active: list[Record]) -> list[Record]:
    """Those that are not ready first, then the youngest."""
    young = list(reversed(podstate.by_age(active)))
    return sorted(young, key=podstate.is_ready)


def _finished(pod: Record, now: datetime) -> datetime:
    """When its last container ended; never later than now, whatever clock stamped it."""
    ends = [
        parse_rfc3339(state["terminated"]["finishedAt"])
        for field in ("containerStatuses", "initContainerStatuses")
        for status in pod.get("status", field) or ()
        if (state := status.get("state") or {}).get("terminated", {}).get("finishedAt")
    ]
    return min(max(ends, default=now), now)


def _without_finalizer(pod: Record) -> Patch:
    left = [finalizer for finalizer in pod.meta.finalizers if finalizer != FINALIZER]
    return Patch(
        resource=PODS,
        key=pod.key,
        uid=pod.meta.uid,
        patch={"metadata": {"finalizers": left or None}},
    )


@final
class Jobs:
    def __init__(self, manager: Manager) -> None:
        self._jobs: Store = manager.cache.informer(JOBS).store
        self._pods = Dependents(manager.cache, PODS)
        self._hands = Hands(manager.client, manager.recorder("job-controller"))
        self._clock = manager.clock

    async def reconcile(self, key: ObjectKey) -> Result:
        job = self._jobs.get(key)
        if job is None:
            await self._let_go(key)
            return Done()
        observed = Observed(job=job, pods=tuple(self._pods.of(job)), now=self._clock.wall())
        decision = decide(observed)
        await self._hands.do(job, decision.actions)
        return Done() if decision.again is None else Again(decision.again)

    async def _let_go(self, key: ObjectKey) -> None:
        """Nobody counts the pods of a Job that is gone."""
        for pod in self._pods.with_labels(key.namespace, {"job-name": key.name}):
            owner = pod.meta.controller
            if FINALIZER in pod.meta.finalizers and owner is not None and owner.kind == "Job":
                await self._hands.do(pod, [_without_finalizer(pod)])


def job_controller(manager: Manager) -> Controller:
    sources = [for_object(JOBS), owned_by(PODS, JOBS)]
    return Controller("job", Jobs(manager), sources)
