"""The operator may do what its controllers declare, and nothing else."""

from collections import Counter
from itertools import product

import pytest

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.apiserver.server import User
from kaito.controllers import rbac
from kaito.controllers.permissions import Permission
from kaito.kube.resources import BUILTIN, LEASES, SECRETS
from kaito.settings import CONTROLLERS
from tests.apiserver.support import Api, make_server

OPERATOR = User(
    "system:serviceaccount:kaito-system:kaito",
    ("system:serviceaccounts", "system:serviceaccounts:kaito-system", "system:authenticated"),
)
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("bind", "escalate", "impersonate"),
)
EVERYWHERE = (*rbac.MACHINERY, *(one for found in rbac.DECLARED.values() for one in found))


def allowed(permissions: tuple[Permission, ...]) -> set[tuple[str, str, str]]:
    """Every (group, resource, verb) that permissions stand for."""
    return {(one.resource.group, one.target, verb) for one in permissions for verb in one.verbs}


async def with_operator() -> tuple[Api, Api]:
    """The administrator and the operator of a server that has the documents."""
    server = make_server()
    admin = Api(server)
    for document in (*rbac.documents(), *rbac.for_people()):
        namespace = document["metadata"].get("namespace", "")
        await admin.ok("POST", PATHS[document["kind"]].format(namespace=namespace), document)
    return admin, Api(server, OPERATOR)


async def may(api: Api, group: str, resource: str, verb: str, namespace: str) -> bool:
    """What the server answers when the identity asks for itself."""
    plural, _, subresource = resource.partition("/")
    attributes = {
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace,
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await api.ok("POST", path, {"spec": {"resourceAttributes": attributes}})
    return bool(answer["status"]["allowed"])


async def test_the_operator_may_do_what_is_declared_and_nothing_else() -> None:
    """Every verb on every resource and subresource there is: allowed exactly when declared."""
    _, operator = await with_operator()
    declared = allowed(EVERYWHERE)
    names = {(one.group, one.plural) for one in (*BUILTIN, WORKSPACES, NODECLAIMS)}
    subresources = {
        (group, f"{plural}/{sub}")
        for (group, plural), sub in product(names, ("status", "scale", "finalizers", "eviction"))
    }
    more = {("", f"pods/{sub}") for sub in ("exec", "attach", "portforward", "log", "proxy")}
    more |= {("", "nodes/proxy"), ("", "serviceaccounts/token")}
    answers = {
        (group, resource, verb): await may(operator, group, resource, verb, "somebodys")
        for (group, resource), verb in product(names | subresources | more, VERBS)
    }
    always = {
        (group, resource, "create")
        for group, resource in (
            ("authorization.k8s.io", "selfsubjectaccessreviews"),
            ("authentication.k8s.io", "selfsubjectreviews"),
        )
    }
    assert {asked for asked, yes in answers.items() if yes} == declared | always
    assert declared <= set(answers), "the test must ask for everything that is declared"


async def test_the_lease_is_the_operators_in_its_own_namespace_only() -> None:
    """Elsewhere leases belong to others: taking one would stop them."""
    _, operator = await with_operator()
    for verb in VERBS:
        declared = (LEASES.group, LEASES.plural, verb) in allowed(rbac.ELECTION)
        asked = (LEASES.group, LEASES.plural, verb)
        assert await may(operator, *asked, rbac.NAMESPACE) is declared
        assert not await may(operator, *asked, "kube-system")


async def test_secrets_are_never_listed() -> None:
    """Neither everywhere nor in a namespace, not by list, not by watch."""
    _, operator = await with_operator()
    for path in ("/api/v1/secrets", "/api/v1/namespaces/default/secrets"):
        assert (await operator.refused("GET", path))["code"] == 403
        assert (await operator.refused("GET", f"{path}?watch=1"))["code"] == 403


async def test_it_cannot_give_itself_more() -> None:
    """Its own roles are out of its reach."""
    _, operator = await with_operator()
    path = f"{PATHS['ClusterRole']}/kaito-operator"
    assert (await operator.refused("DELETE", path))["code"] == 403
    more = {"metadata": {"name": "more"}, "rules": []}
    assert (await operator.refused("POST", PATHS["ClusterRole"], more))["code"] == 403


def test_no_verb_and_no_resource_is_a_wildcard() -> None:
    """A wildcard allows what nobody declared."""
    for document in (*rbac.documents(), *rbac.for_people()):
        for rule in document.get("rules", ()):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_secrets_are_read_one_by_one_only() -> None:
    """Whatever a controller declares in future, it may `get` a Secret by name and no more."""
    verbs = {verb for one in EVERYWHERE if one.resource == SECRETS for verb in one.verbs}
    assert verbs <= {"get"}


def test_another_namespace_is_named_everywhere() -> None:
    """An operator installed elsewhere has its account, its lease and its subjects there."""
    for document in rbac.documents("elsewhere"):
        meta = document["metadata"]
        assert meta.get("namespace", "elsewhere") == "elsewhere"
        assert [one["namespace"] for one in document.get("subjects", ())] in ([], ["elsewhere"])


def test_every_controller_has_its_role() -> None:
    """`--controllers` names them, and each of them comes with what it declares."""
    assert set(rbac.DECLARED) == set(CONTROLLERS)
    roles = {one["metadata"]["name"] for one in rbac.documents() if one["kind"] == "ClusterRole"}
    assert {f"kaito-{name}" for name in CONTROLLERS} <= roles


def test_names_are_unique() -> None:
    """Two documents of one kind and name would overwrite each other."""
    documents = (*rbac.documents(), *rbac.for_people())
    names = Counter((one["kind"], one["metadata"]["name"]) for one in documents)
    assert set(names.values()) == {1}


def test_documents_are_fresh() -> None:
    """Who edits what was handed out spoils nothing for the next caller."""
    first = rbac.documents()
    for document in first:
        document["metadata"]["labels"].clear()
        document.clear()
    assert rbac.documents() != first


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_people_get_workspaces_through_the_clusters_own_roles(role: str) -> None:
    """Who may view a namespace sees its Workspaces; who may edit it changes them."""
    label = f"rbac.authorization.k8s.io/aggregate-to-{role}"
    rules = [
        rule
        for document in rbac.for_people()
        if label in document["metadata"]["labels"]
        for rule in document["rules"]
    ]
    verbs = {verb for rule in rules for verb in rule["verbs"]}
    assert {"get", "list", "watch"} <= verbs
    assert ("delete" in verbs) is (role != "view")
    assert {target for rule in rules for target in rule["resources"]} == {"workspaces"}
