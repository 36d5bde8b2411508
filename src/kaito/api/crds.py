"""Types become CustomResourceDefinitions.

`config/crd` holds our kinds; `config/crd/karpenter` holds Karpenter's NodeClaim for clusters that
have no Karpenter. Nothing ever replaces a definition that is already there.
"""

import json
from typing import Any

import yaml

from kaito.api.nodeclaim_crd import nodeclaims
from kaito.api.resources import GROUP
from kaito.api.validation import V1ALPHA1_INSTANCE_TYPE
from kaito.api.workspace import Content
from kaito.kube.objects import Json
from kaito.kube.schema.pydantic_schema import structural_schema


def documents(*, karpenter: bool = False) -> list[Json]:
    """The definitions of our kinds; with `karpenter` also those our kinds need from Karpenter."""
    return [_workspaces(), *((nodeclaims(),) if karpenter else ())]


def _workspaces() -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"workspaces.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "categories": ["workspace"],
                "kind": "Workspace",
                "listKind": "WorkspaceList",
                "plural": "workspaces",
                "shortNames": ["wk", "wks"],
                "singular": "workspace",
            },
            "scope": "Namespaced",
            "versions": [_version("v1alpha1"), _version("v1beta1")],
        },
    }


def _version(name: str) -> Json:
    return {
        "name": name,
        "served": True,
        "storage": name == "v1beta1",
        "subresources": {"status": {}},
        "additionalPrinterColumns": _columns(name),
        "schema": {"openAPIV3Schema": workspace_schema(name)},
    }


def workspace_schema(version: str) -> Json:
    """The structural schema of one version: the same for both, but for one default."""
    schema = structural_schema(Content)
    if version == "v1alpha1":
        resource = schema["properties"]["resource"]["properties"]
        resource["instanceType"]["default"] = V1ALPHA1_INSTANCE_TYPE
    return schema


def _condition(name: str, type_: str, field: str = "status", *, wide: bool = False) -> Json:
    return _column(name, f'.status.conditions[?(@.type=="{type_}")].{field}', wide=wide)


def _column(name: str, path: str, type_: str = "string", *, wide: bool = False) -> Json:
    return {"name": name, "jsonPath": path, "type": type_, **({"priority": 1} if wide else {})}


def _columns(version: str) -> list[Json]:
    """v1alpha1 prints what its users have always seen; v1beta1 says why beside it."""
    alpha = version == "v1alpha1"
    return [
        _column("Instance", ".resource.instanceType"),
        _condition("ResourceReady", "ResourceReady"),
        _condition("InferenceReady", "InferenceReady"),
        _condition("WorkspaceReady", "WorkspaceSucceeded"),
        *(() if alpha else (_condition("Reason", "Ready", "reason"),)),
        _column("Age", ".metadata.creationTimestamp", "date"),
        *((_condition("Reason", "Ready", "reason", wide=True),) if alpha else ()),
        _condition("JobStarted", "JobStarted", wide=True),
        _column("Nodes", ".status.targetNodeCount", "integer", wide=True),
        _column("State", ".status.state", wide=True),
        _column("Engine", ".status.engine", wide=True),
        _condition("Message", "Ready", "message", wide=True),
    ]


class _Dumper(yaml.SafeDumper):
    """Writes the same text for the same document, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as PyYAML calls it
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - same
        """Lists are indented below their key, as kubectl and kustomize write them."""
        super().increase_indent(flow, False)


def to_yaml(document: Json) -> str:
    """One document as YAML, keys in the order they were put in."""
    plain = json.loads(json.dumps(document))
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, width=100)


def kustomization(*resources: str) -> Json:
    """A folder of these files, for `kubectl apply -k`."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
    }


def files() -> dict[str, str]:
    """Every generated file: its path below config/crd, and its text."""
    found = {
        "kustomization.yaml": kustomization("kaito.sh_workspaces.yaml"),
        "kaito.sh_workspaces.yaml": _workspaces(),
        "karpenter/kustomization.yaml": kustomization("karpenter.sh_nodeclaims.yaml"),
        "karpenter/karpenter.sh_nodeclaims.yaml": nodeclaims(),
    }
    return {path: to_yaml(document) for path, document in found.items()}
