"""Applies the namespaced children of a Workspace, one by one, each only if it is not as wanted."""

from collections.abc import Iterable
from typing import final

from kaito.api.names import Annotation, Reason
from kaito.controllers.workspace.machines import name_conflict
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Step, waiting
from kaito.controllers.workspace.takeover import FIELD_MANAGERS
from kaito.controllers.workspace.target import Revision, Target
from kaito.controllers.workspace.workload import outdated, stamped
from kaito.framework.applying import (
    ApplyOptions,
    Created,
    NameConflict,
    Outcome,
    Terminating,
    Updated,
    ensure,
)
from kaito.framework.consistent import ConsistentClient
from kaito.framework.recorder import Recorder
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, Record, Resource, key_of
from kaito.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    JOBS,
    SERVICES,
    STATEFULSETS,
)
from kaito.manifests.render import WORKLOADS
from kaito.manifests.revision import HISTORY_LIMIT, controller_revision

_BY_KIND = {
    resource.kind: resource
    for resource in (CONFIGMAPS, CONTROLLERREVISIONS, DEPLOYMENTS, JOBS, SERVICES, STATEFULSETS)
}


@final
class Children:
    """Applies what a revision stands for."""

    def __init__(self, client: ConsistentClient, recorder: Recorder, field_manager: str) -> None:
        self._client = client
        self._recorder = recorder
        self._field_manager = field_manager

    async def ensure(self, observed: Observed, target: Target) -> Step | None:
        """Record the revision, make way for its workload, apply it. A step if a name is taken."""
        revision = target.revision
        record = controller_revision(
            target.identity, revision.wanted, revision.rendered, revision.number
        )
        conflict = await self._apply_all(observed, [record])
        if conflict is not None:
            return conflict
        await self._prune(observed)
        if await self._make_way(observed, revision):
            return None
        children = [self._stamp(child, revision) for child in revision.rendered.first]
        return await self._apply_all(observed, children)

    async def serve(self, observed: Observed, revision: Revision) -> Step | None:
        """Apply what serves the tuned adapter."""
        children = [self._stamp(child, revision) for child in revision.rendered.served]
        return await self._apply_all(observed, children)

    def _stamp(self, child: Json, revision: Revision) -> Json:
        return stamped(child, revision.number) if child["kind"] in WORKLOADS else child

    async def _make_way(self, observed: Observed, revision: Revision) -> bool:
        """Delete what has to go before this revision's workload can be made.

        True while it is still going; its deletion brings the next reconcile.
        """
        going = outdated(observed, revision)
        for resource, record in going:
            await self._delete(resource, record)
        return bool(going)

    async def _apply_all(self, observed: Observed, children: Iterable[Json]) -> Step | None:
        options = ApplyOptions(hash_annotation=Annotation.APPLIED, adopt_managers=FIELD_MANAGERS)
        for child in children:
            resource = _BY_KIND[child["kind"]]
            outcome = await ensure(
                self._client,
                resource,
                child,
                owner_uid=observed.uid,
                field_manager=self._field_manager,
                options=options,
            )
            if isinstance(outcome, NameConflict):
                return name_conflict(resource.kind, key_of(child), outcome.owner)
            if isinstance(outcome, Terminating):
                return waiting(
                    Reason.WORKLOAD_STARTING,
                    f"an earlier {resource.kind} {key_of(child)} is still being deleted",
                )
            if resource.kind in WORKLOADS:
                self._tell(observed.record, resource, outcome)
        return None

    def _tell(self, workspace: Record, resource: Resource, outcome: Outcome) -> None:
        what = f"{resource.kind} {workspace.meta.name}"
        match outcome:
            case Created():
                reason, message = Reason.WORKLOAD_CREATED, f"created {what}"
            case Updated(adopted=True):
                reason, message = Reason.TAKEN_OVER, f"took over {what}, which KAITO made"
            case _:
                return
        self._recorder.event(
            workspace, type="Normal", reason=reason, action="Deploy", message=message
        )

    async def _prune(self, observed: Observed) -> None:
        """Keep the newest revisions; observed ones are ascending by number."""
        for record in observed.revisions[: max(0, len(observed.revisions) - HISTORY_LIMIT)]:
            await self._delete(CONTROLLERREVISIONS, record)

    async def _delete(self, resource: Resource, record: Record) -> None:
        if record.meta.deleting:
            return
        try:
            await self._client.delete(resource, record.key, uid=record.meta.uid)
        except NotFound:
            return
