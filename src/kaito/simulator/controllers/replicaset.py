"""The ReplicaSet controller: as many equal pods as are wanted."""

from dataclasses import dataclass
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Done, Result
from kaito.framework.sources import for_object, owned_by
from kaito.framework.store import Store
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import PODS, REPLICASETS
from kaito.simulator.controllers import podstate
from kaito.simulator.controllers.hands import (
    Action,
    Create,
    Delete,
    Hands,
    Note,
    Patch,
    status_patch,
)
from kaito.simulator.controllers.orphans import Dependents

BURST = 500
"""Pods made or removed in one pass at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    replica_set: Record
    pods: tuple[Record, ...]


def decide(observed: Observed) -> list[Action]:
    """Create what is missing, delete what is too much, report."""
    replica_set = observed.replica_set
    active = [pod for pod in observed.pods if podstate.is_active(pod)]
    actions: list[Action] = []
    if not replica_set.meta.deleting:
        wanted = replica_set.get("spec", "replicas")
        missing = (1 if wanted is None else int(wanted)) - len(active)
        actions += [_create(replica_set) for _ in range(min(missing, BURST))]
        actions += [_delete(pod) for pod in _least_wanted(active)[: max(0, min(-missing, BURST))]]
    status = status_patch(replica_set.get("status"), _status(observed, active))
    if status is not None:
        key, uid = replica_set.key, replica_set.meta.uid
        actions.append(
            Patch(resource=REPLICASETS, key=key, uid=uid, patch=status, subresource="status")
        )
    return actions


def _create(replica_set: Record) -> Create:
    template: Json = replica_set.get("spec", "template") or {}
    return Create(
        resource=PODS,
        obj=podstate.pod_from(template, replica_set, generateName=f"{replica_set.meta.name}-"),
        done=Note(reason="SuccessfulCreate", message="Created pod: {name}"),
        failed="FailedCreate",
    )


def _delete(pod: Record) -> Delete:
    note = Note(reason="SuccessfulDelete", message=f"Deleted pod: {pod.meta.name}")
    return Delete(resource=PODS, key=pod.key, uid=pod.meta.uid, done=note)


def _least_wanted(active: list[Record]) -> list[Record]:
    """Unbound before bound, pending before running, unready before ready, young before old."""
    young_first = podstate.by_age(active)[::-1]
    return sorted(
        young_first,
        key=lambda pod: (
            bool(pod.get("spec", "nodeName")),
            podstate.phase(pod) == "Running",
            podstate.is_ready(pod),
        ),
    )


def _status(observed: Observed, active: list[Record]) -> Json:
    ready = sum(map(podstate.is_ready, active))
    labels = (observed.replica_set.get("spec", "template") or {}).get("metadata", {})
    wanted = (labels.get("labels") or {}).items()
    full = sum(all(pod.meta.labels.get(k) == v for k, v in wanted) for pod in active)
    terminating = sum(p.meta.deleting and not podstate.is_over(p) for p in observed.pods)
    return {
        "observedGeneration": observed.replica_set.meta.generation,
        "replicas": len(active),
        "fullyLabeledReplicas": full or None,
        "readyReplicas": ready or None,
        "availableReplicas": ready or None,
        "terminatingReplicas": terminating,
    }


@final
class ReplicaSets:
    def __init__(self, manager: Manager) -> None:
        self._sets: Store = manager.cache.informer(REPLICASETS).store
        self._pods = Dependents(manager.cache, PODS)
        self._hands = Hands(manager.client, manager.recorder("replicaset-controller"))

    async def reconcile(self, key: ObjectKey) -> Result:
        replica_set = self._sets.get(key)
        if replica_set is None:
            return Done()
        await self._hands.do(replica_set, self._pods.adoptions(replica_set))
        pods = tuple(self._pods.of(replica_set))
        await self._hands.do(replica_set, decide(Observed(replica_set=replica_set, pods=pods)))
        return Done()


def replicaset_controller(manager: Manager) -> Controller:
    sources = [for_object(REPLICASETS), owned_by(PODS, REPLICASETS)]
    return Controller("replicaset", ReplicaSets(manager), sources)
