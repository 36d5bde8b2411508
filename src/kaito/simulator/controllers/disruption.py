"""Disruption budgets: how many of the pods that each one guards may be evicted now."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, mapped, reads
from kaito.framework.store import Store
from kaito.kube.clock import parse_rfc3339, rfc3339
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import DEPLOYMENTS, PODDISRUPTIONBUDGETS, PODS, REPLICASETS, STATEFULSETS
from kaito.kube.selectors import LabelSelector
from kaito.simulator.controllers import podstate
from kaito.simulator.controllers.hands import Hands, Patch, status_patch

EVICTION_SECONDS = 120.0
"""How long an evicted pod counts as going before its end must have been seen; Kubernetes'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    budget: Record
    pods: tuple[Record, ...]
    """Those that it selects and that are not over."""
    replicas: int
    """As many as their controllers want; a pod without one counts for itself."""
    now: datetime


def status(observed: Observed) -> Json:
    """The whole status, as Kubernetes counts it."""
    spec: Json = observed.budget.get("spec") or {}
    expected, desired = _wanted(spec, len(observed.pods), observed.replicas)
    going = _going(observed)
    ready = [p for p in observed.pods if podstate.is_ready(p) and not p.meta.deleting]
    healthy = sum(pod.meta.name not in going for pod in ready)
    allowed = max(0, healthy - desired) if expected else 0
    return {
        "observedGeneration": observed.budget.meta.generation,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "disruptedPods": going or None,
        "conditions": [_condition(observed, allowed > 0)],
    }


def _wanted(spec: Json, pods: int, replicas: int) -> tuple[int, int]:
    """How many pods there should be, and how many of them have to be healthy."""
    if spec.get("maxUnavailable") is not None:
        return replicas, max(0, replicas - _share(spec["maxUnavailable"], replicas))
    least = spec.get("minAvailable")
    if isinstance(least, int):
        return pods, least
    return replicas, _share(least or 0, replicas)


def _share(value: object, whole: int) -> int:
    text = str(value)
    return math.ceil(int(text[:-1]) * whole / 100) if text.endswith("%") else int(text)


def _going(observed: Observed) -> dict[str, str]:
    """Pods whose eviction was granted and which are still there."""
    noted: Json = observed.budget.get("status", "disruptedPods") or {}
    here = {pod.meta.name for pod in observed.pods if not pod.meta.deleting}
    oldest = observed.now - timedelta(seconds=EVICTION_SECONDS)
    return {n: at for n, at in noted.items() if n in here and parse_rfc3339(at) > oldest}


def _condition(observed: Observed, allowed: bool) -> Json:
    said = "True" if allowed else "False"
    known = observed.budget.get("status", "conditions") or []
    before: Json = next((c for c in known if c["type"] == "DisruptionAllowed"), {})
    since = before.get("lastTransitionTime") if before.get("status") == said else None
    return {
        "type": "DisruptionAllowed",
        "status": said,
        "reason": "SufficientPods" if allowed else "InsufficientPods",
        "message": "",
        "observedGeneration": observed.budget.meta.generation,
        "lastTransitionTime": since or rfc3339(observed.now),
    }


@final
class Budgets:
    """The reconciler of PodDisruptionBudgets."""

    def __init__(self, manager: Manager) -> None:
        cache = manager.cache
        self._budgets: Store = cache.informer(PODDISRUPTIONBUDGETS).store
        self._pods: Store = cache.informer(PODS).store
        self._owners = {
            resource.kind: cache.informer(resource).store
            for resource in (DEPLOYMENTS, REPLICASETS, STATEFULSETS)
        }
        self._hands = Hands(manager.client, manager.recorder("controllermanager"))
        self._clock = manager.clock

    async def reconcile(self, key: ObjectKey) -> Result:
        budget = self._budgets.get(key)
        if budget is None or budget.meta.deleting:
            return Done()
        pods = [pod for pod in self._selected(budget) if not podstate.is_over(pod)]
        now, replicas = self._clock.wall(), self._replicas(pods)
        wanted = status(Observed(budget=budget, pods=tuple(pods), replicas=replicas, now=now))
        patch = status_patch(budget.get("status"), wanted)
        if patch is not None:
            if "disruptedPods" in patch["status"]:
                gone = (budget.get("status", "disruptedPods") or {}).keys()
                kept = wanted["disruptedPods"] or {}
                patch["status"]["disruptedPods"] = {name: kept.get(name) for name in gone}
            uid, version = budget.meta.uid, budget.meta.resource_version
            # An eviction that was granted meanwhile must not be forgotten.
            act = Patch(
                resource=PODDISRUPTIONBUDGETS,
                key=key,
                uid=uid,
                version=version,
                patch=patch,
                subresource="status",
            )
            await self._hands.do(budget, [act])
        return Again(EVICTION_SECONDS) if wanted["disruptedPods"] else Done()

    def _selected(self, budget: Record) -> list[Record]:
        selector = LabelSelector.of(budget.get("spec", "selector"))
        pods = self._pods.list(namespace=budget.meta.namespace)
        return [pod for pod in pods if selector.matches(pod.meta.labels)]

    def _replicas(self, pods: Iterable[Record]) -> int:
        found: dict[str, int] = {}
        for pod in pods:
            owner = self._top(pod)
            wanted = owner.get("spec", "replicas")
            found[owner.meta.uid] = int(wanted) if wanted is not None else 1
        return sum(found.values())

    def _top(self, record: Record) -> Record:
        """The controller of its controller, as far as there are such."""
        reference = record.meta.controller
        store = self._owners.get(reference.kind) if reference is not None else None
        if reference is None or store is None:
            return record
        owner = store.get(ObjectKey(record.meta.namespace, reference.name))
        return record if owner is None else self._top(owner)

    def budgets_of(self, pod: Record) -> Iterable[ObjectKey]:
        """The budgets that may select a pod."""
        return [one.key for one in self._budgets.list(namespace=pod.meta.namespace)]


def disruption_controller(manager: Manager) -> Controller:
    budgets = Budgets(manager)
    sources = [for_object(PODDISRUPTIONBUDGETS), mapped(PODS, budgets.budgets_of)]
    sources += [mapped(kind, budgets.budgets_of) for kind in (DEPLOYMENTS, STATEFULSETS)]
    sources.append(reads(REPLICASETS))
    return Controller("disruption", budgets, sources)
