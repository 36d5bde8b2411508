"""Taint eviction: pods that do not tolerate a NoExecute taint of their node have to go.

Those that tolerate it for a time go when that is over, counted from when the taint was first seen.
"""

from collections.abc import Iterable
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import mapped
from kaito.kube.clock import rfc3339
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import NODES, PODS
from kaito.simulator.controllers import podstate
from kaito.simulator.controllers.hands import Action, Delete, Hands, Note, Patch, Tell
from kaito.simulator.controllers.podgc import NODE, node_names
from kaito.simulator.controllers.scheduling import tolerates


def patience(pod: Record, taints: Iterable[Json]) -> float | None:
    """Seconds that the pod may stay under these taints; None: for ever."""
    tolerations: list[Json] = pod.get("spec", "tolerations") or []
    times: list[float] = []
    for taint in taints:
        found = [one for one in tolerations if tolerates(one, taint)]
        if not found:
            return 0.0
        limits = [one.get("tolerationSeconds") for one in found]
        times += [max(0.0, float(limit)) for limit in limits if limit is not None]
    return min(times, default=None)


def evicted(pod: Record, now: str) -> list[Action]:
    """Say why, then delete it as anybody would: its containers get their grace period."""
    disruption: Json = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastProbeTime": None,
        "lastTransitionTime": now,
    }
    others = [c for c in pod.get("status", "conditions") or () if c["type"] != disruption["type"]]
    patch: Json = {"status": {"conditions": [*others, disruption]}}
    note = Note(
        reason="TaintManagerEviction",
        message=f"Marking for deletion Pod {pod.meta.namespace}/{pod.meta.name}",
    )
    key, uid = pod.key, pod.meta.uid
    return [
        Tell(note=note),
        Patch(resource=PODS, key=key, uid=uid, patch=patch, subresource="status"),
        Delete(resource=PODS, key=key, uid=uid),
    ]


@final
class TaintEviction:
    """The reconciler of pods."""

    def __init__(self, manager: Manager) -> None:
        self._nodes = manager.cache.informer(NODES).store
        self._pods = manager.cache.informer(PODS, indexes={NODE: node_names}).store
        self._hands = Hands(manager.client, manager.recorder("taint-eviction-controller"))
        self._clock = manager.clock
        self._since: dict[ObjectKey, float] = {}

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = self._pods.get(key)
        wait = None if pod is None else self._wait(pod)
        if pod is None or wait is None:
            self._since.pop(key, None)
            return Done()
        now = self._clock.monotonic()
        left = self._since.setdefault(key, now) + wait - now
        if left > 0:
            return Again(left)
        await self._hands.do(pod, evicted(pod, rfc3339(self._clock.wall())))
        return Done()

    def _wait(self, pod: Record) -> float | None:
        node = self._nodes.get(ObjectKey("", podstate.node_of(pod)))
        if node is None or pod.meta.deleting or podstate.is_over(pod):
            return None
        return patience(pod, _taints(node))

    def concerned(self, pod: Record) -> Iterable[ObjectKey]:
        """The pod, if its node keeps anybody away: most do not, and most changes are no matter."""
        node = self._nodes.get(ObjectKey("", podstate.node_of(pod)))
        if pod.key in self._since or (node is not None and _taints(node)):
            yield pod.key

    def pods_on(self, node: Record) -> Iterable[ObjectKey]:
        """The pods of a node that keeps anybody away."""
        if _taints(node):
            yield from (pod.key for pod in self._pods.by_index(NODE, node.meta.name))


def _taints(node: Record) -> list[Json]:
    return [one for one in node.get("spec", "taints") or () if one.get("effect") == "NoExecute"]


def taint_eviction_controller(manager: Manager) -> Controller:
    eviction = TaintEviction(manager)
    return Controller(
        "taint-eviction",
        eviction,
        [mapped(PODS, eviction.concerned), mapped(NODES, eviction.pods_on)],
    )
