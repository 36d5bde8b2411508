"""The StatefulSet controller: pods with ordinals, in order or at once, replaced from the top.

One pass looks at everything and returns at most what may happen before the next look: with
`OrderedReady` one pod at a time, with `Parallel` all that is missing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Done, Result
from kaito.framework.sources import for_object, owned_by, reads
from kaito.framework.store import Store
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import CONTROLLERREVISIONS, PODS, PVCS, STATEFULSETS
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
from kaito.simulator.controllers.revisions import History, Revision, history_of, superfluous

REVISION_LABEL = "controller-revision-hash"
POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A StatefulSet and what belongs to it."""

    stateful_set: Record
    pods: tuple[Record, ...]
    revisions: tuple[Record, ...]
    claims: frozenset[str]
    """Names of the PersistentVolumeClaims in the namespace."""


def decide(observed: Observed) -> list[Action]:
    """What to do now."""
    if observed.stateful_set.meta.deleting:
        return []
    history = history_of(observed.stateful_set, observed.revisions)
    pass_ = _Pass(observed, history)
    actions: list[Action] = [*history.actions, *pass_.actions()]
    status = status_patch(observed.stateful_set.get("status"), pass_.status())
    if status is not None:
        key, uid = observed.stateful_set.key, observed.stateful_set.meta.uid
        actions.append(
            Patch(resource=STATEFULSETS, key=key, uid=uid, patch=status, subresource="status")
        )
    actions += _history_actions(observed, history)
    return actions


def _history_actions(observed: Observed, history: History) -> list[Delete]:
    used = {history.current.name, history.update.name}
    used |= {pod.meta.labels.get(REVISION_LABEL, "") for pod in observed.pods}
    limit = observed.stateful_set.get("spec", "revisionHistoryLimit")
    return superfluous(observed.revisions, frozenset(used), 10 if limit is None else limit)


def ordinal_of(pod: Record, name: str) -> int | None:
    """The number of `name-<number>`."""
    found = re.fullmatch(rf"{re.escape(name)}-(\d+)", pod.meta.name)
    return int(found[1]) if found else None


@final
class _Pass:
    """One look at one StatefulSet."""

    def __init__(self, observed: Observed, history: History) -> None:
        self._set = observed.stateful_set
        self._spec: Json = self._set.get("spec") or {}
        self._history = history
        self._claims = observed.claims
        self._pods = {
            number: pod
            for pod in observed.pods
            if (number := ordinal_of(pod, self._set.meta.name)) is not None
        }
        start = int((self._spec.get("ordinals") or {}).get("start") or 0)
        replicas = self._spec.get("replicas")
        self._ordinals = range(start, start + (1 if replicas is None else replicas))
        self._ordered = self._spec.get("podManagementPolicy", "OrderedReady") != "Parallel"
        self._created: list[Revision] = []

    # ---- pods

    def actions(self) -> list[Action]:
        found: list[Action] = []
        for step in self._steps():
            if step is None:
                return found
            found.append(step)
        return found

    def _steps(self) -> Iterator[Action | None]:
        """Actions in order; None: nothing further may happen now."""
        for number in self._ordinals:
            yield from self._fill(number)
        condemned = sorted(self._pods.keys() - set(self._ordinals), reverse=True)
        for number in condemned:
            yield from self._condemn(number)
        yield from self._roll()

    def _fill(self, number: int) -> Iterator[Action | None]:
        pod = self._pods.get(number)
        if pod is None:
            yield from self._create(number)
            if self._ordered:
                yield None
        elif podstate.is_over(pod) and not pod.meta.deleting:
            yield self._delete(pod)
            if self._ordered:
                yield None
        elif self._ordered and (pod.meta.deleting or not podstate.is_running_and_ready(pod)):
            yield None

    def _condemn(self, number: int) -> Iterator[Action | None]:
        pod = self._pods[number]
        if not pod.meta.deleting:
            yield self._delete(pod)
        if self._ordered:
            yield None

    def _roll(self) -> Iterator[Action | None]:
        """From the highest ordinal down to the partition, one at a time."""
        strategy = self._spec.get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        for number in reversed(self._ordinals):
            pod = self._pods.get(number)
            if number < self._ordinals.start + partition or pod is None:
                return
            if pod.meta.labels.get(REVISION_LABEL) != self._history.update.name:
                if not pod.meta.deleting:
                    yield self._delete(pod)
                return
            if pod.meta.deleting or not podstate.is_running_and_ready(pod):
                return

    def _revision_for(self, number: int) -> Revision:
        strategy = self._spec.get("updateStrategy") or {}
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        old = number < self._ordinals.start + partition
        return self._history.current if old else self._history.update

    def _create(self, number: int) -> Iterator[Action]:
        revision = self._revision_for(number)
        name = f"{self._set.meta.name}-{number}"
        yield from self._missing_claims(name)
        self._created.append(revision)
        message = f"Create Pod {name} in StatefulSet {self._set.meta.name} successful"
        yield Create(
            resource=PODS,
            obj=self._pod(name, number, revision),
            done=Note(reason="SuccessfulCreate", message=message),
            failed="FailedCreate",
        )

    def _pod(self, name: str, number: int, revision: Revision) -> Json:
        labels = {
            REVISION_LABEL: revision.name,
            POD_NAME_LABEL: name,
            INDEX_LABEL: str(number),
        }
        made = podstate.pod_from(
            revision.template,
            self._set,
            name=name,
            generateName=f"{self._set.meta.name}-",
            labels=labels,
        )
        spec = made["spec"]
        spec |= {"hostname": name, "subdomain": self._spec.get("serviceName") or ""}
        if not spec["subdomain"]:
            del spec["subdomain"]
        claims = [t["metadata"]["name"] for t in self._spec.get("volumeClaimTemplates") or ()]
        others = [v for v in spec.get("volumes") or () if v["name"] not in claims]
        mounted = [
            {"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}"}}
            for claim in claims
        ]
        if mounted or others:
            spec["volumes"] = [*mounted, *others]
        return made

    def _missing_claims(self, pod: str) -> Iterator[Action]:
        for template in self._spec.get("volumeClaimTemplates") or ():
            name = f"{template['metadata']['name']}-{pod}"
            if name in self._claims:
                continue
            labels = (self._spec.get("selector") or {}).get("matchLabels") or {}
            metadata: Json = {
                "name": name,
                "namespace": self._set.meta.namespace,
                "labels": {**(template["metadata"].get("labels") or {}), **labels},
            }
            policy = self._spec.get("persistentVolumeClaimRetentionPolicy") or {}
            if policy.get("whenDeleted") == "Delete":
                metadata["ownerReferences"] = [podstate.owner_reference(self._set)]
            yield Create(resource=PVCS, obj={"metadata": metadata, "spec": template["spec"]})

    def _delete(self, pod: Record) -> Delete:
        message = f"Delete Pod {pod.meta.name} in StatefulSet {self._set.meta.name} successful"
        note = Note(reason="SuccessfulDelete", message=message)
        return Delete(resource=PODS, key=pod.key, uid=pod.meta.uid, done=note)

    # ---- status

    def status(self) -> Json:
        """As it is after this pass; a count of zero is absent, as Go leaves it out."""
        update, current = self._history.update.name, self._history.current.name
        pods = [pod for pod in self._pods.values() if podstate.phase(pod)]
        living = [pod for pod in pods if not pod.meta.deleting]
        total = len(pods) + len(self._created)
        ready = sum(map(podstate.is_running_and_ready, pods))
        updated = self._count(living, update)
        if updated == total == ready == len(self._ordinals):
            # The rollout is complete.
            current = update
        return {
            "observedGeneration": self._set.meta.generation,
            "replicas": total,
            "readyReplicas": ready or None,
            "availableReplicas": ready,
            "currentReplicas": self._count(living, current) or None,
            "updatedReplicas": updated or None,
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
        }

    def _count(self, pods: Sequence[Record], revision: str) -> int:
        there = sum(pod.meta.labels.get(REVISION_LABEL) == revision for pod in pods)
        return there + sum(made.name == revision for made in self._created)


@final
class StatefulSets:
    """Carries out what `decide` says."""

    def __init__(self, manager: Manager) -> None:
        self._sets: Store = manager.cache.informer(STATEFULSETS).store
        self._claims: Store = manager.cache.informer(PVCS).store
        self._pods = Dependents(manager.cache, PODS)
        self._revisions = Dependents(manager.cache, CONTROLLERREVISIONS)
        self._hands = Hands(manager.client, manager.recorder("statefulset-controller"))

    async def reconcile(self, key: ObjectKey) -> Result:
        stateful_set = self._sets.get(key)
        if stateful_set is None:
            return Done()
        await self._hands.do(stateful_set, self._adoptions(stateful_set))
        await self._hands.do(stateful_set, decide(self._observe(stateful_set)))
        return Done()

    def _adoptions(self, stateful_set: Record) -> list[Patch]:
        name = stateful_set.meta.name
        pods = [
            self._pods.adoption(pod, stateful_set)
            for pod in self._pods.adoptable(stateful_set)
            if ordinal_of(pod, name) is not None
        ]
        return [*pods, *self._revisions.adoptions(stateful_set)]

    def _observe(self, stateful_set: Record) -> Observed:
        claims: list[Record] = []
        if stateful_set.get("spec", "volumeClaimTemplates"):
            claims = self._claims.list(namespace=stateful_set.meta.namespace)
        return Observed(
            stateful_set=stateful_set,
            pods=tuple(self._pods.of(stateful_set)),
            revisions=tuple(self._revisions.of(stateful_set)),
            claims=frozenset(claim.meta.name for claim in claims),
        )


def statefulset_controller(manager: Manager) -> Controller:
    return Controller(
        "statefulset",
        StatefulSets(manager),
        [
            for_object(STATEFULSETS),
            owned_by(PODS, STATEFULSETS),
            owned_by(CONTROLLERREVISIONS, STATEFULSETS),
            reads(PVCS),
        ],
    )
