"""Machines of a Workspace: which claims to make, how far claims and nodes are. Pure."""

from itertools import count

from kaito.api.names import GPU_RESOURCE, Reason
from kaito.controllers.workspace.demand import Demand
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Step, done, stalled, troubled, waiting
from kaito.framework.conditions import Condition, find_condition
from kaito.kube.objects import ObjectKey, Record
from kaito.manifests.identity import claim_name
from kaito.provisioner.cloud import reason_told

_STAGES = ("Launched", "Registered", "Initialized")
"""The conditions of a claim, in the order in which they become true."""

_QUIET_REASONS = frozenset(
    {
        "",
        Reason.AWAITING_RECONCILIATION,
        "Launching",
        "NodeNotFound",
        "NodeNotReady",
        "KnownEphemeralTaintsExist",
        "StartupTaintsExist",
        "ResourceNotRegistered",
    }
)
"""Reasons of a claim on its normal way; any other one is worth being the Workspace's reason."""


def new_claim_names(observed: Observed, demand: Demand) -> list[str]:
    """Names of the claims to make now: as many as are missing, each a name that nobody bears."""
    missing = demand.claims - len(observed.living_claims)
    names = (claim_name(observed.uid, number) for number in count())
    free = (name for name in names if name not in observed.taken_claim_names)
    return [name for name, _ in zip(free, range(missing), strict=False)]


def claims_step(observed: Observed, demand: Demand) -> Step:
    """Are all claims ready? If not: the cloud's own words about the first that is not."""
    living = observed.living_claims
    for claim in living:
        trouble = _unfinished(claim)
        if trouble is not None:
            return _step_of(claim, trouble)
    if len(living) < demand.claims:
        return waiting(
            Reason.WAITING_FOR_NODES, f"{len(living)} of {demand.claims} machines are asked for"
        )
    if not demand.claims:
        return done(Reason.NODECLAIMS_READY, "no NodeClaim is needed")
    return done(Reason.NODECLAIMS_READY, f"all {demand.claims} NodeClaims are ready")


def _unfinished(claim: Record) -> Condition | None:
    conditions = claim.get("status", "conditions") or []
    for stage in _STAGES:
        found = find_condition(conditions, stage)
        if found is None or found.status != "True":
            return found or Condition(
                type=stage, status="Unknown", reason=Reason.AWAITING_RECONCILIATION
            )
    return None


def _step_of(claim: Record, trouble: Condition) -> Step:
    name = claim.meta.name
    if trouble.reason in _QUIET_REASONS:
        detail = f": {trouble.message}" if trouble.message else ""
        return waiting(
            Reason.WAITING_FOR_NODES, f"NodeClaim {name} is not {trouble.type} yet{detail}"
        )
    reason, message = trouble.reason, trouble.message
    if reason == Reason.LAUNCH_FAILED and (told := reason_told(message)):
        # Karpenter has one reason for all refusals; the cloud's own stands before its words.
        reason, message = told, message.removeprefix(f"{told}: ")
    return troubled(reason, f"NodeClaim {name}: {message or reason}")


def nodes_step(observed: Observed, demand: Demand) -> Step:
    """Are all machines in the cluster, ready, and do they show their GPUs?"""
    by_name = {node.meta.name: node for node in observed.nodes}
    for claim in observed.living_claims:
        name = claim.get("status", "nodeName") or ""
        node = by_name.get(name)
        if node is None or not is_ready(node):
            return waiting(
                Reason.NODE_NOT_READY, f"node {name or claim.meta.name} is not ready yet"
            )
        if gpus(node) < demand.gpus_per_node:
            return waiting(
                Reason.NODE_PLUGINS_NOT_READY,
                f"node {name} shows {gpus(node)} of {demand.gpus_per_node} GPUs; "
                "the NVIDIA device plugin has not registered them yet",
            )
    if not demand.claims:
        return done(Reason.NODES_READY, "its machines were made by somebody else")
    return done(Reason.NODES_READY, f"{', '.join(by_name)}: ready, GPUs registered")


def is_ready(node: Record) -> bool:
    """The node's own Ready condition."""
    found = find_condition(node.get("status", "conditions"), "Ready")
    return found is not None and found.status == "True" and not node.meta.deleting


def gpus(node: Record) -> int:
    """GPUs that pods may ask for on this node."""
    return int((node.get("status", "allocatable") or {}).get(GPU_RESOURCE, 0))


def name_conflict(kind: str, key: ObjectKey, owner: str) -> Step:
    """An object we need bears our name and is somebody else's."""
    return stalled(
        Reason.NAME_CONFLICT,
        f"{kind} {key} belongs to {owner or 'nobody known'}; rename it or this Workspace",
    )
