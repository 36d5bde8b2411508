"""Pod garbage collection: pods of Nodes that are gone are removed, nobody else would.

A pod whose Node is missing stays for the quarantine, then its object is removed without waiting
for a kubelet that will never answer. It first becomes Failed, so that its owner counts it.
"""

from collections.abc import Iterable
from typing import final

from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, mapped
from kaito.kube.clock import Clock, rfc3339
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import NODES, PODS
from kaito.simulator.controllers import podstate
from kaito.simulator.controllers.hands import Action, Delete, Hands, Patch

QUARANTINE = 40.0
"""Seconds that a Node may be missing before its pods count as lost; kube-controller-manager's."""
NODE = "node"
"""The index of pods by their node's name."""


def node_names(pod: Record) -> Iterable[str]:
    """The name of the node that a pod is bound to."""
    name = podstate.node_of(pod)
    if name:
        yield name


def decide(pod: Record, now: str) -> list[Action]:
    """Remove a pod whose Node is gone."""
    actions: list[Action] = []
    if not podstate.is_over(pod):
        disruption: Json = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastProbeTime": None,
            "lastTransitionTime": now,
        }
        conditions = pod.get("status", "conditions") or []
        others = [c for c in conditions if c["type"] != "DisruptionTarget"]
        status = {"phase": "Failed", "conditions": [*others, disruption]}
        actions.append(
            Patch(
                resource=PODS,
                key=pod.key,
                uid=pod.meta.uid,
                patch={"status": status},
                subresource="status",
            )
        )
    return [*actions, Delete(resource=PODS, key=pod.key, uid=pod.meta.uid, grace=0)]


@final
class LostPods:
    """The reconciler of Node names."""

    def __init__(self, manager: Manager, clock: Clock) -> None:
        self._nodes = manager.cache.informer(NODES).store
        self._pods = manager.cache.informer(PODS, indexes={NODE: node_names}).store
        self._hands = Hands(manager.client, manager.recorder("pod-garbage-collector"))
        self._clock = clock
        self._missing: dict[str, float] = {}

    async def reconcile(self, key: ObjectKey) -> Result:
        pods = self._pods.by_index(NODE, key.name)
        if self._nodes.get(key) is not None or not pods:
            self._missing.pop(key.name, None)
            return Done()
        now = self._clock.monotonic()
        left = self._missing.setdefault(key.name, now) + QUARANTINE - now
        if left > 0:
            return Again(left)
        for pod in pods:
            await self._hands.do(pod, decide(pod, rfc3339(self._clock.wall())))
        return Done()

    def node_of(self, pod: Record) -> Iterable[ObjectKey]:
        """The pod's Node, if it is missing."""
        for name in node_names(pod):
            if self._nodes.get(ObjectKey("", name)) is None:
                yield ObjectKey("", name)


def podgc_controller(manager: Manager) -> Controller:
    lost = LostPods(manager, manager.clock)
    return Controller("podgc", lost, [for_object(NODES), mapped(PODS, lost.node_of)])
