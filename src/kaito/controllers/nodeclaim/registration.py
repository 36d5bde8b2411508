"""What a Node has to carry once it is matched with its claim. Pure.

It is synchronised once: afterwards its labels and taints belong to whoever changes them, as in
Karpenter. A Node that was deleted and joined anew is synchronised anew.
"""

from typing import Any, Final

from kaito.api.names import Finalizer, Label
from kaito.api.resources import NODECLAIMS
from kaito.controllers.nodeclaim import words
from kaito.controllers.nodeclaim.observe import Node, Observed
from kaito.kube.objects import Json

_KUBERNETES: Final = ("kubernetes.io", "k8s.io")


def node_patch(seen: Observed, node: Node, *, initialized: bool) -> Json | None:
    """The merge patch that the Node needs, or None. Guard it with the Node's resourceVersion."""
    if node.meta.deleting:
        return None
    labels: dict[str, str] = {Label.INITIALIZED: "true"} if initialized else {}
    metadata: Json = {}
    patch: Json = {}
    if node.meta.labels.get(Label.REGISTERED) != "true" or not _bound(seen, node):
        labels |= {**_labels(seen), Label.REGISTERED: "true"}
        metadata |= _binding(seen, node)
        taints = _taints(seen, node)
        if taints is not None:
            patch["spec"] = {"taints": taints}
    missing = _differing(labels, node.meta.labels)
    if missing:
        metadata["labels"] = missing
    if metadata:
        patch["metadata"] = metadata
    return patch or None


def _bound(seen: Observed, node: Node) -> bool:
    owned = any(owner.uid == seen.uid for owner in node.meta.owners)
    return owned and Finalizer.TERMINATION in node.meta.finalizers


def _labels(seen: Observed) -> dict[str, str]:
    """The claim's labels, and its requirements that leave one choice."""
    chosen = {
        requirement.key: requirement.values[0]
        for requirement in seen.claim.spec.requirements or ()
        if requirement.operator == "In"
        and requirement.values
        and len(requirement.values) == 1
        and not requirement.key.rpartition("/")[0].endswith(_KUBERNETES)
    }
    return {**chosen, **_not_the_nodes_own(seen)}


def _not_the_nodes_own(seen: Observed) -> dict[str, str]:
    """A size in other letters than the kubelet's is still the kubelet's to name."""
    return {k: v for k, v in seen.claim.metadata.labels.items() if k != Label.INSTANCE_TYPE}


def _binding(seen: Observed, node: Node) -> Json:
    metadata: Json = {}
    if Finalizer.TERMINATION not in node.meta.finalizers:
        metadata["finalizers"] = [*node.meta.finalizers, Finalizer.TERMINATION]
    existing = node.record.json()["metadata"].get("ownerReferences") or []
    if not any(owner.get("uid") == seen.uid for owner in existing):
        others = [owner for owner in existing if owner.get("kind") != NODECLAIMS.kind]
        metadata["ownerReferences"] = [*others, _owner(seen)]
    annotations = {
        key: value
        for key, value in seen.claim.metadata.annotations.items()
        if key != words.Annotation.TERMINATION_TIMESTAMP
    }
    missing = _differing(annotations, node.meta.annotations)
    return {**metadata, **({"annotations": missing} if missing else {})}


def _owner(seen: Observed) -> Json:
    return {
        "apiVersion": NODECLAIMS.api_version,
        "kind": NODECLAIMS.kind,
        "name": seen.claim.metadata.name,
        "uid": seen.uid,
        "blockOwnerDeletion": True,
    }


def _taints(seen: Observed, node: Node) -> list[Json] | None:
    """All taints as they should be, or None when they are."""
    if node.meta.labels.get(words.Label.DO_NOT_SYNC_TAINTS) == "true":
        return None
    present: list[Json] = node.record.get("spec", "taints") or []
    kept = [taint for taint in present if taint.get("key") != words.Taint.UNREGISTERED]
    known = {(taint.get("key"), taint.get("effect")) for taint in kept}
    wanted = (*(seen.claim.spec.taints or ()), *(seen.claim.spec.startup_taints or ()))
    added: list[Json] = [
        {"key": taint.key, "value": taint.value, "effect": taint.effect}
        for taint in wanted
        if (taint.key, taint.effect) not in known
    ]
    taints = kept + added
    return None if taints == present else taints


def _differing(wanted: dict[str, str], present: Any) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if present.get(key) != value}
