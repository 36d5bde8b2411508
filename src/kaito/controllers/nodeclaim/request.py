"""From a NodeClaim to the machine that it asks for. Pure."""

from collections.abc import Mapping
from typing import Final

from kaito.api.names import NODEPOOL_NAME, Annotation, Label
from kaito.api.nodeclaim import NodeClaim
from kaito.controllers.nodeclaim import words
from kaito.controllers.nodeclaim.managed import size_requirement
from kaito.kube.clock import parse_rfc3339
from kaito.kube.quantity import InvalidQuantity, parse
from kaito.provisioner.cloud import ImageFamily, InvalidRequest, MachineRequest, Taint

_GIB: Final = 2**30
_RESERVED: Final = ("kubernetes.io", "k8s.io")
"""Label domains of Kubernetes: clouds refuse them on pools, and the Node gets them elsewhere."""


def machine_request(claim: NodeClaim, tags: Mapping[str, str]) -> MachineRequest:
    """The machine of this claim. Raises `InvalidRequest` for one that can never be made."""
    return MachineRequest(
        name=claim.metadata.name,
        vm_size=_size(claim),
        owner_uid=claim.metadata.uid,
        created_at=parse_rfc3339(claim.metadata.creation_timestamp or "1970-01-01T00:00:00Z"),
        os_disk_gib=_disk(claim),
        image_family=image_family(claim) or ImageFamily.UBUNTU,
        labels={Label.NODEPOOL: NODEPOOL_NAME, **_pool_labels(claim)},
        taints=tuple(
            Taint(key=taint.key, value=taint.value, effect=taint.effect)
            for taint in claim.spec.taints or ()
        ),
        tags=tags,
    )


def image_family(claim: NodeClaim) -> ImageFamily | None:
    """What the annotation asks for; None for a value that means nothing."""
    text = claim.metadata.annotations.get(Annotation.NODE_IMAGE_FAMILY, ImageFamily.UBUNTU)
    return next((family for family in ImageFamily if family == text.strip().lower()), None)


def _size(claim: NodeClaim) -> str:
    requirement = size_requirement(claim)
    if requirement is None or requirement.operator != "In" or not requirement.values:
        raise InvalidRequest(
            f"the NodeClaim names no machine size: it needs a requirement {Label.INSTANCE_TYPE}"
            " with operator In and a value"
        )
    return requirement.values[0]


def _disk(claim: NodeClaim) -> int:
    """Whole GiB; 0, the cloud's default, where the claim says nothing or less than one."""
    if not claim.storage:
        return 0
    try:
        size = parse(claim.storage)
    except InvalidQuantity as error:
        raise InvalidRequest(f"storage {claim.storage!r} is no quantity: {error}") from error
    if size <= 0:
        raise InvalidRequest(f"storage must be more than zero, not {claim.storage}")
    return int(size // _GIB)


def _pool_labels(claim: NodeClaim) -> dict[str, str]:
    return {
        key: value
        for key, value in claim.metadata.labels.items()
        if not _domain(key).endswith(_RESERVED) and key != words.Label.CAPACITY_TYPE
    }


def _domain(key: str) -> str:
    return key.rpartition("/")[0]
