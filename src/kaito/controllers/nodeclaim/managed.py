"""Which claims are ours to serve."""

from typing import Final

from kaito.api.names import NODECLASS_GROUP, NODECLASS_KIND, Label
from kaito.api.nodeclaim import NodeClaim, Requirement

_KAITO: Final = (Label.WORKSPACE, Label.RAGENGINE)


def is_managed(claim: NodeClaim) -> bool:
    """By node class, or by a label that KAITO sets. All others belong to another provisioner."""
    reference = claim.spec.node_class_ref
    if reference and (reference.group, reference.kind) == (NODECLASS_GROUP, NODECLASS_KIND):
        return True
    return any(key in claim.metadata.labels for key in _KAITO)


def size_requirement(claim: NodeClaim) -> Requirement | None:
    """The requirement that chooses the machine size."""
    wanted = (r for r in claim.spec.requirements or () if r.key == Label.INSTANCE_TYPE)
    return next(wanted, None)
