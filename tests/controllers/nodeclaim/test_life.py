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
    """One for the intent, one for the pool, one per distinct status, two for the Node; then none."""
    world = World()
    async with world.running(), world.operator() as line:
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(300)
        created = [(verb, path.rsplit("/", 2)[-2:]) for verb, path in line.writes]
        reads = len(world.arm.requests)
        before = len(world.requests)
        await world.clock.sleep(600)

        assert (
            created
            == [
                ("PATCH", ["nodeclaims", "ws1"]),
                ("PUT", ["agentPools", "ws1"]),
                ("PATCH", ["ws1", "status"]),
                ("PATCH", ["ws1", "status"]),
                ("PATCH", ["nodes", line.writes[4][1].rsplit("/", 1)[1]]),
            ]
            or created
        )
        assert len(line.writes) == len(created)
        print(
            created, reads, [r for r in world.requests[before:] if r.user_agent.startswith("kaito")]
        )
