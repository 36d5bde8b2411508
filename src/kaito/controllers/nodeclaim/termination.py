"""A claim that is being deleted takes its machine with it, and nothing is left behind.

    taint and drain the Node -> delete the machine, until the cloud says there is none
      -> delete the Node and let it go -> let the claim go

Every step is judged from what is there now, so it may begin anywhere: a machine that is still being
created, one that failed, one whose Node never joined, one that is long gone. The machine is found
by the claim's name, not by anything that a status would have to tell.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from kaito.api.names import Finalizer
from kaito.api.resources import NODECLAIMS
from kaito.controllers.nodeclaim import drain, words
from kaito.controllers.nodeclaim.drain import Pod, pod_of
from kaito.controllers.nodeclaim.launch import Events
from kaito.controllers.nodeclaim.observe import Node, Observed
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.pace import Pace
from kaito.controllers.nodeclaim.words import Reason
from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import Again, Done, Result, annotate
from kaito.kube.client import Client
from kaito.kube.clock import parse_rfc3339, rfc3339
from kaito.kube.errors import ApiError, Conflict, NotFound, TooManyRequests
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import NODES, PODS
from kaito.provisioner.cloud import Busy, Cloud, CloudError, Instance, Throttled, belongs_to

_DURATION: Final = re.compile(r"(\d+)([smh])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What termination works with."""

    client: ConsistentClient
    live: Client
    """For pods, which are not cached: they are read only while a Node is drained."""
    cloud: Cloud
    pace: Pace
    events: Events
    options: NodeClaimOptions
    field_manager: str


@final
class Terminator:
    """Moves one deleted claim one step towards its end."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def terminate(self, seen: Observed) -> Result:
        if not seen.intended:
            return Done()
        seen, deadline = await self._bounded(seen)
        if not await self._is_gone(seen):
            if (again := await self._drained(seen, deadline)) is not None:
                return again
            if (again := await self._ended(seen)) is not None:
                return again
        for node in seen.nodes:
            await self._let_go(node)
            self._tools.pace.forget(node.meta.uid)
        await self._release(seen)
        self._tools.pace.forget(seen.uid)
        return Done()

    # The bound

    async def _bounded(self, seen: Observed) -> tuple[Observed, datetime | None]:
        """Until when draining is polite; put on record, so that it is the same in every run."""
        noted = seen.claim.metadata.annotations.get(words.Annotation.TERMINATION_TIMESTAMP)
        if noted:
            return seen, _moment(noted)
        period = _period(seen.claim.spec.termination_grace_period)
        started = seen.claim.metadata.deletion_timestamp
        if period is None or started is None:
            return seen, None
        deadline = parse_rfc3339(started) + period
        annotations = {words.Annotation.TERMINATION_TIMESTAMP: rfc3339(deadline)}
        record = await self._tools.client.merge_patch(
            NODECLAIMS,
            seen.key,
            {"metadata": {"annotations": annotations}},
            uid=seen.uid,
            field_manager=self._tools.field_manager,
        )
        self._warn(
            seen, Reason.GRACE_PERIOD_EXPIRING, f"pods are deleted from {rfc3339(deadline)} on"
        )
        return seen.after(record), deadline

    async def _is_gone(self, seen: Observed) -> bool:
        """An unready Node may outlive its machine; then there are no pods to wait for."""
        if all(node.is_ready for node in seen.nodes):
            return False
        try:
            return await self._tools.cloud.get(seen.claim.metadata.name) is None
        except CloudError:
            return False

    # The pods

    async def _drained(self, seen: Observed, deadline: datetime | None) -> Result | None:
        """None when no Node holds pods that would have to leave."""
        waiting: list[Pod] = []
        for node in seen.nodes:
            waiting += await self._drain(seen, node, deadline)
        if not waiting:
            return None
        annotate(draining=len(waiting))
        return Again(self._tools.options.drain_poll)

    async def _drain(
        self, seen: Observed, node: Node, deadline: datetime | None
    ) -> tuple[Pod, ...]:
        pods = await self._tools.live.list(PODS, field_selector=f"spec.nodeName={node.meta.name}")
        step = drain.next_step([pod_of(record) for record in pods.items], seen.now, deadline)
        if not step.waiting:
            return ()
        await self._taint(node)
        refused = [pod for pod in step.evict if not await self._evict(pod)]
        for pod in step.delete:
            await self._delete_pod(pod, deadline, seen.now)
        blocked = refused + [pod for pod in step.waiting if pod.protected]
        message = drain.told(blocked)
        if blocked and self._tools.pace.is_news(node.meta.uid, message):
            self._tools.events.event(
                node.record,
                type="Warning",
                reason=Reason.FAILED_DRAINING,
                message=message,
                action="Drain",
            )
        return step.waiting

    async def _taint(self, node: Node) -> None:
        """No new pods, no new connections."""
        present: list[Json] = node.record.get("spec", "taints") or []
        if any(taint.get("key") == words.Taint.DISRUPTED for taint in present):
            return
        taint = {"key": words.Taint.DISRUPTED, "effect": "NoSchedule"}
        await self._tools.client.merge_patch(
            NODES,
            node.meta.key,
            {
                "metadata": {"labels": {words.Label.EXCLUDE_BALANCERS: "karpenter"}},
                "spec": {"taints": [*present, taint]},
            },
            resource_version=node.meta.resource_version,
            field_manager=self._tools.field_manager,
        )

    async def _evict(self, pod: Pod) -> bool:
        """False where a disruption budget forbids it now."""
        eviction: Json = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": pod.meta.namespace, "name": pod.meta.name},
            "deleteOptions": {"preconditions": {"uid": pod.meta.uid}},
        }
        try:
            await self._tools.live.create(PODS, eviction, subresource="eviction")
        except TooManyRequests:
            return False
        except (NotFound, Conflict):
            return True
        return True

    async def _delete_pod(self, pod: Pod, deadline: datetime | None, now: datetime) -> None:
        left = max(0, int((deadline - now).total_seconds())) if deadline else 0
        try:
            await self._tools.live.delete(
                PODS, pod.meta.key, uid=pod.meta.uid, grace_seconds=min(left, pod.grace.seconds)
            )
        except (NotFound, Conflict):
            return

    # The machine

    async def _ended(self, seen: Observed) -> Result | None:
        """None when the cloud has no machine of ours any more."""
        wait = self._tools.pace.remaining(seen.uid)
        if wait > 0 and seen.is_true(words.Condition.TERMINATING):
            return Again(wait)
        try:
            instance = await self._tools.cloud.get(seen.claim.metadata.name)
            if instance is None or not self._is_ours(seen, instance):
                return None
            instance = await self._tools.cloud.terminate(instance)
        except CloudError as error:
            return await self._not_yet(seen, error)
        if instance is None:
            return None
        await self._tell(seen, "the cloud is deleting the machine")
        return Again(self._tools.pace.wait(seen.uid, self._tools.options.poll))

    def _is_ours(self, seen: Observed, instance: Instance) -> bool:
        if belongs_to(instance, seen.uid, seen.born):
            return True
        self._warn(
            seen,
            Reason.NOT_OURS,
            f"machine {instance.name} was not made for this NodeClaim and is left alone",
        )
        return False

    async def _not_yet(self, seen: Observed, error: CloudError) -> Result:
        again = max(error.retry_after or 0.0, self._tools.options.poll)
        if not isinstance(error, Busy | Throttled):
            again = max(again, self._tools.options.retry_first)
            self._warn(seen, error.reason, error.told.partition(": ")[2])
        await self._tell(seen, error.told)
        return Again(self._tools.pace.wait(seen.uid, again))

    async def _tell(self, seen: Observed, message: str) -> None:
        """Once, and only if the server lets us: deletion never depends on a status."""
        if seen.is_true(words.Condition.TERMINATING):
            return
        status: Json = seen.record.field("status", dict) or {}
        conditions = [
            *(status.get("conditions") or []),
            {
                "type": words.Condition.TERMINATING,
                "status": "True",
                "reason": Reason.TERMINATING,
                "message": message,
                "lastTransitionTime": rfc3339(seen.now),
                "observedGeneration": seen.claim.metadata.generation,
            },
        ]
        try:
            await self._tools.client.merge_patch(
                NODECLAIMS,
                seen.key,
                {"status": {"conditions": conditions}},
                resource_version=seen.record.meta.resource_version,
                subresource="status",
                field_manager=self._tools.field_manager,
            )
        except ApiError as error:
            annotate(status_not_written=str(error))

    # The objects

    async def _let_go(self, node: Node) -> None:
        """Delete the Node, then give it up; its machine is gone."""
        if not node.meta.deleting:
            with suppress(NotFound):
                await self._tools.client.delete(NODES, node.meta.key, uid=node.meta.uid)
        await release_node(self._tools.client, node, self._tools.field_manager)

    async def _release(self, seen: Observed) -> None:
        """The last write: after it the claim is gone."""
        finalizers = [
            name for name in seen.claim.metadata.finalizers if name != Finalizer.TERMINATION
        ]
        try:
            await self._tools.client.merge_patch(
                NODECLAIMS,
                seen.key,
                {"metadata": {"finalizers": finalizers}},
                resource_version=seen.record.meta.resource_version,
                field_manager=self._tools.field_manager,
            )
        except NotFound:
            # Gone already: the cache has not told us yet, or somebody else took the finalizer.
            return

    def _warn(self, seen: Observed, reason: str, message: str) -> None:
        if self._tools.pace.is_news(seen.uid, message):
            self._tools.events.event(
                seen.record, type="Warning", reason=reason, message=message, action="Terminate"
            )


async def release_node(client: ConsistentClient, node: Node, field_manager: str) -> None:
    """Take our finalizer off a Node; one that is gone already needs nothing."""
    if Finalizer.TERMINATION not in node.meta.finalizers:
        return
    kept = [name for name in node.meta.finalizers if name != Finalizer.TERMINATION]
    key: ObjectKey = node.meta.key
    try:
        await client.merge_patch(
            NODES,
            key,
            {"metadata": {"finalizers": kept}},
            uid=node.meta.uid,
            field_manager=field_manager,
        )
    except NotFound:
        return


def _period(text: str | None) -> timedelta | None:
    """`1h30m`, as the CRD allows it; None for none."""
    parts = _DURATION.findall(text or "")
    if not parts:
        return None
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def _moment(text: str) -> datetime | None:
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None
