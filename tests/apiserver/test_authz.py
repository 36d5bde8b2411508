"""RBAC: who may do what."""

import pytest

from kaito.apiserver.server import ApiServer, User
from tests.apiserver.support import Api, make_server

OPERATOR = User("operator", ("system:authenticated",))
RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def _grant(server: ApiServer, rules: list[dict[str, object]], namespace: str = "") -> None:
    admin = Api(server)
    where = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
    role, binding = (
        ("roles", "rolebindings") if namespace else ("clusterroles", "clusterrolebindings")
    )
    kind = "Role" if namespace else "ClusterRole"
    await admin.ok("POST", f"{where}/{role}", {"metadata": {"name": "r"}, "rules": rules})
    await admin.ok(
        "POST",
        f"{where}/{binding}",
        {
            "metadata": {"name": "b"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "r"},
            "subjects": [{"kind": "User", "name": "operator"}],
        },
    )


async def test_nothing_is_allowed_by_default() -> None:
    """The refusal is the real server's sentence, in and outside namespaces, of subresources too."""
    api = Api(user=OPERATOR)
    status = await api.refused("GET", "/api/v1/pods")
    assert status["message"] == (
        'pods is forbidden: User "operator" cannot list resource "pods" in API group "" at the '
        "cluster scope"
    )
    status = await api.refused("GET", "/apis/apps/v1/namespaces/d/deployments/x/scale")
    assert status["message"] == (
        'deployments.apps "x" is forbidden: User "operator" cannot get resource '
        '"deployments/scale" in API group "apps" in the namespace "d"'
    )
    status = await api.refused("GET", "/metrics")
    assert status["message"] == 'forbidden: User "operator" cannot get path "/metrics"'


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}, True),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, False),
        ({"verbs": ["list"], "apiGroups": ["apps"], "resources": ["pods"]}, False),
        ({"verbs": ["list"], "apiGroups": [""], "resources": ["pods/log"]}, False),
        (
            {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]},
            False,
        ),
    ],
)
async def test_rules_allow_what_they_name(rule: dict[str, object], allowed: bool) -> None:
    """Verbs, groups, resources and names must all match."""
    server = make_server()
    await _grant(server, [rule])
    answer = await Api(server, OPERATOR).send("GET", "/api/v1/namespaces/default/pods")
    assert (answer.status == 200) is allowed


async def test_a_role_holds_in_its_namespace_only() -> None:
    """And a change of a role holds from the next request on."""
    server = make_server()
    await _grant(server, [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}], "default")
    api = Api(server, OPERATOR)
    await api.ok("GET", "/api/v1/namespaces/default/pods")
    await api.refused("GET", "/api/v1/namespaces/kube-system/pods")
    await Api(server).ok("DELETE", f"{RBAC}/namespaces/default/rolebindings/b")
    await api.refused("GET", "/api/v1/namespaces/default/pods")


async def test_a_resource_name_allows_one_object() -> None:
    """Also when a list selects just that object by its name."""
    server = make_server()
    rule = {
        "verbs": ["get", "list"],
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["a"],
    }
    await _grant(server, [rule])
    api = Api(server, OPERATOR)
    path = "/api/v1/namespaces/default/configmaps"
    assert (await api.refused("GET", f"{path}/a"))["code"] == 404
    assert (await api.refused("GET", f"{path}/b"))["code"] == 403
    await api.ok("GET", f"{path}?fieldSelector=metadata.name=a")
    await api.refused("GET", path)


async def test_a_user_can_ask_what_it_may() -> None:
    """SelfSubjectAccessReview names the binding; SelfSubjectReview the user."""
    server = make_server()
    await _grant(server, [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])
    api = Api(server, OPERATOR)
    ask = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "d"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    status = (await api.ok("POST", path, ask))["status"]
    assert status == {
        "allowed": True,
        "reason": 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "operator"',
    }
    ask["spec"]["resourceAttributes"]["verb"] = "delete"
    assert (await api.ok("POST", path, ask))["status"] == {"allowed": False}
