"""A claim's life on a whole world."""

from tests.controllers.nodeclaim.world import A100, World, claim


async def test_a_claim_becomes_a_machine_that_has_joined() -> None:
    """All four conditions become true, the status tells the machine, the Node is ours."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(120)
        record = await world.claim()
        (node,) = await world.nodes()

    assert record is not None
    assert record.meta.finalizers == ("karpenter.sh/termination",)
    assert record.meta.labels["node.kubernetes.io/instance-type"] == A100
    status = record.get("status")
    assert {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]} == {
        kind: ("True", kind) for kind in ("Launched", "Registered", "Initialized", "Ready")
    }
    assert status["providerID"] == node.get("spec", "providerID")
    assert status["nodeName"] == node.meta.name
    assert status["imageID"].startswith("AKSUbuntu")
    assert status["capacity"]["nvidia.com/gpu"] == "1"
    assert node.meta.labels["karpenter.sh/registered"] == "true"
    assert node.meta.labels["karpenter.sh/initialized"] == "true"
    assert node.meta.labels["kaito.sh/workspace"] == "phi"
    assert node.meta.finalizers == ("karpenter.sh/termination",)
    assert [owner.name for owner in node.meta.owners] == ["ws1"]
    assert [t["key"] for t in node.get("spec", "taints")] == ["sku"]
    assert world.arm.meter.pools_created == 1


async def test_a_deleted_claim_takes_everything_with_it() -> None:
    """Machine, Node and claim are gone; no request follows."""
    world = World()
    async with world.running(), world.operator() as line:
        await world.make(claim())
        await world.until(world.ready)
        await world.delete()
        await world.until(world.gone)
        writes = len(line.writes)
        await world.clock.sleep(600)

        assert await world.nodes() == []
        assert world.arm.states() == {}
        assert len(line.writes) == writes


async def test_the_writes_of_a_whole_life_are_few() -> None:
    """The intent, the pool, one per distinct status, the Node; and once converged, nothing."""
    world = World()
    async with world.running(), world.operator() as line:
        await world.make(claim())
        await world.until(world.ready)
        (node,) = await world.nodes()
        await world.clock.sleep(300)
        asked, answered = len(world.requests), len(world.arm.requests)
        await world.clock.sleep(600)

        assert [(verb, "/".join(path.split("/")[-2:])) for verb, path in line.writes] == [
            ("PATCH", "nodeclaims/ws1"),
            ("PUT", "agentPools/ws1"),
            ("PATCH", "ws1/status"),
            ("PATCH", f"nodes/{node.meta.name}"),
            ("PATCH", "ws1/status"),
        ]
        assert {request.verb for request in world.requests[asked:]} == {"watch"}
        assert {method for method, _, _ in world.arm.requests[answered:]} == {"GET"}
        assert len(world.arm.requests) - answered <= 2
