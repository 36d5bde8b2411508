"""Reading Workspaces and claims."""

from kaito.api import nodeclaim, workspace
from kaito.api.names import ConditionType
from kaito.kube.objects import record_of

SEED = {
    "apiVersion": "kaito.sh/v1alpha1",
    "kind": "Workspace",
    "metadata": {"name": "workspace-tuning-phi-3", "namespace": "default"},
    "resource": {
        "instanceType": "Standard_NC6s_v3",
        "labelSelector": {"matchLabels": {"app": "tuning-phi-3"}},
    },
    "tuning": {
        "preset": {"name": "phi-3-mini-128k-instruct"},
        "method": "qlora",
        "input": {"urls": ["https://example.test/data.parquet"]},
        "output": {"image": "registry.test/adapter:0.0.1", "imagePushSecret": "push"},
    },
    "status": {
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "WaitingForNodes",
                "message": "one machine is on its way",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ]
    },
}


def test_fields_are_read_from_the_root() -> None:
    """A Workspace has no spec: resource, tuning and status sit at the root."""
    read = workspace.parse(record_of(SEED))
    assert read.instance_type == "Standard_NC6s_v3"
    assert read.preset_name == "phi-3-mini-128k-instruct"
    assert read.node_labels == {"app": "tuning-phi-3"}
    assert read.tuning is not None
    assert read.tuning.output.image_push_secret == "push"
    assert read.status is not None
    condition = read.status.condition(ConditionType.READY)
    assert condition is not None
    assert condition.reason == "WaitingForNodes"


def test_fields_of_later_versions_do_not_break_reading() -> None:
    """An operator that is older than the CRD still reads what it knows."""
    read = workspace.parse(record_of({**SEED, "resource": {**SEED["resource"], "new": 1}}))
    assert read.instance_type == "Standard_NC6s_v3"


def test_single_value_expressions_choose_nodes_like_labels() -> None:
    """`In` with one value means the same as a matchLabel."""
    selector = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    read = workspace.parse(record_of({**SEED, "resource": {"labelSelector": selector}}))
    assert read.node_labels == {"zone": "a"}


def test_a_claim_is_read_leniently() -> None:
    """A NodeClaim without status, and with fields we do not know, is read."""
    claim = nodeclaim.parse(
        record_of(
            {
                "apiVersion": "karpenter.sh/v1",
                "kind": "NodeClaim",
                "metadata": {"name": "wsabc"},
                "spec": {
                    "novel": True,
                    "requirements": [
                        {
                            "key": "node.kubernetes.io/instance-type",
                            "operator": "In",
                            "values": ["Standard_NC6s_v3"],
                        }
                    ],
                    "resources": {"requests": {"storage": "80Gi"}},
                },
            }
        )
    )
    assert claim.instance_type == "Standard_NC6s_v3"
    assert claim.storage == "80Gi"
    assert not claim.ready
