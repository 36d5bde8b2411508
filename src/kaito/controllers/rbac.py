"""What the operator may do, as Kubernetes objects: from what each controller declares, no more.

    <controller>.PERMISSIONS  -> one ClusterRole each
    what the machinery needs  -> ClusterRole kaito-operator, and a Role in the own namespace
    what people need          -> roles that add to `view`, `edit` and `admin`

`config/rbac` is generated from here.
"""

from collections.abc import Iterable
from typing import Final

from kaito.api.resources import WORKSPACES
from kaito.controllers.nodeclaim import controller as nodeclaim
from kaito.controllers.permissions import Permission
from kaito.controllers.workspace import controller as workspace
from kaito.kube.objects import Json
from kaito.kube.resources import DEPLOYMENTS, EVENTS, LEASES

NAMESPACE: Final = "kaito-system"
"""Where the operator runs unless told otherwise."""

ACCOUNT: Final = "kaito"
"""The operator's ServiceAccount, and the prefix of its roles."""

DECLARED: Final = {"workspace": workspace.PERMISSIONS, "nodeclaim": nodeclaim.PERMISSIONS}
"""Controller, by the name `--controllers` takes → what it may do in every namespace."""

MACHINERY: Final = (
    Permission(DEPLOYMENTS, "list"),
    Permission(EVENTS, "create", "patch"),
)
"""Everywhere: the look for another operator before the start, and telling what happened."""

ELECTION: Final = (Permission(LEASES, "get", "watch", "create", "update"),)
"""In the own namespace only: the lease that one of several replicas holds."""

_GROUP: Final = "rbac.authorization.k8s.io"
_API_VERSION: Final = f"{_GROUP}/v1"


def documents(namespace: str = NAMESPACE) -> list[Json]:
    """The operator's namespace, account, roles and bindings, in the order to create them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": _meta(
                namespace,
                labels={
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "pod-security.kubernetes.io/enforce-version": "latest",
                },
            ),
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _meta(ACCOUNT, namespace),
        },
        *_everywhere(f"{ACCOUNT}-operator", MACHINERY, namespace),
        *(
            document
            for controller, permissions in DECLARED.items()
            for document in _everywhere(f"{ACCOUNT}-{controller}", permissions, namespace)
        ),
        *_here(f"{ACCOUNT}-election", ELECTION, namespace),
    ]


def for_people() -> list[Json]:
    """Roles that the cluster adds to its own `view`, `edit` and `admin`; not the operator's."""
    return [
        _role_for_people("view", ("view", "edit", "admin"), ("get", "list", "watch")),
        _role_for_people(
            "edit",
            ("edit", "admin"),
            ("create", "delete", "deletecollection", "patch", "update"),
        ),
    ]


def _role_for_people(name: str, aggregated: Iterable[str], verbs: tuple[str, ...]) -> Json:
    labels = {f"{_GROUP}/aggregate-to-{role}": "true" for role in aggregated}
    rule = _rule(Permission(WORKSPACES, *verbs))
    return {
        "apiVersion": _API_VERSION,
        "kind": "ClusterRole",
        "metadata": _meta(f"{ACCOUNT}-workspaces-{name}", labels=labels),
        "rules": [rule],
    }


def _everywhere(name: str, permissions: Iterable[Permission], namespace: str) -> list[Json]:
    return [
        _role("ClusterRole", _meta(name), permissions),
        _binding("ClusterRole", _meta(name), namespace),
    ]


def _here(name: str, permissions: Iterable[Permission], namespace: str) -> list[Json]:
    return [
        _role("Role", _meta(name, namespace), permissions),
        _binding("Role", _meta(name, namespace), namespace),
    ]


def _role(kind: str, meta: Json, permissions: Iterable[Permission]) -> Json:
    rules = [_rule(permission) for permission in permissions]
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": meta, "rules": rules}


def _rule(permission: Permission) -> Json:
    return {
        "apiGroups": [permission.resource.group],
        "resources": [permission.target],
        "verbs": list(permission.verbs),
    }


def _binding(kind: str, meta: Json, account_namespace: str) -> Json:
    return {
        "apiVersion": _API_VERSION,
        "kind": f"{kind}Binding",
        "metadata": meta,
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": meta["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": account_namespace}],
    }


def _meta(name: str, namespace: str = "", *, labels: dict[str, str] | None = None) -> Json:
    """Every call makes its own, so that no two documents share a part."""
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {
            "app.kubernetes.io/name": "kaito",
            "app.kubernetes.io/component": "operator",
            **(labels or {}),
        },
    }
