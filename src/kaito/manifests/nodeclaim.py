"""NodeClaims: the machines a Plan asks for, in Karpenter's words."""

from kaito.api.names import (
    NODECLASS_GROUP,
    NODECLASS_KIND,
    NODECLASS_NAME,
    NODEPOOL_NAME,
    TAINT_KEY,
    TAINT_VALUE,
    Annotation,
    Label,
)
from kaito.api.resources import NODECLAIMS
from kaito.kube.objects import Json
from kaito.kube.quantity import canonical
from kaito.manifests.identity import Identity
from kaito.planning.decision import Plan


def node_claim(plan: Plan, identity: Identity, name: str) -> Json:
    """One claim. It carries no owner reference: a namespaced owner of a cluster-scoped object
    is never collected, so the Workspace's finalizer and the UID annotation do that work."""
    return {
        "apiVersion": NODECLAIMS.api_version,
        "kind": NODECLAIMS.kind,
        "metadata": {
            "name": name,
            "labels": {
                **dict(plan.node_labels),
                **identity.node_labels,
                Label.NODEPOOL: NODEPOOL_NAME,
            },
            "annotations": {
                Annotation.NODE_IMAGE_FAMILY: plan.node_image_family,
                Annotation.DO_NOT_DISRUPT: "true",
                Annotation.WORKSPACE_UID: identity.uid,
            },
        },
        "spec": {
            "expireAfter": "Never",
            "nodeClassRef": {
                "group": NODECLASS_GROUP,
                "kind": NODECLASS_KIND,
                "name": NODECLASS_NAME,
            },
            "requirements": [
                _only(Label.NODEPOOL, NODEPOOL_NAME),
                _only(Label.INSTANCE_TYPE, plan.sku.name),
                _only(Label.OS, "linux"),
                _only(Label.SKU_NAME, plan.sku.name),
            ],
            "resources": {"requests": {"storage": canonical(f"{plan.disk_gib}Gi")}},
            "taints": [{"key": TAINT_KEY, "value": TAINT_VALUE, "effect": "NoSchedule"}],
        },
    }


def _only(key: str, value: str) -> Json:
    return {"key": key, "operator": "In", "values": [value]}
