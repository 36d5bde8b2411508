"""The generated definitions: fresh, and enforcing what they should."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kaito.api import crds
from kaito.api.nodeclaim_crd import nodeclaims
from kaito.api.validation import with_defaults
from kaito.kube.schema import structural, validation
from kaito.kube.schema.structural import Schema

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = EXAMPLES / "fine-tuning" / "kaito_workspace_tuning_phi_3.yaml"


def claim(**spec: Any) -> dict[str, Any]:
    size = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["Standard_X"]}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": "wsabc"},
        "spec": {
            "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
            "requirements": [
                size,
                {"key": "karpenter.sh/nodepool", "operator": "In", "values": ["kaito"]},
                {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
                {"key": "karpenter.azure.com/sku-name", "operator": "In", "values": ["Standard_X"]},
            ],
            "resources": {"requests": {"storage": "87Gi"}},
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            "expireAfter": "Never",
            **spec,
        },
    }


def claim_schema() -> Schema:
    return Schema(nodeclaims()["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def messages(obj: dict[str, Any], schema: Schema, old: dict[str, Any] | None = None) -> list[str]:
    found = (
        validation.validate(obj, schema)
        if old is None
        else validation.validate(obj, schema, old=old)
    )
    return [f"{error.path}: {error.message}" for error in found]


def test_names_versions_and_subresource() -> None:
    """Both versions are served, v1beta1 is stored, short names and category are KAITO's."""
    (document,) = crds.documents()
    spec = document["spec"]
    assert spec["names"]["shortNames"] == ["wk", "wks"]
    assert spec["names"]["categories"] == ["workspace"]
    assert [(v["name"], v["served"], v["storage"]) for v in spec["versions"]] == [
        ("v1alpha1", True, False),
        ("v1beta1", True, True),
    ]
    assert all(v["subresources"] == {"status": {}} for v in spec["versions"])
    assert "conversion" not in spec
    assert [d["metadata"]["name"] for d in crds.documents(karpenter=True)] == [
        "workspaces.kaito.sh",
        "nodeclaims.karpenter.sh",
    ]


def test_columns() -> None:
    """v1alpha1 prints what its users know; v1beta1 adds the reason; wide adds the same to both."""
    columns = {
        v["name"]: list(v["additionalPrinterColumns"])
        for v in crds.documents()[0]["spec"]["versions"]
    }
    narrow = {n: [c["name"] for c in cs if not c.get("priority")] for n, cs in columns.items()}
    assert narrow["v1alpha1"] == [
        "Instance",
        "ResourceReady",
        "InferenceReady",
        "WorkspaceReady",
        "Age",
    ]
    assert narrow["v1beta1"] == [
        "Instance",
        "ResourceReady",
        "InferenceReady",
        "WorkspaceReady",
        "Reason",
        "Age",
    ]
    wide = [c["name"] for c in columns["v1beta1"] if c.get("priority")]
    assert wide == ["JobStarted", "Nodes", "State", "Engine", "Message"]
    ready = next(c for c in columns["v1alpha1"] if c["name"] == "WorkspaceReady")
    assert ready["jsonPath"] == '.status.conditions[?(@.type=="WorkspaceSucceeded")].status'


def test_both_versions_share_one_schema_but_for_a_default() -> None:
    """No field exists in one version only; only v1alpha1 has a default machine."""
    alpha, beta = crds.workspace_schema("v1alpha1"), crds.workspace_schema("v1beta1")
    instance_type = alpha["properties"]["resource"]["properties"]["instanceType"]
    assert instance_type.pop("default") == "Standard_NC24ads_A100_v4"
    assert alpha == beta


def test_every_field_is_explained() -> None:
    """`kubectl explain` has a sentence for every field of a Workspace."""

    def silent(node: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, child in node.get("properties", {}).items():
            if not child.get("description"):
                found.append(f"{path}.{name}")
            found += silent(child, f"{path}.{name}")
        items = node.get("items") or node.get("additionalProperties") or {}
        return found + (silent(items, f"{path}[]") if items else [])

    assert silent(crds.workspace_schema("v1beta1"), "") == []


def test_conditions_merge_by_type() -> None:
    """Two writers of conditions do not overwrite each other."""
    conditions = Schema(crds.workspace_schema("v1beta1")).at("status", "conditions")
    assert conditions is not None
    assert (conditions.list_type, conditions.list_map_keys) == ("map", ("type",))


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_the_seed_is_accepted_as_it_is(version: str) -> None:
    """The YAML of the tutorial fits the schema, nothing is pruned, and defaults are filled in."""
    obj = yaml.safe_load(SEED.read_text())
    schema = Schema(crds.workspace_schema(version))
    assert structural.prune(obj, schema) == []
    structural.default(obj, schema)
    assert messages(obj, schema) == []
    assert obj["resource"]["count"] == 1
    assert obj["tuning"]["preset"]["accessMode"] == "public"


def test_reading_a_file_fills_in_what_the_server_would() -> None:
    """A v1alpha1 file without instanceType plans as it would run."""
    obj = {"apiVersion": "kaito.sh/v1alpha1", "resource": {"labelSelector": {}}}
    schema = Schema(crds.workspace_schema("v1alpha1"))
    defaulted = with_defaults(obj)
    structural.default(obj, schema)
    assert obj["resource"]["instanceType"] == defaulted["resource"]["instanceType"]


def test_a_claim_as_we_write_it_is_accepted() -> None:
    """What the operator asks for passes Karpenter's rules."""
    assert messages(claim(), claim_schema()) == []


@pytest.mark.parametrize(
    ("requirement", "complaint"),
    [
        ({"key": "a", "operator": "In", "values": []}, "operator In needs values"),
        ({"key": "a", "operator": "Gt", "values": ["1", "2"]}, "need one whole number"),
        ({"key": "a", "operator": "In", "values": ["x"], "minValues": 2}, "minValues"),
        ({"key": "kubernetes.io/hostname", "operator": "Exists"}, "host name"),
        ({"key": "foo.kubernetes.io/x", "operator": "Exists"}, "only well-known"),
        ({"key": "node.k8s.io/x", "operator": "Exists"}, "k8s.io"),
        ({"key": "karpenter.sh/other", "operator": "Exists"}, "karpenter.sh"),
        ({"key": "a", "operator": "Near"}, "Unsupported value"),
    ],
)
def test_requirements_are_judged_as_karpenter_judges(
    requirement: dict[str, Any], complaint: str
) -> None:
    """A requirement Karpenter would refuse is refused where there is no Karpenter."""
    requirement.setdefault("values", [])
    found = messages(claim(requirements=[requirement]), claim_schema())
    assert any(complaint in message for message in found), found


def test_a_claim_cannot_be_changed() -> None:
    """The spec of a claim is immutable, as in Karpenter."""
    found = messages(claim(expireAfter="720h"), claim_schema(), old=claim())
    assert any("spec is immutable" in message for message in found), found
    assert messages(claim(), claim_schema(), old=claim()) == []


def test_a_claim_needs_a_class() -> None:
    """Empty names in nodeClassRef are refused."""
    empty = {"group": "kaito.sh", "kind": "", "name": "default"}
    found = messages(claim(nodeClassRef=empty), claim_schema())
    assert any("kind may not be empty" in message for message in found), found
