"""What goes wrong on the way to a machine, and how it is told and mended."""

from dataclasses import replace

import pytest

from kaito.api.resources import NODECLAIMS
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.kube.objects import Json
from kaito.kube.resources import EVENTS
from kaito.provisioner.cloud import reason_told
from kaito.simulator.arm import answers
from kaito.simulator.arm.answers import ArmError
from kaito.simulator.arm.faults import Fault
from tests.controllers.nodeclaim.world import A100, World, claim


async def test_a_used_up_quota_is_told_and_cured_by_raising_it() -> None:
    """Cause and cure are in the condition and in one event; then the machine comes by itself."""
    world = World()
    world.arm.set_quota(A100, 0)
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(5)
        status, reason, message = await world.condition("Launched")
        await world.clock.sleep(1000)
        events = await world.events()
        world.arm.set_quota(A100, 24)
        took = await world.until(world.ready)

    assert (status, reason, reason_told(message)) == ("Unknown", "LaunchFailed", "QuotaExceeded")
    assert 'Raise the quota "standardNCADSA100v4Family" in eastus by at least 24 vCPUs' in message
    assert events == [("Warning", "QuotaExceeded")]
    assert took < 300 + 240
    assert world.arm.meter.pools_created == 1


async def test_a_refusal_is_not_repeated_in_a_loop() -> None:
    """Tries become rarer, and status is written once."""
    world = World()
    world.arm.set_quota(A100, 0)
    async with world.running(), world.operator() as line:
        await world.make(claim())
        await world.clock.sleep(3600)

    verbs = [verb for verb, _ in line.writes]
    assert verbs.count("PATCH") == 2
    assert verbs.count("PUT") <= 16


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (answers.sku_not_available(A100, "eastus"), "SkuUnavailable"),
        (answers.not_authorized(), "NotPermitted"),
        (answers.cluster_not_found("embedded", "kaito"), "ClusterNotFound"),
        (answers.too_many_pools(100), "NodePoolLimitReached"),
        (ArmError(code="", message="Sorry", status=500), "CloudUnreachable"),
    ],
)
async def test_every_refusal_has_its_stable_reason(refusal: ArmError, reason: str) -> None:
    """Programs read the reason, people the rest; when it passes, the machine comes."""
    world = World()
    world.arm.faults.inject(Fault(method="PUT", times=None, refusal=refusal))
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(60)
        told = await world.condition("Launched")
        world.arm.faults.clear()
        await world.until(world.ready)

    assert told[:2] == ("Unknown", "LaunchFailed")
    assert reason_told(told[2]) == reason


async def test_a_pool_that_fails_later_is_deleted_before_the_next_try() -> None:
    """The cause stays told while the failed pool goes; then a new one is made."""
    world = World()
    failure = answers.allocation_failed(A100, "eastus")
    world.arm.faults.inject(Fault(method="PUT", outcome=failure))
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(lambda: told_reason(world, "AllocationFailed"))
        await world.until(lambda: state(world, "Deleting"))
        assert reason_told((await world.condition("Launched"))[2]) == "AllocationFailed"
        await world.until(world.ready)
        await world.clock.sleep(60)

        assert world.arm.states() == {"ws1": "Succeeded"}
        assert world.arm.meter.pools_created == 2
        assert len(await world.nodes()) == 1


async def test_a_slow_launch_is_reported_and_not_cancelled() -> None:
    """Slow is not failed: told once, with a warning; the machine is used when it comes."""
    world = World(create_seconds=3000)
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(1000)
        told = await world.condition("Launched")
        events = await world.events()
        await world.until(world.ready)

    assert told[1] == "LaunchTimeout"
    assert events == [("Warning", "LaunchTimeout")]
    assert world.arm.meter.pools_created == 1


async def test_during_creation_the_claim_says_so() -> None:
    """Status is written as soon as the launch was accepted."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(2)

        assert (await world.condition("Launched"))[:2] == ("Unknown", "Launching")
        assert (await world.condition("Ready"))[:2] == ("Unknown", "ReconcilingDependents")


async def test_a_strangers_pool_of_that_name_is_left_alone() -> None:
    """It is told; and deleting the claim does not touch the pool either."""
    world = World()
    world.arm.add_pool("ws1")
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(400)
        told = await world.condition("Launched")
        await world.delete()
        await world.until(world.gone)
        await world.clock.sleep(3000)

    assert reason_told(told[2]) == "NameTaken"
    assert world.arm.states() == {"ws1": "Succeeded"}
    assert world.arm.meter.pools_created == 0


async def test_a_machine_of_a_former_provisioner_is_adopted() -> None:
    """gpu-provisioner's pool carries the claim's creation time; no second pool is made."""
    world = World()
    async with world.running():
        made = await world.make(claim())
        stamp = (made.meta.creation_timestamp or "").replace(":", "-")
        labels = {**made.meta.labels, "kaito.sh/creation-timestamp": stamp}
        world.arm.add_pool("ws1", A100, nodeLabels=labels)
        async with world.operator():
            await world.until(world.ready)
            await world.delete()
            await world.until(world.gone)

    assert world.arm.meter.pools_created == 0
    assert world.arm.states() == {}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"requirements": []}, "names no machine size"),
        (
            {
                "requirements": [
                    {
                        "key": "node.kubernetes.io/instance-type",
                        "operator": "NotIn",
                        "values": [A100],
                    }
                ]
            },
            "names no machine size",
        ),
        ({"resources": {"requests": {"storage": "0"}}}, "more than zero"),
    ],
)
async def test_a_claim_that_can_never_be_served_says_why(spec: Json, told: str) -> None:
    """Nothing is guessed, and the cloud is not asked."""
    world = World()
    async with world.running(), world.operator() as line:
        await world.make(claim(**spec))
        await world.clock.sleep(60)

        assert told in (await world.condition("Launched"))[2]
        assert [verb for verb, _ in line.writes] == ["PATCH", "PATCH"]


async def test_an_unknown_image_family_is_told_and_ubuntu_is_used() -> None:
    """A typing error does not keep the machine from coming, but is not silent either."""
    world = World()
    odd = claim()
    odd["metadata"]["annotations"]["kaito.sh/node-image-family"] = "ubunto"
    async with world.running(), world.operator():
        await world.make(odd)
        await world.until(world.ready)
        events = await world.events()
        record = await world.claim()

    assert ("Warning", "UnknownImageFamily") in events
    assert record is not None
    assert record.get("status", "imageID").startswith("AKSUbuntu")


async def test_claims_of_other_provisioners_get_nothing() -> None:
    """Neither finalizer nor status nor machine."""
    world = World()
    other = claim(
        nodeClassRef={"group": "karpenter.azure.com", "kind": "AKSNodeClass", "name": "d"}
    )
    other["metadata"]["labels"] = {"karpenter.sh/nodepool": "theirs"}
    async with world.running(), world.operator() as line:
        await world.make(other)
        await world.clock.sleep(100)

        assert line.writes == []


async def test_a_machine_that_never_joins_is_replaced() -> None:
    """It is told meanwhile; its claim is deleted after half an hour, so its owner makes another."""
    world = World()
    world.joins = False
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(400)
        told = await world.condition("Registered")
        took = await world.until(world.gone)

    assert told[:2] == ("Unknown", "NodeNotFound")
    assert 1300 < took < 2200
    assert world.arm.states() == {}


async def test_a_node_that_is_not_ready_for_ten_minutes_is_replaced() -> None:
    """And says so in an event."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        (node,) = await world.nodes()
        await world.clock.sleep(100)
        await world.set_ready(node.meta.name, "Unknown")
        took = await world.until(world.gone)
        events = await world.events()

    assert 600 < took < 900
    assert ("Warning", "NodeUnhealthy") in events


async def test_when_all_nodes_fail_at_once_nothing_is_replaced() -> None:
    """That is not the machines' fault."""
    world = World()
    async with world.running(), world.operator():
        for number in range(3):
            await world.make(claim(f"ws{number}"))
        for number in range(3):
            await world.until(lambda number=number: world.ready(f"ws{number}"))
        await world.clock.sleep(100)
        for node in await world.nodes():
            await world.set_ready(node.meta.name, "Unknown")
        await world.clock.sleep(3000)

        assert await world.claim("ws0")
        assert len(world.arm.states()) == 3
        assert ("Warning", "NodeRepairBlocked") in await world.events()


async def test_stopping_the_cluster_costs_no_machine() -> None:
    """`az aks stop` and `start`: every claim, pool and Node is there afterwards."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(100)
        (node,) = await world.nodes()
        await world.set_ready(node.meta.name, "Unknown")
        world.arm.stop_cluster()
        await world.clock.sleep(3000)
        stopped = await world.condition("Registered")
        world.arm.start_cluster()
        await world.until(world.ready)
        await world.clock.sleep(3000)

        assert stopped[:2] == ("Unknown", "NodeNotFound")
        assert await world.ready()
        assert world.arm.states() == {"ws1": "Succeeded"}
        assert world.arm.meter.pools_created == 1


@pytest.mark.parametrize("stopped_for", range(540, 760, 20))
async def test_a_start_right_before_patience_ends_costs_no_machine(stopped_for: int) -> None:
    """Patience is lost with machines that run, not with those that were stopped meanwhile."""
    world = World()
    world.leaves = False
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(100)
        world.arm.stop_cluster()
        await world.clock.sleep(stopped_for)
        world.arm.start_cluster()
        await world.clock.sleep(1500)

        assert world.arm.meter.pools_created == 1
        assert await world.ready()


async def test_a_stop_while_patience_runs_costs_no_machine() -> None:
    """It is looked at once more, right before the end."""
    world = World()
    world.leaves = False
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(100)
        (node,) = await world.nodes()
        await world.set_ready(node.meta.name, "Unknown")
        await world.clock.sleep(300)
        world.arm.stop_cluster()
        await world.clock.sleep(3000)

        record = await world.claim()
        assert record is not None
        assert not record.meta.deleting


async def test_words_that_change_are_written_seldom() -> None:
    """A message every five seconds is a write every thirty; the last one gets through."""
    world = World()
    world.healthy = False
    async with world.running(), world.operator() as line:
        await world.make(claim())
        await world.clock.sleep(230)
        (node,) = await world.nodes()
        before = len(line.writes)
        for number in range(24):
            await world.set_ready(node.meta.name, "False", message=f"pulling {number}")
            await world.clock.sleep(5)
        during = len(line.writes) - before
        await world.clock.sleep(60)

        assert during <= 5
        assert "pulling 23" in (await world.condition("Initialized"))[2]


@pytest.mark.parametrize(("quota", "most"), [(None, 12), (0, 4)])
async def test_events_do_not_make_us_ask_the_cloud_more_often(quota: int | None, most: int) -> None:
    """Whoever edits the claim all the time costs us nothing."""
    world = World()
    world.arm.set_quota(A100, quota)
    async with world.running(), world.operator():
        made = await world.make(claim())
        for number in range(100):
            patch = {"metadata": {"annotations": {"n": str(number)}}}
            await world.api.merge_patch(NODECLAIMS, made.key, patch)
            await world.clock.sleep(1)

        assert len(world.arm.requests) <= most


async def test_durations_can_be_scaled_to_a_faster_world() -> None:
    """In a world at sixty times the speed, the operator looks sixty times as often."""
    options = NodeClaimOptions().faster(60)

    assert options.poll == 0.2
    assert options.repair_share == 0.2
    assert options.brake == 2
    assert replace(options, poll=12.0).poll == 12.0


async def told_reason(world: World, reason: str) -> bool:
    return reason_told((await world.condition("Launched"))[2]) == reason


async def state(world: World, wanted: str) -> bool:
    return world.arm.states().get("ws1") == wanted


async def test_a_launch_is_told_once_though_a_write_behind_it_fails() -> None:
    """What is run again because the Node had changed meanwhile tells nothing a second time."""
    world, refused = World(), []

    def refuse(path: str) -> bool:
        if path.startswith("/api/v1/nodes/") and len(refused) < 3:
            refused.append(path)
            return True
        return False

    async with world.running(), world.operator() as line:
        line.refuse = refuse
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(60)
        events = (await world.api.list(EVENTS)).items

    assert len(refused) == 3
    launched = [event for event in events if event.get("reason") == "Launched"]
    assert [event.get("series") for event in launched] == [None]
