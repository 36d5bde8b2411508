"""`kubectl --as`: requests on behalf of another user."""

import pytest

from kaito.apiserver.server import ApiServer, User
from tests.apiserver.support import Api, Json, make_server

OPERATOR = User("operator", ("system:authenticated",))
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def _whoami(api: Api, **headers: str) -> Json:
    return (await api.ok("POST", REVIEWS, {}, **headers))["status"]["userInfo"]


async def _may_impersonate(server: ApiServer, *resources: str, names: tuple[str, ...]) -> None:
    admin = Api(server)
    rule = {
        "verbs": ["impersonate"],
        "apiGroups": ["", "authentication.k8s.io"],
        "resources": list(resources),
        "resourceNames": list(names),
    }
    await admin.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "i"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "i"}
    subjects = [{"kind": "User", "name": "operator"}]
    binding = {"metadata": {"name": "i"}, "roleRef": reference, "subjects": subjects}
    await admin.ok("POST", f"{RBAC}/clusterrolebindings", binding)


async def test_the_request_is_another_users() -> None:
    """Who asks and what they may are those of the user that is named."""
    api = Api()
    assert await _whoami(api, impersonate_user="jane", impersonate_group="a,b") == {
        "username": "jane",
        "groups": ["a", "b", "system:authenticated"],
    }
    said = await api.refused("GET", "/api/v1/nodes", impersonate_user="jane")
    assert said["message"].startswith('nodes is forbidden: User "jane" cannot list resource')


async def test_service_accounts_and_strangers_have_their_groups() -> None:
    """A service account is in the groups of its kind; a stranger is not authenticated."""
    api = Api()
    robot = await _whoami(api, impersonate_user="system:serviceaccount:n:robot")
    assert robot["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:n",
        "system:authenticated",
    ]
    headers = {"impersonate_user": "system:anonymous"}
    said = await api.refused("GET", "/api/v1/nodes", **headers)
    assert 'User "system:anonymous"' in said["message"]


async def test_more_is_told_about_a_user() -> None:
    """uid and extra are the named user's too."""
    headers = {"impersonate_uid": "7", "impersonate_extra_scopes%2fx": "view"}
    told = await _whoami(Api(), impersonate_user="jane", **headers)
    assert told["uid"] == "7"
    assert told["extra"] == {"scopes/x": ["view"]}


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"impersonate_user": "jane"}, True),
        ({"impersonate_user": "joe"}, False),
        ({"impersonate_user": "jane", "impersonate_group": "devs"}, False),
        ({"impersonate_user": "jane", "impersonate_uid": "1"}, False),
        ({"impersonate_user": "system:serviceaccount:n:jane"}, False),
    ],
)
async def test_one_must_be_allowed_to(headers: dict[str, str], allowed: bool) -> None:
    """The right to impersonate is asked for each thing that is claimed."""
    server = make_server()
    await _may_impersonate(server, "users", names=("jane",))
    api = Api(server, OPERATOR)
    if allowed:
        assert (await _whoami(api, **headers))["username"] == "jane"
        return
    said = await api.refused("GET", "/api/v1/nodes", **headers)
    assert said["code"] == 403
    assert 'User "operator" cannot impersonate-on:' in said["message"]


async def test_a_group_alone_is_nobody() -> None:
    """Groups without a user are an error of the client."""
    said = await Api().refused("GET", "/api/v1/nodes", impersonate_group="devs")
    assert said["code"] == 500
