"""The end of a Workspace: its workload, then its machines, then its finalizer, in that order.

The finalizer stays until a read that cannot be stale shows no claim of the Workspace's UID: a
Workspace that is gone has nothing left that costs money.
"""

from typing import final

from kaito.api.names import Annotation, ConditionType, Finalizer, Label, Reason
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.controllers.workspace.observed import Observed
from kaito.framework.conditions import Condition, set_conditions
from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import Done, Result
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, Record, Resource
from kaito.kube.resources import DEPLOYMENTS, JOBS, STATEFULSETS


@final
class Deletion:
    """Takes a Workspace that is being deleted one step further."""

    def __init__(
        self, client: ConsistentClient, live: Client, clock: Clock, field_manager: str
    ) -> None:
        self._client = client
        self._live = live
        self._clock = clock
        self._field_manager = field_manager

    async def advance(self, observed: Observed) -> Result:
        """Delete what is left; drop the finalizer once nothing is."""
        if Finalizer.WORKSPACE not in observed.record.meta.finalizers:
            return Done()
        await self._delete(STATEFULSETS, observed.stateful_set)
        await self._delete(DEPLOYMENTS, observed.deployment)
        await self._delete(JOBS, observed.job)
        for claim in observed.living_claims:
            await self._delete(NODECLAIMS, claim)
        if observed.claims:
            await self._tell(observed)
            return Done()
        if not await self._provably_gone(observed):
            return Done()
        await self._release(observed)
        return Done()

    async def _delete(self, resource: Resource, record: Record | None) -> None:
        if record is None or record.meta.deleting:
            return
        try:
            await self._client.delete(resource, record.key, uid=record.meta.uid)
        except NotFound:
            return

    async def _tell(self, observed: Observed) -> None:
        """One condition, once: what is still there is in the message of the first write."""
        names = ", ".join(claim.meta.name for claim in observed.claims)
        condition = Condition(
            type=ConditionType.WORKSPACE_DELETING,
            status="True",
            reason=Reason.DELETED,
            message=f"waiting for machines to be given back: {names}",
            observed_generation=observed.record.meta.generation,
        )
        existing = (observed.record.get("status") or {}).get("conditions") or []
        if any(c["type"] == condition.type for c in existing):
            return
        status = {"conditions": set_conditions(existing, [condition], self._clock.wall())}
        await self._patch(observed, {"status": status}, subresource="status")

    async def _provably_gone(self, observed: Observed) -> bool:
        """A consistent read, past the cache, of the claims that carry this Workspace's labels."""
        key = observed.key
        selector = f"{Label.WORKSPACE}={key.name},{Label.WORKSPACE_NAMESPACE}={key.namespace}"
        found = await self._live.list(NODECLAIMS, label_selector=selector)
        return not any(
            claim.meta.annotations.get(Annotation.WORKSPACE_UID, observed.uid) == observed.uid
            for claim in found.items
        )

    async def _release(self, observed: Observed) -> None:
        kept = [f for f in observed.record.meta.finalizers if f != Finalizer.WORKSPACE]
        try:
            await self._patch(observed, {"metadata": {"finalizers": kept or None}})
        except NotFound:
            return

    async def _patch(self, observed: Observed, patch: Json, *, subresource: str = "") -> None:
        meta = observed.record.meta
        guard = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        body = {**patch, "metadata": {**patch.get("metadata", {}), **guard}}
        await self._client.merge_patch(
            WORKSPACES,
            observed.key,
            body,
            field_manager=self._field_manager,
            subresource=subresource,
        )
