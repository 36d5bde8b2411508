"""Objects as the workspace controller observes them, each with only what the test is about."""

from kaito.api.workspace import parse
from kaito.controllers.workspace.observed import Observed
from kaito.kube.objects import record_of

UID = "0b5c7a3e-0000-4000-8000-000000000001"


def workspace(*, tuning=False, status=None, generation=1, **fields):
    spec = {
        "resource": {
            "instanceType": "Standard_NC24ads_A100_v4",
            "labelSelector": {"matchLabels": {"apps": "test"}},
        }
    }
    if tuning:
        spec["tuning"] = {
            "preset": {"name": "phi-3-mini-128k-instruct"},
            "method": "qlora",
            "input": {"urls": ["https://example.com/data.parquet"]},
            "output": {"image": "registry.example.com/adapter:1", "imagePushSecret": "push"},
        }
    else:
        spec["inference"] = {"preset": {"name": "phi-4-mini-instruct"}}
    return record_of(
        {
            "apiVersion": "kaito.sh/v1beta1",
            "kind": "Workspace",
            "metadata": {
                "name": "w",
                "namespace": "default",
                "uid": UID,
                "generation": generation,
                "resourceVersion": "7",
            },
            **spec,
            **fields,
            **({"status": status} if status else {}),
        }
    )


def observed(record=None, **parts):
    record = record or workspace()
    defaults = {
        "config": None,
        "claims": (),
        "taken_claim_names": frozenset(claim.meta.name for claim in parts.get("claims", ())),
        "nodes": (),
        "pods": (),
        "stateful_set": None,
        "job": None,
        "revisions": (),
    }
    return Observed(record=record, workspace=parse(record), **{**defaults, **parts})


def claim(name="wsaaaaaaaaaa", *, node="", conditions=(), deleting=False):
    metadata = {"name": name, "uid": f"uid-{name}"}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {
        "conditions": [
            dict(zip(("type", "status", "reason", "message"), c, strict=True)) for c in conditions
        ]
    }
    if node:
        status["nodeName"] = node
    return record_of(
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "metadata": metadata,
            "status": status,
        }
    )


READY_CLAIM = tuple(
    (stage, "True", stage, "") for stage in ("Launched", "Registered", "Initialized")
)


def node(name, *, ready=True, gpus=1):
    return record_of(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "allocatable": {"nvidia.com/gpu": str(gpus)} if gpus else {},
            },
        }
    )


def pod(name="w-0", **status):
    return record_of(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "status": status,
        }
    )


def container(name="w", **state):
    return {"name": name, "state": state, "restartCount": 3}
