"""What the controller declares is what it needs."""

from kaito.apiserver.server import User
from kaito.controllers.nodeclaim.controller import PERMISSIONS
from kaito.kube.objects import Json, Resource
from kaito.kube.resources import NODES
from tests.controllers.nodeclaim.world import World, claim

OPERATOR = User("operator", ("system:authenticated",))
RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)


async def bind(world: World) -> None:
    rules: list[Json] = [
        {
            "apiGroups": [permission.resource.group],
            "resources": [permission.target],
            "verbs": list(permission.verbs),
        }
        for permission in PERMISSIONS
    ]
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "operator"}
    subject = {"apiGroup": RBAC, "kind": "User", "name": OPERATOR.name}
    await world.api.create(ROLES, {"metadata": {"name": "operator"}, "rules": rules})
    await world.api.create(
        BINDINGS,
        {"metadata": {"name": "operator"}, "roleRef": role, "subjects": [subject]},
    )


async def test_a_whole_life_needs_no_more_than_is_declared() -> None:
    """Launch, registration, eviction, a grace period that ends, deletion by Node, all events."""
    world = World()
    async with world.running():
        await bind(world)
        async with world.operator(user=OPERATOR):
            for name, spec in {"ws1": {}, "ws2": {"terminationGracePeriod": "1m"}}.items():
                await world.make(claim(name, **spec))
            await world.until(lambda: world.ready("ws1"))
            await world.until(lambda: world.ready("ws2"))
            for node in await world.nodes():
                await world.pod(f"pod-on-{node.meta.name}", node.meta.name)
                held = {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}
                if "ws2" in node.meta.name:
                    await world.pod("held", node.meta.name, metadata=held)
            (first, _) = await world.nodes()
            await world.api.delete(NODES, first.key)
            await world.delete("ws2")
            await world.until(lambda: world.gone("ws1"))
            await world.until(lambda: world.gone("ws2"))

    made = [request for request in world.requests if request.user == OPERATOR.name]
    assert {request.code for request in made} <= {200, 201}
    assert {"evict", "eviction"} & {request.subresource for request in made}
    assert world.arm.states() == {}
