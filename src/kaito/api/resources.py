"""The custom resources we read or write, as places in the URL space."""

from typing import Final

from kaito.kube.objects import Resource

GROUP: Final = "kaito.sh"

WORKSPACES: Final = Resource(GROUP, "v1beta1", "workspaces", "Workspace")
"""The version we read, watch and write; it is also the storage version."""

WORKSPACES_V1ALPHA1: Final = Resource(GROUP, "v1alpha1", "workspaces", "Workspace")
"""Served for clients that still write it; same schema, other defaults and columns."""

NODECLAIMS: Final = Resource("karpenter.sh", "v1", "nodeclaims", "NodeClaim", namespaced=False)
"""One machine asked for. The kind belongs to Karpenter."""
