"""kube-scheduler's part: binds pods to nodes, and says why where it cannot."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from kaito.framework.consistent import ConsistentClient
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.events import Deleted, Event
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.recorder import Recorder
from kaito.framework.sources import for_object, mapped, reads
from kaito.kube.client import Client
from kaito.kube.clock import Clock, rfc3339
from kaito.kube.errors import ApiError, NotFound
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import NAMESPACES, NODES, PODS, PVCS
from kaito.simulator.controllers import podstate
from kaito.simulator.controllers.affinity import Neighbours, Term, neighbours, terms_of
from kaito.simulator.controllers.ranking import Ranking
from kaito.simulator.controllers.scheduling import (
    SCHEDULER,
    Chosen,
    Filter,
    NodeFacts,
    Nowhere,
    PodNeeds,
    choose,
    enough,
    facts_of,
    helps,
    needs_of,
    without_volume,
)

RETRY_SECONDS = 300.0
"""kube-scheduler looks at unschedulable pods again after five minutes, whatever happens."""
CONCURRENCY = 16
"""Bindings on their way at once; decisions are taken one after the other anyway."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A pod that found no node."""

    needs: PodNeeds
    filters: frozenset[Filter]


@final
class Scheduler:
    """Keeps what every node has left, and decides pod by pod."""

    def __init__(
        self,
        *,
        cache_pods: "Pods",
        client: ConsistentClient,
        live: Client,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._view = cache_pods
        self._client = client
        self._live = live
        self._recorder = recorder
        self._clock = clock
        self._start = 0

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = self._view.pod(key)
        if pod is None or not _to_schedule(pod):
            self._view.forget(key)
            return Done()
        needs = self._view.needs(pod)
        verdict = self._decide(pod, needs)
        if isinstance(verdict, Nowhere):
            self._view.wait(key, needs, verdict.filters)
            await self._refuse(pod, verdict.message)
            return Again(RETRY_SECONDS)
        # From here on the room is taken, though the server does not know yet.
        self._view.assume(pod, verdict.node, needs)
        try:
            await self._bind(pod, verdict.node)
        except ApiError:
            self._view.release(pod.meta.uid)
            raise
        self._view.forget(key)
        return Done()

    def _decide(self, pod: Record, needs: PodNeeds) -> Chosen | Nowhere:
        claim = self._view.missing_claim(pod)
        if claim is not None:
            message = without_volume(claim, len(self._view.nodes))
            return Nowhere(message=message, filters=frozenset({Filter.VOLUME}))
        count = len(self._view.nodes)
        self._start = (self._start + enough(count)) % max(1, count)
        return self._view.choose(pod, needs, self._start)

    async def _bind(self, pod: Record, node: str) -> None:
        binding: Json = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": pod.meta.name,
                "namespace": pod.meta.namespace,
                "uid": pod.meta.uid,
            },
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._live.create(PODS, binding, subresource="binding")
        except NotFound:
            self._view.release(pod.meta.uid)
            return
        self._recorder.event(
            pod,
            type="Normal",
            reason="Scheduled",
            message=f"Successfully assigned {pod.key} to {node}",
            action="Binding",
        )

    async def _refuse(self, pod: Record, message: str) -> None:
        conditions = pod.get("status", "conditions") or []
        before = next((c for c in conditions if c["type"] == "PodScheduled"), None)
        if before is not None and before.get("message") == message:
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": (before or {}).get("lastTransitionTime")
            or rfc3339(self._clock.wall()),
            "observedGeneration": pod.meta.generation,
        }
        others = [c for c in conditions if c["type"] != "PodScheduled"]
        try:
            await self._client.merge_patch(
                PODS,
                pod.key,
                {"status": {"conditions": [*others, condition]}},
                uid=pod.meta.uid,
                subresource="status",
            )
        except NotFound:
            return
        self._recorder.event(
            pod, type="Warning", reason="FailedScheduling", message=message, action="Scheduling"
        )


def _to_schedule(pod: Record) -> bool:
    spec: Json = pod.get("spec") or {}
    return (
        not spec.get("nodeName")
        and not pod.meta.deleting
        and not podstate.is_over(pod)
        and spec.get("schedulerName", SCHEDULER) == SCHEDULER
        and not spec.get("schedulingGates")
    )


@final
class Pods:
    """What the scheduler knows: nodes, what is used of them, and who waits for which change."""

    def __init__(self, manager: Manager) -> None:
        self._store = manager.cache.informer(PODS).store
        self._claims = manager.cache.informer(PVCS).store
        self._namespaces = manager.cache.informer(NAMESPACES).store
        self.nodes: dict[str, NodeFacts] = {}
        self._ranking = Ranking()
        self._ordered = False
        """Whether the ranking knows the nodes as they are."""
        self.used: dict[str, Counter[str]] = {}
        self._taken: dict[str, tuple[str, PodNeeds]] = {}
        self._repelling: dict[str, tuple[Term, ...]] = {}
        """Required anti-affinity of pods that have a node, by uid."""
        self._waiting: dict[ObjectKey, _Waiting] = {}
        self._needs: dict[str, PodNeeds] = {}
        manager.cache.informer(PODS).subscribe(self._pod_changed, "scheduler")
        manager.cache.informer(NODES).subscribe(self._node_changed, "scheduler")

    def pod(self, key: ObjectKey) -> Record | None:
        return self._store.get(key)

    def choose(self, pod: Record, needs: PodNeeds, start: int) -> Chosen | Nowhere:
        """The node for a pod. `start`: where the search begins, among the nodes by name."""
        if needs.neighbourly or self._repelling:
            nodes = [self.nodes[name] for name in sorted(self.nodes)]
            around = self._around(pod, needs)
            return choose(needs, nodes, self.used, start=start, also=around.refuse)
        if not self._ordered:
            self._ranking.order([self.nodes[name] for name in sorted(self.nodes)])
            self._ordered = True
        return self._ranking.choose(needs, self.used, start=start)

    def needs(self, pod: Record) -> PodNeeds:
        known = self._needs.get(pod.meta.uid)
        if known is None:
            known = self._needs[pod.meta.uid] = self._ranking.shared(needs_of(pod))
        return known

    def _around(self, pod: Record, needs: PodNeeds) -> Neighbours:
        """What the other pods mean for this one."""
        others = self._store.list() if needs.neighbourly else ()
        placed = (
            (other, self.nodes[taken[0]])
            for other in others
            if (taken := self._taken.get(other.meta.uid)) and taken[0] in self.nodes
        )
        repelling = (
            (terms, self.nodes[node])
            for uid, terms in self._repelling.items()
            if (node := self._taken[uid][0]) in self.nodes
        )
        return neighbours(pod, placed, repelling, self._labels_of)

    def _labels_of(self, namespace: str) -> Mapping[str, str]:
        found = self._namespaces.get(ObjectKey("", namespace))
        return {} if found is None else found.meta.labels

    def missing_claim(self, pod: Record) -> str | None:
        for volume in pod.get("spec", "volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim and self._claims.get(ObjectKey(pod.meta.namespace, claim)) is None:
                return str(claim)
        return None

    # ---- who waits

    def wait(self, key: ObjectKey, needs: PodNeeds, filters: frozenset[Filter]) -> None:
        self._waiting[key] = _Waiting(needs, filters)

    def forget(self, key: ObjectKey) -> None:
        self._waiting.pop(key, None)

    def helped_by_node(self, node: Record) -> Iterable[ObjectKey]:
        """The waiting pods for which this node, as it is now, may make a difference."""
        if not self._waiting:
            return ()
        facts = facts_of(node)
        used = self.used.get(facts.name, Counter())
        return [k for k, w in self._waiting.items() if helps(w.filters, w.needs, facts, used)]

    def helped_by_pod(self, pod: Record) -> Iterable[ObjectKey]:
        """A pod that ended or goes makes room for those that wait for resources; that one came or
        went may matter to those that look at their neighbours."""
        if not self._waiting:
            return ()
        helped = set()
        if podstate.is_over(pod) or pod.meta.deleting:
            helped = {Filter.RESOURCES, Filter.NEIGHBOURS}
        elif pod.get("spec", "nodeName"):
            helped = {Filter.NEIGHBOURS}
        return [k for k, w in self._waiting.items() if not helped.isdisjoint(w.filters)]

    def helped_by_claim(self, claim: Record) -> Iterable[ObjectKey]:
        return [
            key
            for key, waiting in self._waiting.items()
            if key.namespace == claim.meta.namespace and Filter.VOLUME in waiting.filters
        ]

    # ---- what is used

    def assume(self, pod: Record, node: str, needs: PodNeeds) -> None:
        """The pod takes its room now."""
        self.release(pod.meta.uid)
        self._taken[pod.meta.uid] = (node, needs)
        if needs.neighbourly and (terms := terms_of(pod, "podAntiAffinity")):
            self._repelling[pod.meta.uid] = terms
        self.used.setdefault(node, Counter()).update(needs.requests)
        self._ranking.changed(node)

    def release(self, uid: str) -> None:
        taken = self._taken.pop(uid, None)
        self._repelling.pop(uid, None)
        if taken is not None:
            self.used[taken[0]].subtract(taken[1].requests)
            self._ranking.changed(taken[0])

    def _pod_changed(self, event: Event) -> None:
        pod = event.record
        if isinstance(event, Deleted) or podstate.is_over(pod):
            self.release(pod.meta.uid)
            self._needs.pop(pod.meta.uid, None)
            self.forget(pod.key)
            return
        node = podstate.node_of(pod)
        if node and self._taken.get(pod.meta.uid, ("",))[0] != node:
            self.assume(pod, node, self.needs(pod))
            self.forget(pod.key)

    def _node_changed(self, event: Event) -> None:
        name = event.record.meta.name
        if isinstance(event, Deleted):
            self.nodes.pop(name, None)
            self._ordered = False
            return
        facts = facts_of(event.record)
        if facts != self.nodes.get(name):
            self.nodes[name] = facts
            self._ordered = False


def _unscheduled(event: Event) -> bool:
    return not podstate.node_of(event.record)


def scheduler_controller(manager: Manager) -> Controller:
    """The scheduler as a controller of pods."""
    view = Pods(manager)
    scheduler = Scheduler(
        cache_pods=view,
        client=manager.client,
        live=manager.live,
        recorder=manager.recorder(SCHEDULER),
        clock=manager.clock,
    )
    sources = [
        for_object(PODS, predicate=_unscheduled),
        mapped(PODS, view.helped_by_pod),
        mapped(NODES, view.helped_by_node),
        mapped(PVCS, view.helped_by_claim),
        reads(NAMESPACES),
    ]
    return Controller("scheduler", scheduler, sources, ControllerOptions(concurrency=CONCURRENCY))
