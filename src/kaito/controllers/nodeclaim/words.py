"""Karpenter's words for a claim's life, and the few we add. Other programs compare them."""

from typing import Final


class Condition:
    """`status.conditions[].type` of a NodeClaim."""

    LAUNCHED: Final = "Launched"
    """The cloud has the machine."""
    REGISTERED: Final = "Registered"
    """Its Node has joined and was matched with the claim."""
    INITIALIZED: Final = "Initialized"
    """The Node is ready for pods; says nothing about GPUs, as in Karpenter."""
    READY: Final = "Ready"
    """All three."""
    TERMINATING: Final = "InstanceTerminating"
    """While deleting: the cloud is deleting the machine."""


class Reason:
    """`reason` of those conditions, and of events on claims and nodes."""

    AWAITING: Final = "AwaitingReconciliation"
    """Nobody has looked yet."""
    LAUNCH_FAILED: Final = "LaunchFailed"
    """The message begins with the cloud error's own stable reason."""
    LAUNCHING: Final = "Launching"
    """The cloud is making the machine (ours)."""
    LAUNCH_TIMEOUT: Final = "LaunchTimeout"
    """It is, but for longer than it should take (ours)."""
    UNKNOWN_IMAGE_FAMILY: Final = "UnknownImageFamily"
    """The annotation asks for an operating system that nobody knows (ours)."""
    NODE_NOT_FOUND: Final = "NodeNotFound"
    MULTIPLE_NODES: Final = "MultipleNodesFound"
    NODE_NOT_READY: Final = "NodeNotReady"
    STARTUP_TAINTS: Final = "StartupTaintsExist"
    EPHEMERAL_TAINTS: Final = "KnownEphemeralTaintsExist"
    RESOURCE_NOT_REGISTERED: Final = "ResourceNotRegistered"
    UNHEALTHY_DEPENDENTS: Final = "UnhealthyDependents"
    RECONCILING_DEPENDENTS: Final = "ReconcilingDependents"
    FAILED_DRAINING: Final = "FailedDraining"
    GRACE_PERIOD_EXPIRING: Final = "TerminationGracePeriodExpiring"
    TERMINATING: Final = "InstanceTerminating"
    NOT_OURS: Final = "InstanceNotOurs"
    """The machine of that name was not made for this claim and is left alone (ours)."""
    GONE: Final = "InstanceGone"
    """The cloud has lost the machine; the claim is deleted (ours)."""
    UNHEALTHY: Final = "NodeUnhealthy"
    """The Node was not ready for too long; the claim is deleted (ours)."""
    REPAIR_BLOCKED: Final = "NodeRepairBlocked"
    """Too many Nodes are unhealthy at once: that is not the machines' fault."""
    NODE_DELETED: Final = "NodeDeleted"
    """Somebody deleted the Node, so its claim goes too (ours)."""
    ORPHAN_DELETED: Final = "OrphanDeleted"
    """A machine of ours without a claim was deleted (ours)."""


class Annotation:
    TERMINATION_TIMESTAMP: Final = "karpenter.sh/nodeclaim-termination-timestamp"
    """RFC 3339: after it, draining is no longer polite."""
    DO_NOT_DISRUPT: Final = "karpenter.sh/do-not-disrupt"
    """`true` on a pod: it is not evicted."""
    MIRROR: Final = "kubernetes.io/config.mirror"
    """On a static pod's image in the API: it cannot be evicted."""


class Label:
    CAPACITY_TYPE: Final = "karpenter.sh/capacity-type"
    DO_NOT_SYNC_TAINTS: Final = "karpenter.sh/do-not-sync-taints"
    """`true` on a Node: its taints are somebody else's."""
    EXCLUDE_BALANCERS: Final = "node.kubernetes.io/exclude-from-external-load-balancers"


class Taint:
    DISRUPTED: Final = "karpenter.sh/disrupted"
    """NoSchedule, while draining."""
    UNREGISTERED: Final = "karpenter.sh/unregistered"
    """NoExecute, where a machine's bootstrap sets it; taken away at registration."""


EPHEMERAL_TAINTS: Final = frozenset(
    {
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"),
        (Taint.UNREGISTERED, "NoExecute"),
    }
)
"""Taints that a starting Node is expected to lose by itself."""
