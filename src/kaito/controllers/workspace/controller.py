"""The workspace controller: observe → plan → render → apply → report.

One reconcile looks at one Workspace as it is now and takes it as far as it can go without waiting:

    deleted?        give back what it has, then let it go          deletion.py, orphans.py
    own it          the finalizer, before anything that costs
    target          the revision in force: recorded, taken         target.py, takeover.py
                    over from KAITO, or planned and rendered
    references      Secrets and ConfigMaps are there               references.py
    claims, nodes   machines, counted before any is asked for      machines.py
    workload        its children applied, and looked at            children.py, workload.py
    report          the truth, and the deepest cause               status.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import final

from kaito.api.names import Finalizer, Label, Reason
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.controllers.permissions import Permission
from kaito.controllers.workspace.children import Children
from kaito.controllers.workspace.claims import Claims
from kaito.controllers.workspace.deletion import Deletion
from kaito.controllers.workspace.machines import claims_step, nodes_step
from kaito.controllers.workspace.observe import OURS, CachedObserver, only_config_keys
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.orphans import Orphans
from kaito.controllers.workspace.progress import Progress, Step
from kaito.controllers.workspace.references import missing_config, missing_secret
from kaito.controllers.workspace.reporting import Reporter
from kaito.controllers.workspace.takeover import Takeover
from kaito.controllers.workspace.target import (
    Target,
    may_follow,
    recorded_revision,
    standing_revision,
    target_of,
    waiting_target,
)
from kaito.controllers.workspace.turns import RECHECK, Turns
from kaito.controllers.workspace.workload import (
    engine_step,
    job_started,
    training_step,
)
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, mapped, owned_by
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
)
from kaito.manifests.identity import Identity
from kaito.manifests.options import RenderOptions
from kaito.manifests.render import Rendered, render
from kaito.manifests.revision import inputs
from kaito.planning.plan import Facts, Plan, Provisioner, Refusal, plan

NAME = "workspace"
FIELD_MANAGER = "kaito-workspace"

SECRET_RECHECK = 15.0
"""Seconds until a missing Secret is looked for again; Secrets are not watched."""

PERMISSIONS = (
    Permission(WORKSPACES, "get", "list", "watch", "patch"),
    Permission(WORKSPACES, "patch", subresource="status"),
    Permission(WORKSPACES, "update", subresource="finalizers"),
    Permission(NODECLAIMS, "get", "list", "watch", "create", "delete"),
    Permission(NODES, "get", "list", "watch"),
    Permission(PODS, "get", "list", "watch"),
    Permission(SECRETS, "get"),
    Permission(CONFIGMAPS, "get", "list", "watch", "create", "patch"),
    Permission(SERVICES, "get", "list", "watch", "create", "patch"),
    Permission(STATEFULSETS, "get", "list", "watch", "create", "patch", "delete"),
    Permission(JOBS, "get", "list", "watch", "create", "patch", "delete"),
    Permission(DEPLOYMENTS, "get", "list", "watch", "create", "patch", "delete"),
    Permission(CONTROLLERREVISIONS, "get", "list", "watch", "create", "patch", "delete"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceOptions:
    """Settings of the controller."""

    render: RenderOptions = field(default_factory=RenderOptions)
    provisioner: Provisioner = "azure-gpu-provisioner"
    concurrency: int = 100
    updates: int = 1
    """Workspaces that are updated on request at the same time."""


def workspace_controller(manager: Manager, options: WorkspaceOptions) -> Controller:
    """The controller, its reads declared to the manager's cache."""
    observer = CachedObserver(manager.cache)

    def of_labels(record: Record) -> Iterable[ObjectKey]:
        labels = record.meta.labels
        name, namespace = labels.get(Label.WORKSPACE), labels.get(Label.WORKSPACE_NAMESPACE)
        return (ObjectKey(namespace, name),) if name and namespace else ()

    def of_pod(record: Record) -> Iterable[ObjectKey]:
        name = record.meta.labels.get(Label.WORKSPACE)
        return (ObjectKey(record.meta.namespace, name),) if name else ()

    sources = [
        for_object(WORKSPACES),
        mapped(NODECLAIMS, of_labels),
        mapped(NODES, of_labels),
        mapped(PODS, of_pod, label_selector=OURS),
        mapped(
            CONFIGMAPS,
            lambda record: observer.users_of_config(record.key),
            transform=only_config_keys,
        ),
        *(
            owned_by(kind, WORKSPACES, label_selector=OURS)
            for kind in (STATEFULSETS, JOBS, DEPLOYMENTS, SERVICES)
        ),
        # Nothing waits for its events; but no reconcile may run before it has been read.
        owned_by(CONTROLLERREVISIONS, WORKSPACES, label_selector=Label.REVISION_OWNER),
    ]
    reconciler = WorkspaceReconciler(manager, observer, options)
    return Controller(NAME, reconciler, sources, ControllerOptions(concurrency=options.concurrency))


@final
class WorkspaceReconciler:
    """Takes one Workspace as far as it can go without waiting."""

    def __init__(
        self, manager: Manager, observer: CachedObserver, options: WorkspaceOptions
    ) -> None:
        self._clock = manager.clock
        self._client = manager.client
        self._observer = observer
        self._options = options
        recorder = manager.recorder(NAME)
        self._claims = Claims(manager.client, recorder, FIELD_MANAGER)
        self._takeover = Takeover(manager.client)
        self._turns = Turns(options.updates)
        self._children = Children(manager.client, recorder, FIELD_MANAGER)
        self._reporter = Reporter(manager.client, recorder, manager.clock, FIELD_MANAGER)
        self._deletion = Deletion(manager.client, manager.live, manager.clock, FIELD_MANAGER)
        self._orphans = Orphans(manager.client, manager.clock)

    async def reconcile(self, key: ObjectKey) -> Result:
        observed = self._observer.observe(key)
        if observed is None or observed.record.meta.deleting:
            self._turns.over(key)
        if observed is None:
            self._reporter.forget(key)
        left = await self._orphans.end(key, self._observer.claims_of_others(key))
        if observed is None:
            return left
        if observed.record.meta.deleting:
            return await self._deletion.advance(observed)
        await self._own(observed)
        observed = self._observer.observe(key) or observed
        progress, again = await self._advance(observed)
        if progress.blocked is None:
            self._turns.over(key)
        return _sooner(left, again, await self._reporter.report(observed, progress))

    async def _own(self, observed: Observed) -> None:
        """The finalizer goes on before anything is created that its absence would leak."""
        meta = observed.record.meta
        if Finalizer.WORKSPACE in meta.finalizers:
            return
        guard = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        patch = {"metadata": {**guard, "finalizers": [*meta.finalizers, Finalizer.WORKSPACE]}}
        await self._client.merge_patch(WORKSPACES, observed.key, patch, field_manager=FIELD_MANAGER)

    async def _advance(self, observed: Observed) -> tuple[Progress, Result]:
        target = await self._target(observed)
        if isinstance(target, Step):
            return Progress(refused=target), Done()
        progress = Progress(demand=target.demand, update=target.update)
        again = Again(RECHECK) if target.waits else Done()
        missing = await self._missing(observed, target)
        if missing is not None:
            return replace(progress, refused=missing), Again(SECRET_RECHECK)
        if target.plan is not None:
            await self._claims.ensure(observed, target.demand, target.plan)
        observed = self._observer.observe(observed.key) or observed
        progress = replace(progress, claims=claims_step(observed, target.demand))
        if progress.blocked is None:
            progress = replace(progress, nodes=nodes_step(observed, target.demand))
        if progress.blocked is not None:
            return progress, again
        return await self._run(observed, target, progress), again

    async def _target(self, observed: Observed) -> Target | Step:
        unusable = missing_config(observed)
        if unusable is not None:
            return unusable
        identity = Identity(
            namespace=observed.key.namespace, name=observed.key.name, uid=observed.uid
        )
        wanted = inputs(observed.workspace, observed.config)
        today, decided = self._today(observed, identity)
        kept = recorded_revision(observed, wanted)
        if kept is None:
            kept = await self._takeover.find(observed, identity)
        if kept is None and (standing := standing_revision(observed, wanted)) is not None:
            if not may_follow(standing, today):
                kept = standing
            elif ahead := self._turns.ahead(observed.key, self._observer.updating()):
                return waiting_target(identity, standing, ahead, decided)
        return target_of(observed, identity, wanted, kept, today, decided)

    def _today(
        self, observed: Observed, identity: Identity
    ) -> tuple[Rendered | Refusal, Plan | None]:
        """What this version makes of the Workspace, and by which plan."""
        decided = plan(observed.workspace, self._facts(observed))
        if isinstance(decided, Refusal):
            return replace(decided, message=_named(decided)), None
        return render(decided, identity, self._options.render), decided

    def _facts(self, observed: Observed) -> Facts:
        return Facts(
            today=self._clock.wall().date(),
            provisioner=self._options.provisioner,
            config=observed.config,
        )

    async def _missing(self, observed: Observed, target: Target) -> Step | None:
        """Secrets are looked at only before money is spent: afterwards the pods tell."""
        if observed.claims or not target.demand.claims:
            return None
        return await missing_secret(observed, self._client)

    async def _run(self, observed: Observed, target: Target, progress: Progress) -> Progress:
        conflict = await self._children.ensure(observed, target)
        observed = self._observer.observe(observed.key) or observed
        if conflict is not None:
            return replace(progress, workload=conflict)
        if observed.workspace.tuning is None:
            step = engine_step(observed, "the engine", Reason.WORKLOAD_STARTING)
            return replace(progress, workload=step)
        progress = replace(
            progress, workload=training_step(observed), job_started=job_started(observed)
        )
        if progress.blocked is not None or not target.revision.rendered.served:
            return progress
        conflict = await self._children.serve(observed, target.revision)
        observed = self._observer.observe(observed.key) or observed
        step = conflict or engine_step(
            observed, "the tuned adapter's server", Reason.ADAPTER_STARTING
        )
        return replace(progress, served=step)


def _named(refusal: Refusal) -> str:
    """The message, with the field to change in it."""
    if refusal.field in refusal.message:
        return refusal.message
    return f"{refusal.field}: {refusal.message}"


def _sooner(*results: Result) -> Result:
    waits = [result.after for result in results if isinstance(result, Again)]
    return Again(min(waits)) if waits else Done()
