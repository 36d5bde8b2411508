"""Nobody grants what they do not hold."""

import pytest

from kaito.apiserver.server import User
from tests.apiserver.support import Api, Json, make_server

RBAC = "/apis/rbac.authorization.k8s.io/v1"
OPERATOR = User("operator", ("system:authenticated",))
WRITE = {
    "verbs": ["create", "update"],
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["*"],
}


async def _api(*rules: Json) -> Api:
    server = make_server()
    admin = Api(server)
    await admin.ok(
        "POST", f"{RBAC}/clusterroles", {"metadata": {"name": "r"}, "rules": [WRITE, *rules]}
    )
    await admin.ok(
        "POST",
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": {"name": "b"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "r",
            },
            "subjects": [{"kind": "User", "name": "operator"}],
        },
    )
    return Api(server, OPERATOR)


def _rule(verb: str, resource: str, *names: str) -> Json:
    return {
        "verbs": [verb],
        "apiGroups": [""],
        "resources": [resource],
        **({"resourceNames": list(names)} if names else {}),
    }


@pytest.mark.parametrize(
    ("held", "wanted", "allowed"),
    [
        (_rule("get", "pods"), _rule("get", "pods"), True),
        (_rule("*", "*"), _rule("get", "pods", "x"), True),
        (_rule("get", "pods"), _rule("get", "pods", "x"), True),
        (_rule("get", "pods", "x"), _rule("get", "pods"), False),
        (_rule("get", "pods", "x"), _rule("get", "pods", "y"), False),
        (_rule("get", "pods"), _rule("list", "pods"), False),
        (_rule("get", "*/log"), _rule("get", "pods/log"), True),
        (_rule("get", "pods"), _rule("get", "pods/log"), False),
    ],
)
async def test_a_role_holds_at_most_what_its_writer_holds(
    held: Json, wanted: Json, allowed: bool
) -> None:
    """Verb, group, resource and name must each be covered by one held rule."""
    api = await _api(held)
    answer = await api.send(
        "POST", f"{RBAC}/clusterroles", {"metadata": {"name": "n"}, "rules": [wanted]}
    )
    assert (answer.status == 201) is allowed, answer.body


async def test_escalate_and_bind_are_verbs() -> None:
    """Whoever may escalate or bind needs not hold the rules."""
    power = {
        "verbs": ["escalate", "bind"],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["*"],
    }
    api = await _api(power)
    role = {"metadata": {"name": "n"}, "rules": [_rule("*", "*")]}
    await api.ok("POST", f"{RBAC}/clusterroles", role)
    binding = {
        "metadata": {"name": "n"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [],
    }
    await api.ok("POST", f"{RBAC}/clusterrolebindings", binding)
