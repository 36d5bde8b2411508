"""The Deployment controller: a ReplicaSet per template, and the rollout from one to the next."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, owned_by
from kaito.framework.store import Store
from kaito.kube.clock import Clock, parse_rfc3339, rfc3339
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import DEPLOYMENTS, REPLICASETS
from kaito.simulator.controllers import podstate
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

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HISTORY = "deployment.kubernetes.io/revision-history"
"""Earlier revisions of a ReplicaSet that has become the newest again."""
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
    }
)
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
LATE = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    deployment: Record
    replica_sets: tuple[Record, ...]
    now: str
    """For conditions, RFC 3339."""


def decide(observed: Observed) -> list[Action]:
    """One step of the rollout, and the status."""
    if observed.deployment.meta.deleting:
        return []
    return _Rollout(observed).actions()


def _replicas(replica_set: Record) -> int:
    wanted = replica_set.get("spec", "replicas")
    return 1 if wanted is None else int(wanted)


def _count(replica_set: Record, field: str) -> int:
    return int(replica_set.get("status", field) or 0)


def bound_of(value: object, replicas: int, *, up: bool) -> int:
    """maxSurge (rounded up) or maxUnavailable (rounded down) as a number."""
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * replicas / 100
        return math.ceil(share) if up else math.floor(share)
    return int(str(value))


@final
class _Rollout:
    def __init__(self, observed: Observed) -> None:
        self._deployment = observed.deployment
        self._now = observed.now
        self._spec: Json = self._deployment.get("spec") or {}
        replicas = self._spec.get("replicas")
        self._wanted = 1 if replicas is None else int(replicas)
        self._all = podstate.by_age(observed.replica_sets)
        self._new = next((rs for rs in self._all if self._is_current(rs)), None)
        self._old = [rs for rs in self._all if rs is not self._new]
        self._scaled = {rs.meta.name: _replicas(rs) for rs in self._all}
        strategy = self._spec.get("strategy") or {}
        self._paused = bool(self._spec.get("paused"))
        self._recreate = strategy.get("type") == "Recreate"
        rolling = strategy.get("rollingUpdate") or {}
        self._surge = bound_of(rolling.get("maxSurge", "25%"), self._wanted, up=True)
        self._down = bound_of(rolling.get("maxUnavailable", "25%"), self._wanted, up=False)
        if not self._surge and not self._down:
            self._down = 1

    def _is_current(self, replica_set: Record) -> bool:
        template: Json = replica_set.get("spec", "template") or {}
        metadata = dict(template.get("metadata") or {})
        labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
        bare = {**template, "metadata": {**metadata, "labels": labels}}
        return bare == self._spec.get("template")

    def actions(self) -> list[Action]:
        actions: list[Action] = []
        if self._paused:
            actions += self._resized()
        elif self._new is None:
            actions.append(self._create())
        elif self._recreate:
            actions += self._recreated()
        else:
            actions += self._rolled()
        if self._new is not None or not self._paused:
            actions += self._annotated()
        status = status_patch(self._deployment.get("status"), self._status())
        if status is not None:
            actions.append(self._patch(status, "status"))
        return [*actions, *self._forgotten()]

    # ---- replica sets

    def _revision(self) -> int:
        numbers = [int(rs.meta.annotations.get(REVISION) or 0) for rs in self._old]
        return max(numbers, default=0) + 1

    def _most(self) -> int:
        return self._wanted + (0 if self._recreate else self._surge)

    def _create(self) -> Create:
        template: Json = self._spec.get("template") or {}
        hashed = podstate.hash_of(template)
        metadata = template.get("metadata") or {}
        labels = {**(metadata.get("labels") or {}), HASH_LABEL: hashed}
        selector = self._spec.get("selector") or {}
        matched = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
        room = self._most() - sum(self._scaled.values())
        replicas = max(0, min(self._wanted, room))
        if self._recreate and any(_count(rs, "replicas") for rs in self._old):
            replicas = 0
        name = f"{self._deployment.meta.name}-{hashed}"
        self._scaled[name] = replicas
        obj = {
            "metadata": {
                "name": name,
                "namespace": self._deployment.meta.namespace,
                "labels": labels,
                "annotations": self._annotations(),
                "ownerReferences": [podstate.owner_reference(self._deployment)],
            },
            "spec": {
                "replicas": replicas,
                "selector": {**selector, "matchLabels": matched},
                "template": {**template, "metadata": {**metadata, "labels": labels}},
            },
        }
        return Create(resource=REPLICASETS, obj=obj, done=_scaling("up", name, 0, replicas))

    def _annotations(self) -> dict[str, str]:
        """Of the newest ReplicaSet: the Deployment's own, which say why, and what it counts."""
        revision = self._revision()
        given = self._deployment.meta.annotations.items()
        copied = {name: value for name, value in given if name not in _NOT_COPIED}
        if self._new is not None:
            known = self._new.meta.annotations
            before = int(known.get(REVISION) or 0)
            if 0 < before < revision:
                copied[HISTORY] = f"{known[HISTORY]},{before}" if HISTORY in known else str(before)
            revision = max(revision, before)
        return {
            **copied,
            REVISION: str(revision),
            DESIRED: str(self._wanted),
            MAXIMUM: str(self._most()),
        }

    def _annotated(self) -> list[Action]:
        actions: list[Action] = []
        wanted = self._annotations()
        new = self._new
        if new is not None and any(new.meta.annotations.get(k) != v for k, v in wanted.items()):
            patch: Json = {"metadata": {"annotations": wanted}}
            actions.append(Patch(resource=REPLICASETS, key=new.key, uid=new.meta.uid, patch=patch))
        if self._deployment.meta.annotations.get(REVISION) != wanted[REVISION]:
            patch = {"metadata": {"annotations": {REVISION: wanted[REVISION]}}}
            # As Kubernetes does: by way of the status, where it is no change of what is wanted.
            actions.append(self._patch(patch, "status"))
        return actions

    def _patch(self, patch: Json, subresource: str = "") -> Patch:
        key, uid = self._deployment.key, self._deployment.meta.uid
        return Patch(resource=DEPLOYMENTS, key=key, uid=uid, patch=patch, subresource=subresource)

    def _scale(self, replica_set: Record, replicas: int) -> list[Action]:
        before = self._scaled[replica_set.meta.name]
        if before == replicas:
            return []
        self._scaled[replica_set.meta.name] = replicas
        direction = "up" if replicas > before else "down"
        return [
            Patch(
                resource=REPLICASETS,
                key=replica_set.key,
                uid=replica_set.meta.uid,
                patch={"spec": {"replicas": replicas}},
            ),
            Tell(note=_scaling(direction, replica_set.meta.name, before, replicas)),
        ]

    def _rolled(self) -> list[Action]:
        """New ones as far as the surge allows, old ones as far as enough are available."""
        new = self._new
        if new is None:
            return []
        before = self._scaled[new.meta.name]
        room = self._most() - sum(self._scaled.values())
        target = self._wanted if before > self._wanted else min(self._wanted, before + max(0, room))
        actions = self._scale(new, target)
        return [*actions, *self._scaled_down(new)]

    def _scaled_down(self, new: Record) -> list[Action]:
        actions: list[Action] = []
        least = self._wanted - self._down
        unready = self._scaled[new.meta.name] - _count(new, "availableReplicas")
        spare = sum(self._scaled.values()) - least - max(0, unready)
        # Pods that are not available may go first: they serve nobody.
        for old in self._old:
            broken = self._scaled[old.meta.name] - _count(old, "availableReplicas")
            gone = max(0, min(broken, spare))
            actions += self._scale(old, self._scaled[old.meta.name] - gone)
            spare -= gone
        available = sum(_count(rs, "availableReplicas") for rs in self._all)
        spare = min(spare, available - least)
        for old in self._old:
            gone = max(0, min(self._scaled[old.meta.name], spare))
            actions += self._scale(old, self._scaled[old.meta.name] - gone)
            spare -= gone
        return actions

    def _resized(self) -> list[Action]:
        """While the rollout pauses, a single set still follows the number that is wanted."""
        active = [rs for rs in self._all if self._scaled[rs.meta.name]] or self._all[-1:]
        return self._scale(active[0], self._wanted) if len(active) == 1 else []

    def _recreated(self) -> list[Action]:
        actions = [action for old in self._old for action in self._scale(old, 0)]
        busy = any(
            _count(old, "replicas") or _count(old, "terminatingReplicas") for old in self._old
        )
        if not actions and not busy and self._new is not None:
            return self._scale(self._new, self._wanted)
        return actions

    def _forgotten(self) -> list[Delete]:
        """Old, empty ReplicaSets beyond the history limit."""
        limit = self._spec.get("revisionHistoryLimit")
        empty = [
            rs
            for rs in self._old
            if not _replicas(rs) and not _count(rs, "replicas") and not rs.meta.deleting
        ]
        empty.sort(key=lambda rs: int(rs.meta.annotations.get(REVISION) or 0))
        beyond = max(0, len(empty) - (10 if limit is None else int(limit)))
        return [Delete(resource=REPLICASETS, key=rs.key, uid=rs.meta.uid) for rs in empty[:beyond]]

    # ---- status

    def _status(self) -> Json:
        total = sum(_count(rs, "replicas") for rs in self._all)
        available = sum(_count(rs, "availableReplicas") for rs in self._all)
        updated = _count(self._new, "replicas") if self._new is not None else 0
        terminating = sum(_count(rs, "terminatingReplicas") for rs in self._all)
        counts = {
            "replicas": total or None,
            "updatedReplicas": updated or None,
            "readyReplicas": sum(_count(rs, "readyReplicas") for rs in self._all) or None,
            "availableReplicas": available or None,
            "unavailableReplicas": max(0, max(total, self._wanted) - available) or None,
            "terminatingReplicas": terminating,
        }
        return {
            "observedGeneration": self._deployment.meta.generation,
            **counts,
            "conditions": self._conditions(counts),
        }

    def _conditions(self, counts: Json) -> list[Json]:
        available = counts["availableReplicas"] or 0
        if available >= self._wanted - self._down:
            text = "Deployment has minimum availability."
            first = ("Available", "True", "MinimumReplicasAvailable", text)
        else:
            text = "Deployment does not have minimum availability."
            first = ("Available", "False", "MinimumReplicasUnavailable", text)
        return [self._condition(*first), self._progress(counts)]

    def _progress(self, counts: Json) -> Json:
        """What the condition says of the rollout: done, paused, under way, or out of time."""
        before = self._known("Progressing")
        if self._paused or before.get("reason") == PAUSED:
            reason, what = (PAUSED, "paused") if self._paused else (RESUMED, "resumed")
            return self._condition("Progressing", "Unknown", reason, f"Deployment is {what}")
        name = f'ReplicaSet "{self._new.meta.name}"' if self._new is not None else 'ReplicaSet ""'
        done = counts["replicas"] == counts["updatedReplicas"] == (self._wanted or None)
        if done and counts["availableReplicas"] == (self._wanted or None):
            text = f"{name} has successfully progressed."
            return self._condition("Progressing", "True", "NewReplicaSetAvailable", text)
        moved = self._moved(counts)
        if not moved and is_late(self._deployment, parse_rfc3339(self._now)):
            return self._condition(
                "Progressing", "False", LATE, f"{name} has timed out progressing."
            )
        told = self._condition(
            "Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing."
        )
        return {**told, "lastUpdateTime": self._now} if moved else told

    def _moved(self, counts: Json) -> bool:
        """Whether the rollout came nearer to its end since the last status."""
        before: Json = self._deployment.get("status") or {}

        def number(status: Json, field: str) -> int:
            return int(status.get(field) or 0)

        def old(status: Json) -> int:
            return number(status, "replicas") - number(status, "updatedReplicas")

        more = any(
            number(counts, field) > number(before, field)
            for field in ("readyReplicas", "availableReplicas")
        )
        changed = number(counts, "updatedReplicas") != number(before, "updatedReplicas")
        return changed or more or old(counts) < old(before)

    def _known(self, name: str) -> Json:
        return condition_of(self._deployment, name)

    def _condition(self, name: str, status: str, reason: str, message: str) -> Json:
        before = self._known(name)
        said = {"type": name, "status": status, "reason": reason, "message": message}
        if all(before.get(field) == value for field, value in said.items()):
            return dict(before)
        since = before.get("lastTransitionTime") if before.get("status") == status else None
        return {**said, "lastUpdateTime": self._now, "lastTransitionTime": since or self._now}


def condition_of(deployment: Record, name: str) -> Json:
    known = deployment.get("status", "conditions") or []
    return next((dict(one) for one in known if one["type"] == name), {})


def deadline_of(deployment: Record) -> datetime | None:
    """When the rollout, as it is now, will have taken too long; None while nothing is awaited."""
    seconds = deployment.get("spec", "progressDeadlineSeconds")
    said = condition_of(deployment, "Progressing")
    if seconds is None or said.get("reason") in (None, LATE, PAUSED, "NewReplicaSetAvailable"):
        return None
    return parse_rfc3339(said["lastUpdateTime"]) + timedelta(seconds=int(seconds))


def is_late(deployment: Record, now: datetime) -> bool:
    if condition_of(deployment, "Progressing").get("reason") == LATE:
        return True
    deadline = deadline_of(deployment)
    return deadline is not None and deadline < now


def _scaling(direction: str, name: str, before: int, after: int) -> Note:
    message = f"Scaled {direction} replica set {name} from {before} to {after}"
    return Note(reason="ScalingReplicaSet", message=message)


@final
class Deployments:
    def __init__(self, manager: Manager) -> None:
        self._deployments: Store = manager.cache.informer(DEPLOYMENTS).store
        self._replica_sets = Dependents(manager.cache, REPLICASETS)
        self._hands = Hands(manager.client, manager.recorder("deployment-controller"))
        self._clock: Clock = manager.clock

    async def reconcile(self, key: ObjectKey) -> Result:
        deployment = self._deployments.get(key)
        if deployment is None:
            return Done()
        await self._hands.do(deployment, self._replica_sets.adoptions(deployment))
        observed = Observed(
            deployment=deployment,
            replica_sets=tuple(self._replica_sets.of(deployment)),
            now=rfc3339(self._clock.wall()),
        )
        await self._hands.do(deployment, decide(observed))
        deadline = deadline_of(deployment)
        if deadline is None:
            return Done()
        left = (deadline - self._clock.wall()).total_seconds()
        return Again(max(left, 0.0) + 1.0)


def deployment_controller(manager: Manager) -> Controller:
    sources = [for_object(DEPLOYMENTS), owned_by(REPLICASETS, DEPLOYMENTS)]
    return Controller("deployment", Deployments(manager), sources)
