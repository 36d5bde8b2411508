"""The node provisioner: a NodeClaim becomes a machine that has joined, and none again.

    observe ─> deleted?  terminate: drain, delete the machine, let Node and claim go
            └> wanted?   intend ─> launch ─> register ─> repair ─> report

Everything is derived from the API server and the cloud. Each step writes what it decided before
the next one relies on it, so a crash anywhere is answered by running again.
"""

from collections.abc import Mapping
from typing import Final, final

from kaito.api.names import Finalizer, Label
from kaito.api.resources import NODECLAIMS
from kaito.controllers.nodeclaim import readiness, repair, words
from kaito.controllers.nodeclaim.launch import Launch, Launcher
from kaito.controllers.nodeclaim.managed import is_managed, size_requirement
from kaito.controllers.nodeclaim.observe import (
    MACHINE_INDEX,
    Node,
    Observed,
    by_machine,
    claim_keys,
    node_of,
    nodes_of,
    observe,
)
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.orphans import SWEEP, Sweeper
from kaito.controllers.nodeclaim.pace import Pace
from kaito.controllers.nodeclaim.registration import node_patch
from kaito.controllers.nodeclaim.status import StatusWriter
from kaito.controllers.nodeclaim.termination import Terminator, Tools, release_node
from kaito.controllers.nodeclaim.words import Reason
from kaito.controllers.permissions import Permission
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result, annotate
from kaito.framework.sources import at_start, for_object, mapped, reads
from kaito.kube.clock import rfc3339
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import EVENTS, NODES, PODS
from kaito.provisioner.cloud import Cloud, CloudError, State
from kaito.provisioner.gathering import GatheringCloud

PERMISSIONS: Final = (
    Permission(NODECLAIMS, "get", "list", "watch", "patch", "delete"),
    Permission(NODECLAIMS, "patch", subresource="status"),
    Permission(NODECLAIMS, "update", subresource="finalizers"),
    Permission(NODES, "get", "list", "watch", "patch", "delete"),
    Permission(PODS, "list", "delete"),
    Permission(PODS, "create", subresource="eviction"),
    Permission(EVENTS, "create", "patch"),
)
"""`nodeclaims/finalizers`: Nodes get an owner reference that blocks the claim's deletion."""

FIELD_MANAGER: Final = "kaito-nodeclaim"


def nodeclaim_controllers(
    manager: Manager, cloud: Cloud, options: NodeClaimOptions | None = None
) -> tuple[Controller, Controller]:
    """Both controllers of the node provisioner, for `Manager.add`."""
    options = options or NodeClaimOptions()
    cloud = GatheringCloud(cloud, clock=manager.clock, fresh=options.poll / 2)
    return nodeclaim_controller(manager, cloud, options), sweep_controller(manager, cloud, options)


def nodeclaim_controller(
    manager: Manager, cloud: Cloud, options: NodeClaimOptions | None = None
) -> Controller:
    """Serves every managed NodeClaim."""
    indexes = {MACHINE_INDEX: by_machine(cloud.node_label)}
    return Controller(
        "nodeclaim",
        NodeClaims(manager, cloud, options or NodeClaimOptions()),
        [
            for_object(NODECLAIMS),
            mapped(NODES, claim_keys(cloud.node_label), indexes=indexes),
        ],
        ControllerOptions(tenant=lambda key: key.name),
    )


def sweep_controller(
    manager: Manager, cloud: Cloud, options: NodeClaimOptions | None = None
) -> Controller:
    """Compares the cloud's list with the claims, now and then."""
    sweeper = Sweeper(
        client=manager.client,
        cloud=cloud,
        clock=manager.clock,
        events=manager.recorder("nodeclaim"),
        options=options or NodeClaimOptions(),
    )
    return Controller("nodeclaim-sweep", sweeper, [reads(NODECLAIMS), at_start(SWEEP)])


@final
class NodeClaims:
    """The reconciler. Its memory (`Pace`) only saves requests."""

    def __init__(self, manager: Manager, cloud: Cloud, options: NodeClaimOptions) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._cloud = cloud
        self._options = options
        self._events = manager.recorder("nodeclaim")
        self._pace = pace = Pace(manager.clock)
        self._launcher = Launcher(cloud, pace=pace, events=self._events, options=options)
        self._status = StatusWriter(manager.client, pace=pace, manager=FIELD_MANAGER)
        self._terminator = Terminator(
            Tools(
                client=manager.client,
                live=manager.live,
                cloud=cloud,
                pace=pace,
                events=self._events,
                options=options,
                field_manager=FIELD_MANAGER,
            )
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        claims, nodes = self._client.store(NODECLAIMS), self._client.store(NODES)
        seen = observe(claims, nodes, key, self._clock.wall())
        if seen is None:
            return await self._abandoned(nodes_of(nodes, key.name))
        if not is_managed(seen.claim):
            return Done()
        if seen.claim.metadata.deleting:
            return await self._terminator.terminate(seen)
        for node in seen.nodes:
            if node.meta.deleting and Finalizer.TERMINATION in node.meta.finalizers:
                return await self._node_deleted(seen, node)
        return await self._serve(seen)

    async def _serve(self, seen: Observed) -> Result:
        seen = await self._intend(seen)
        launch = await self._launcher.launch(seen)
        report = readiness.report(seen, launch.condition, launch.image)
        await self._register(seen, report)
        held_back = await self._status.write(seen, report)
        return _soonest(launch.again, held_back, await self._repair(seen, launch))

    async def _intend(self, seen: Observed) -> Observed:
        """From here on a machine may exist, so the claim may not go without it."""
        if seen.intended:
            return seen
        metadata: Json = {"finalizers": [*seen.claim.metadata.finalizers, Finalizer.TERMINATION]}
        size = size_requirement(seen.claim)
        if size is not None and size.operator == "In" and size.values:
            # `kubectl get nodeclaims` shows both.
            metadata["labels"] = {
                Label.INSTANCE_TYPE: size.values[0],
                words.Label.CAPACITY_TYPE: "on-demand",
            }
        record = await self._client.merge_patch(
            NODECLAIMS,
            seen.key,
            {"metadata": metadata},
            resource_version=seen.record.meta.resource_version,
            field_manager=FIELD_MANAGER,
        )
        return seen.after(record)

    async def _register(self, seen: Observed, report: readiness.Report) -> None:
        true = {c.type for c in report.conditions if c.status == "True"}
        node = seen.node
        if node is None or words.Condition.REGISTERED not in true:
            return
        patch = node_patch(seen, node, initialized=words.Condition.INITIALIZED in true)
        if patch is None:
            return
        await self._client.merge_patch(
            NODES,
            node.meta.key,
            patch,
            uid=node.meta.uid,
            resource_version=node.meta.resource_version,
            field_manager=FIELD_MANAGER,
        )

    async def _repair(self, seen: Observed, launch: Launch) -> float | None:
        if launch.condition.status != "True":
            return None
        trouble = repair.trouble(seen, self._options)
        if trouble is None:
            self._pace.whole(seen.uid)
            return None
        if trouble.harmless > 0:
            return trouble.harmless
        watched = self._pace.broken_for(seen.uid)
        if watched is None and await self._runs(seen):
            self._pace.broken(seen.uid)
            watched = 0.0
        if watched is None:
            return self._options.sweep
        if (left := trouble.left(watched)) > 0:
            return left
        if blocked := repair.brake(self._managed_nodes(), seen.now, self._options):
            if self._pace.is_news(seen.uid, blocked):
                self._warn(seen, Reason.REPAIR_BLOCKED, f"{blocked}; {trouble.message}")
            return self._options.repair_after
        if not await self._runs(seen):
            self._pace.whole(seen.uid)
            return self._options.sweep
        await self._replace(seen, trouble.message)
        return None

    async def _runs(self, seen: Observed) -> bool:
        """Only what runs can be broken: a stopped or vanished machine is another matter."""
        try:
            instance = await self._cloud.get(seen.claim.metadata.name)
        except CloudError:
            return False
        return instance is not None and instance.state is State.READY

    async def _replace(self, seen: Observed, message: str) -> None:
        """Its owner makes another one. What still runs on it is not waited for."""
        now = {words.Annotation.TERMINATION_TIMESTAMP: rfc3339(seen.now)}
        await self._client.merge_patch(
            NODECLAIMS,
            seen.key,
            {"metadata": {"annotations": now}},
            uid=seen.uid,
            field_manager=FIELD_MANAGER,
        )
        await self._delete(seen, Reason.UNHEALTHY, f"{message}; the machine is replaced")

    async def _node_deleted(self, seen: Observed, node: Node) -> Result:
        """`kubectl delete node` ends the machine, as it should. But a Node that had stopped
        working is deleted by the cluster itself, for instance after `az aks stop`: that one is
        let go, and joins again or is replaced by repair."""
        if node.is_ready and len(seen.nodes) == 1:
            told = f"node {node.meta.name} was deleted, so is its machine"
            await self._delete(seen, Reason.NODE_DELETED, told)
            return Done()
        await release_node(self._client, node, FIELD_MANAGER)
        return Again(self._options.poll)

    async def _delete(self, seen: Observed, reason: str, message: str) -> None:
        self._warn(seen, reason, message)
        try:
            await self._client.delete(NODECLAIMS, seen.key, uid=seen.uid)
        except NotFound:
            annotate(gone=True)

    async def _abandoned(self, nodes: list[Node]) -> Result:
        """Nodes of a claim that went without us are let go once their machine is gone."""
        held = [node for node in nodes if _is_held(node)]
        for node in held:
            try:
                machine = await self._cloud.get(node.meta.labels[self._cloud.node_label])
            except CloudError:
                return Again(self._options.retry_first)
            if machine is not None:
                return Again(self._options.sweep)
            await release_node(self._client, node, FIELD_MANAGER)
        return Done()

    def _managed_nodes(self) -> list[Node]:
        nodes = self._client.store(NODES).list()
        return [node_of(record) for record in nodes if _is_managed_node(record.meta.labels)]

    def _warn(self, seen: Observed, reason: str, message: str) -> None:
        self._events.event(
            seen.record, type="Warning", reason=reason, message=message, action="Delete"
        )


def _is_managed_node(labels: Mapping[str, str]) -> bool:
    return labels.get(Label.REGISTERED) == "true" and (
        Label.WORKSPACE in labels or Label.RAGENGINE in labels
    )


def _is_held(node: Node) -> bool:
    """By us, although it is being deleted."""
    return (
        node.meta.deleting
        and Finalizer.TERMINATION in node.meta.finalizers
        and _is_managed_node(node.meta.labels)
    )


def _soonest(*seconds: float | None) -> Result:
    due = [each for each in seconds if each is not None]
    return Again(min(due)) if due else Done()
