"""A Workspace as KAITO left it: every object that it made, on machines that run.

`recorded/` holds what a real KAITO made of five of its examples. Here it is put into a cluster: the
objects by their makers (KAITO's program is called `manager`), the pools as gpu-provisioner asks
for them, and what gpu-provisioner writes on claims and Nodes once the machines have joined.
"""

import re
from pathlib import Path

import yaml

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.kube.clock import rfc3339
from kaito.kube.errors import AlreadyExists
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    SERVICES,
    STATEFULSETS,
)

RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in RECORDED.glob("*.yaml"))
PROGRAM = "manager"
RESOURCES = {
    resource.kind: resource
    for resource in (
        CONFIGMAPS,
        CONTROLLERREVISIONS,
        DEPLOYMENTS,
        JOBS,
        NODECLAIMS,
        SERVICES,
        STATEFULSETS,
        WORKSPACES,
    )
}
CONDITIONS = ("Launched", "Registered", "Initialized", "Ready")


class Installation:
    """One Workspace of KAITO's, as data; tests may change it before it is built."""

    def __init__(self, name, namespace="default"):
        text = (RECORDED / f"{name}.yaml").read_text()
        text = re.sub(r"(namespace: |values: \[|-headless\.)default\b", rf"\g<1>{namespace}", text)
        self.objects = list(yaml.safe_load_all(text))
        self.workspace = self.of_kind("Workspace")[0]
        self.name = self.workspace["metadata"]["name"]
        self.key = ObjectKey(namespace, self.name)

    def of_kind(self, *kinds):
        return [obj for obj in self.objects if obj["kind"] in kinds]

    @property
    def workload(self):
        return self.of_kind("StatefulSet", "Job", "Deployment")[0]

    @property
    def size(self):
        """The machine it asks for."""
        return self.workspace["resource"]["instanceType"]

    @property
    def owned(self):
        """What the workload consists of: Services, ConfigMaps, revisions and itself."""
        return [obj for obj in self.objects if obj["kind"] not in ("Workspace", "NodeClaim")]

    # ---- building, in the order in which KAITO does

    async def ask_for_machines(self, client, arm):
        """The Workspace with its status, claims, and their pools."""
        status = self.workspace.pop("status")
        record = await client.create(WORKSPACES, self.workspace, field_manager=PROGRAM)
        await client.merge_patch(
            WORKSPACES, self.key, {"status": status}, subresource="status", field_manager=PROGRAM
        )
        for claim in self.of_kind("NodeClaim"):
            claim["metadata"]["finalizers"] = ["karpenter.sh/termination"]
            made = await client.create(NODECLAIMS, claim, field_manager=PROGRAM)
            born = (made.meta.creation_timestamp or "").replace(":", "-")
            labels = {**made.meta.labels, "kaito.sh/creation-timestamp": born}
            taints = ["sku=gpu:NoSchedule"]
            arm(made.meta.name, self.size, nodeLabels=labels, nodeTaints=taints)
        return record.meta.uid

    async def register(self, client, clock):
        """Claims and Nodes as gpu-provisioner leaves them. False until all machines have joined."""
        nodes = {
            node.meta.labels.get("agentpool"): node for node in (await client.list(NODES)).items
        }
        claims = [claim["metadata"]["name"] for claim in self.of_kind("NodeClaim")]
        if not all(is_usable(nodes.get(name)) for name in claims):
            return False
        for name in claims:
            await self._register(client, clock, name, nodes[name])
        return True

    async def _register(self, client, clock, name, node):
        claim = await client.get(NODECLAIMS, ObjectKey("", name))
        owner = {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "name": name,
            "uid": claim.meta.uid,
            "blockOwnerDeletion": True,
        }
        metadata = {
            "labels": {"karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"},
            "finalizers": ["karpenter.sh/termination"],
            "ownerReferences": [owner],
        }
        await client.merge_patch(NODES, node.key, {"metadata": metadata})
        now = rfc3339(clock.wall())
        told = {"status": "True", "message": "", "lastTransitionTime": now, "observedGeneration": 1}
        status = {
            "conditions": [{"type": kind, "reason": kind, **told} for kind in CONDITIONS],
            "nodeName": node.meta.name,
            "providerID": node.get("spec", "providerID"),
        }
        await client.merge_patch(NODECLAIMS, claim.key, {"status": status}, subresource="status")

    async def run(self, client, uid):
        """Revision, Services, ConfigMaps and the workload, owned by the Workspace."""
        for obj in self.owned:
            for owner in obj["metadata"].get("ownerReferences", ()):
                owner["uid"] = uid
            try:
                await client.create(RESOURCES[obj["kind"]], obj, field_manager=PROGRAM)
            except AlreadyExists:
                assert obj["kind"] == "ConfigMap", obj


def is_usable(node):
    """A Node that is Ready and shows GPUs."""
    if node is None:
        return False
    ready = [c for c in node.get("status", "conditions") if c["type"] == "Ready"]
    gpus = (node.get("status", "allocatable") or {}).get("nvidia.com/gpu", "0")
    return bool(ready) and ready[0]["status"] == "True" and int(gpus) > 0
