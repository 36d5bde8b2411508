"""Deleting a claim, in every phase of its life."""

import pytest

from kaito.api.resources import NODECLAIMS
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import NODES, PODDISRUPTIONBUDGETS, PODS
from kaito.provisioner.azure.agentpools import OWNER_TAG
from kaito.simulator.arm import answers
from kaito.simulator.arm.faults import Fault
from tests.controllers.nodeclaim.world import A100, World, claim


@pytest.mark.parametrize("after", [0.5, 5, 50, 61, 95, 120, 209, 211, 230])
@pytest.mark.parametrize("allowed", [True, False])
async def test_a_delete_during_creation_leaks_nothing(after: float, allowed: bool) -> None:
    """Whenever it comes, and whether or not Azure deletes what it is still creating."""
    world = World(delete_while_creating=allowed)
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(after)
        await world.delete()
        await world.until(world.gone)
        await world.clock.sleep(3000)

        assert world.arm.states() == {}
        assert world.arm.current() == ()
        assert await world.nodes() == []


async def test_a_failed_pool_is_deleted_with_its_claim() -> None:
    """The claim never had a providerID; the name is enough."""
    world = World()
    failure = answers.allocation_failed(A100, "eastus")
    world.arm.faults.inject(Fault(method="PUT", outcome=failure))
    async with world.running(), world.operator():
        await world.make(claim())
        await world.clock.sleep(46)
        await world.delete()
        await world.until(world.gone)

        assert world.arm.states() == {}


async def test_a_machine_that_is_gone_already_holds_nothing_up() -> None:
    """Somebody deleted the pool in the portal."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        world.arm.remove_pool("ws1")
        await world.clock.sleep(200)
        await world.delete()

        assert await world.until(world.gone) < 30
        assert await world.nodes() == []


async def test_pods_of_a_machine_that_is_gone_are_not_waited_for() -> None:
    """Nobody is there who could end them."""
    world = World()
    world.leaves = False
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        (node,) = await world.nodes()
        keep = {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}
        await world.pod("kept", node.meta.name, metadata=keep)
        world.arm.remove_pool("ws1")
        await world.clock.sleep(200)
        await world.delete()

        assert await world.until(world.gone) < 30
        assert await world.nodes() == []


async def test_deleting_the_node_deletes_the_machine() -> None:
    """`kubectl delete node` is a way to get rid of it."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        (node,) = await world.nodes()
        await world.api.delete(NODES, node.key)
        await world.until(world.gone)

        assert ("Warning", "NodeDeleted") in await world.events()
        assert world.arm.states() == {}
        assert await world.nodes() == []


async def test_pods_are_evicted_before_the_machine_goes() -> None:
    """The Node is tainted, a budget is honoured and told; static and tolerating pods are left."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        (node,) = await world.nodes()
        mirror = {"annotations": {"kubernetes.io/config.mirror": "x"}}
        await world.pod("static", node.meta.name, metadata=mirror)
        await world.pod("daemon", node.meta.name, tolerations=[{"operator": "Exists"}])
        await world.pod("free", node.meta.name)
        await world.pod("kept", node.meta.name, metadata={"labels": {"app": "kept"}})
        await budget(world)
        await world.delete()
        await world.clock.sleep(300)
        pods = {pod.meta.name for pod in (await world.api.list(PODS)).items}
        (tainted,) = await world.nodes()
        events = await world.events()
        states = world.arm.states()
        await world.api.delete(PODDISRUPTIONBUDGETS, ObjectKey("default", "kept"))
        await world.until(world.gone)

    assert pods == {"static", "daemon", "kept"}
    assert "karpenter.sh/disrupted" in {t["key"] for t in tainted.get("spec", "taints")}
    assert tainted.meta.labels["node.kubernetes.io/exclude-from-external-load-balancers"]
    assert ("Warning", "FailedDraining") in events
    assert states == {"ws1": "Succeeded"}
    assert world.arm.states() == {}


async def budget(world: World) -> None:
    """Nothing labelled `app: kept` may be disrupted."""
    key = ObjectKey("default", "kept")
    await world.api.create(
        PODDISRUPTIONBUDGETS,
        {
            "metadata": {"namespace": "default", "name": "kept"},
            "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "kept"}}},
        },
    )
    status = {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    await world.api.merge_patch(
        PODDISRUPTIONBUDGETS,
        key,
        {"status": {**status, "observedGeneration": 1}},
        subresource="status",
    )


async def test_a_grace_period_bounds_the_politeness() -> None:
    """After it, pods are deleted whatever protects them; the moment is put on record."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim(terminationGracePeriod="5m"))
        await world.until(world.ready)
        (node,) = await world.nodes()
        await world.pod(
            "kept",
            node.meta.name,
            metadata={"annotations": {"karpenter.sh/do-not-disrupt": "true"}},
        )
        await world.delete()
        await world.clock.sleep(280)
        record = await world.claim()
        pods = len((await world.api.list(PODS)).items)
        took = await world.until(world.gone)

    assert record is not None
    assert "karpenter.sh/nodeclaim-termination-timestamp" in record.meta.annotations
    assert pods == 1
    assert took < 200


async def test_a_claim_whose_status_cannot_be_written_can_be_deleted() -> None:
    """Deletion never depends on it; here somebody else holds every other way to tell it up."""
    world = World()
    async with world.running(), world.operator() as line:
        await world.make(claim())
        await world.until(world.ready)
        line.refuse = lambda path: path.endswith("/status")
        await world.delete()
        await world.until(world.gone)

        assert world.arm.states() == {}


async def test_a_refusing_cloud_is_told_and_asked_again() -> None:
    """The claim stays until the machine is really gone."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        refusal = answers.not_authorized()
        world.arm.faults.inject(Fault(method="DELETE", times=5, refusal=refusal))
        await world.delete()
        await world.clock.sleep(20)
        told = await world.condition("InstanceTerminating")
        await world.until(world.gone)

        assert told[2].startswith("NotPermitted")
        assert ("Warning", "NotPermitted") in await world.events()
        assert world.arm.states() == {}


async def test_an_orphan_is_deleted_after_two_sweeps() -> None:
    """A machine of ours whose claim was torn away costs money for minutes, not for ever."""
    world = World()
    world.arm.add_pool(
        "ws1",
        A100,
        tags={OWNER_TAG: "uid-of-nobody", "kaito-nodeclaim-created": "2025-12-31T00:00:00+00:00"},
    )
    world.arm.add_pool("theirs", A100)
    async with world.running(), world.operator() as line:
        await world.clock.sleep(290)
        early = len(line.writes)
        await world.clock.sleep(600)

        assert early == 0
        assert world.arm.states() == {"theirs": "Succeeded"}


async def test_many_orphans_at_once_meet_the_brake() -> None:
    """Two in a sweep: somebody may still notice."""
    world = World()
    for number in range(6):
        tags = {
            OWNER_TAG: f"uid-{number}",
            "kaito-nodeclaim-created": "2025-12-31T00:00:00+00:00",
        }
        world.arm.add_pool(f"ws{number}", A100, tags=tags)
    async with world.running(), world.operator():
        await world.clock.sleep(310)
        assert list(world.arm.states().values()).count("Deleting") == 2
        await world.clock.sleep(1500)
        assert world.arm.states() == {}


async def test_a_claim_whose_machine_vanished_is_deleted() -> None:
    """Its owner makes another; two sweeps and one more look come first."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        world.arm.remove_pool("ws1")
        await world.until(world.gone)

        assert ("Warning", "InstanceGone") in await world.events()
        assert await world.nodes() == []


async def test_a_node_whose_claim_was_torn_away_is_let_go() -> None:
    """Somebody removed the claim's finalizer by force; sweep and release clean up after them."""
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(700)
        await world.api.merge_patch(
            NODECLAIMS, ObjectKey("", "ws1"), {"metadata": {"finalizers": None}}
        )
        await world.delete()
        await world.clock.sleep(2400)

        assert world.arm.states() == {}
        assert await world.nodes() == []


async def test_an_orphan_whose_claim_we_have_not_seen_is_none() -> None:
    """Our view may be old; right before the end the API server is asked."""
    world = World()
    async with world.running(), world.operator() as line:
        await world.clock.sleep(10)
        line.deaf = True
        unseen = await world.make(claim())
        tags = {
            OWNER_TAG: unseen.meta.uid,
            "kaito-nodeclaim-created": "2025-12-31T00:00:00+00:00",
        }
        world.arm.add_pool("ws1", A100, tags=tags)
        await world.clock.sleep(1600)

        assert world.arm.states() == {"ws1": "Succeeded"}
