"""The cloud seam, in our own words: machines are launched, looked at, listed and terminated.

Every method is idempotent and non-blocking: it starts something and returns what is known now;
whoever wants to know more comes back later. Existence is what the cloud says, never what a Node
object says.

What can go wrong, by meaning; each has a stable CamelCase `reason` and a sentence of `advice`:

    CloudError
    ├── QuotaExceeded       the subscription may not use that many vCPUs of this family here
    ├── SkuUnavailable      the size does not exist here, or not for this subscription
    ├── AllocationFailed    the size exists, but the datacenter has none free now
    ├── NodePoolLimitReached  the cluster may not have another node pool
    ├── NotPermitted        credential, role assignment or policy forbids it
    ├── InvalidRequest      the cloud understood the request and refuses it as it is
    ├── ClusterNotFound     the cluster that the machine should join does not exist
    ├── NameTaken           a pool of that name exists and is not ours; it was not touched
    ├── LaunchFailed        it was started and failed for a reason that has no class of its own
    ├── Busy                another operation is in progress: come back
    ├── Throttled           too many requests: come back after `retry_after`
    └── Unreachable         no answer, or a server error: the outcome is unknown

A foreign exception is translated once, in the implementation; nobody reads its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol


class State(StrEnum):
    """Where one machine is in its life, as far as the cloud knows."""

    CREATING = "Creating"
    READY = "Ready"
    FAILED = "Failed"
    DELETING = "Deleting"
    STOPPED = "Stopped"
    """Deallocated on somebody's order, together with its cluster or alone. It still exists."""


class ImageFamily(StrEnum):
    """The operating system of a machine, as `kaito.sh/node-image-family` names it."""

    UBUNTU = "ubuntu"
    AZURE_LINUX = "azurelinux"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint with which the node is born."""

    key: str
    effect: str
    value: str = ""

    def __str__(self) -> str:
        """`key=value:effect`, the form in which kubectl and Azure write one."""
        return f"{self.key}={self.value}:{self.effect}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRequest:
    """One machine, wanted. Equal requests may be launched any number of times."""

    name: str
    vm_size: str
    owner_uid: str
    """UID of the NodeClaim. It travels as a tag and is the proof of ownership."""
    created_at: datetime
    """When the NodeClaim was created."""
    os_disk_gib: int = 0
    """0 leaves the size to the cloud."""
    image_family: ImageFamily = ImageFamily.UBUNTU
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    """Further tags, for instance those that a policy of the subscription demands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One machine as the cloud describes it."""

    name: str
    state: State
    vm_size: str = ""
    owner_uid: str = ""
    """From the tag; empty when the machine carries none, so is not provably ours."""
    created_at: datetime | None = None
    """Creation time of its NodeClaim, from tag or label."""
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    image_version: str = ""
    etag: str = ""
    failure: "CloudError | None" = None
    """Why it FAILED, where the cloud says so."""
    simulated: bool = False
    """The cloud says of itself that it is a simulation."""


class CloudError(Exception):
    """Base of everything that a cloud raises. The text is the cause, in one sentence."""

    reason: ClassVar[str] = "CloudError"
    retry_after: float | None = None
    """Seconds after which another try makes sense, where the cloud said so."""

    @property
    def advice(self) -> str:
        """What a person can do about it, in one sentence; empty where time is the only cure."""
        return ""

    @property
    def told(self) -> str:
        """`Reason: cause cure`: how conditions and events tell it."""
        cause = str(self).strip().rstrip(".")
        cure = f" {self.advice}" if self.advice else ""
        return f"{self.reason}: {cause}.{cure}"


def reason_told(message: str) -> str:
    """The stable reason at the head of a message written by `CloudError.told`, else empty."""
    head, colon, _ = message.partition(": ")
    return head if colon and head.isalnum() and head[:1].isupper() else ""


class QuotaExceeded(CloudError):
    """The quota of a VM family (or of the region) is used up. Unknown parts are None or empty."""

    reason = "QuotaExceeded"

    def __init__(
        self,
        message: str,
        *,
        family: str = "",
        region: str = "",
        limit: int | None = None,
        usage: int | None = None,
        requested: int | None = None,
        remaining: int | None = None,
    ) -> None:
        super().__init__(message)
        self.family = family
        self.region = region
        self.limit = limit
        self.usage = usage
        self.requested = requested
        self.remaining = remaining

    @property
    def advice(self) -> str:
        what = f'quota "{self.family}"' if self.family else "vCPU quota of this VM family"
        where = f" in {self.region}" if self.region else ""
        to = ""
        if self.requested is not None and self.usage is not None:
            to = f" to at least {self.usage + self.requested} vCPUs"
        elif self.requested is not None and self.remaining is not None:
            to = f" by at least {self.requested - self.remaining} vCPUs"
        return (
            f"Raise the {what}{where}{to} in the Azure portal (Quotas > Compute), or choose"
            " another instanceType; it is tried again by itself."
        )


class SkuUnavailable(CloudError):
    reason = "SkuUnavailable"

    @property
    def advice(self) -> str:
        return (
            "Choose an instanceType that `az vm list-skus` shows without restrictions for this"
            " region, or ask Azure support to lift the restriction."
        )


class AllocationFailed(CloudError):
    reason = "AllocationFailed"

    @property
    def advice(self) -> str:
        return "It is tried again by itself; another instanceType or region may be free now."


class NodePoolLimitReached(CloudError):
    reason = "NodePoolLimitReached"

    @property
    def advice(self) -> str:
        return "Delete node pools that are no longer needed, or use another cluster."


class NotPermitted(CloudError):
    reason = "NotPermitted"

    @property
    def advice(self) -> str:
        return (
            "Give the operator's identity a role on the managed cluster that may read, write and"
            " delete its agent pools, and check Azure Policy."
        )


class InvalidRequest(CloudError):
    reason = "InvalidRequest"

    @property
    def advice(self) -> str:
        return "Correct what the message names; the same request would be refused again."


class ClusterNotFound(CloudError):
    reason = "ClusterNotFound"

    @property
    def advice(self) -> str:
        return "Check subscription, resource group and cluster name that the operator was given."


class NameTaken(CloudError):
    reason = "NameTaken"

    @property
    def advice(self) -> str:
        return "Delete that node pool, or delete this NodeClaim so that another name is chosen."


class LaunchFailed(CloudError):
    reason = "LaunchFailed"

    @property
    def advice(self) -> str:
        return "The failed node pool is deleted and the launch tried again by itself."


class Busy(CloudError):
    reason = "Busy"


class Throttled(CloudError):
    reason = "Throttled"


class Unreachable(CloudError):
    reason = "CloudUnreachable"

    @property
    def advice(self) -> str:
        return "It is tried again by itself; check network, proxy and the cloud's status page."


class Cloud(Protocol):
    """One cluster's machines. All methods raise `CloudError`; none waits for a machine."""

    @property
    def node_label(self) -> str:
        """The label that the cloud puts on every Node; its value is the machine's name."""
        ...

    async def launch(self, request: MachineRequest) -> Instance:
        """Start the machine unless one of that name exists.

        Never updates anything: an existing machine that belongs to the request is returned in
        whatever state it is; one that does not raises `NameTaken`.
        """
        ...

    async def get(self, name: str) -> Instance | None:
        """The machine of that name, whoever made it; None when the cloud says there is none."""
        ...

    async def list(self) -> list[Instance]:
        """All machines' pools of the cluster, strangers' too. Never a partial answer."""
        ...

    async def terminate(self, instance: Instance) -> Instance | None:
        """Start to delete exactly this machine, as it was seen; None when it is gone.

        A machine already DELETING is left to it. Where it changed since it was seen, `Busy` is
        raised and the caller looks again. The caller has judged that it may be deleted.
        """
        ...


def belongs_to(instance: Instance, owner_uid: str, created_at: datetime) -> bool:
    """Is it provably the machine of this NodeClaim?

    Proof is the owner's UID in the tag. A machine of a former provisioner carries no tag, but
    the creation time of its NodeClaim, to the second, in a label: beside the name, which the
    caller compared, no other claim can have both.
    """
    if instance.owner_uid:
        return instance.owner_uid == owner_uid
    return instance.created_at is not None and instance.created_at == created_at
