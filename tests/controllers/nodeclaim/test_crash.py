"""A crash before or after any single write, Kubernetes' or Azure's, changes nothing in the end."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.controllers.nodeclaim.world import Line, World, claim

LIFE = 5
"""Writes from the claim to a machine that has joined; a test of its own counts them."""
END = 5
"""Writes at most from the deletion to its end."""


async def severed(line: Line, seconds: float = 1000) -> bool:
    """Whether the line was cut in that time."""
    try:
        async with asyncio.timeout(seconds):
            await line.severed.wait()
    except TimeoutError:
        return False
    return True


async def outcome(world: World) -> Any:
    """What must not depend on crashes."""
    record = await world.claim()
    assert record is not None
    (node,) = await world.nodes()
    status = record.get("status")
    return {
        "conditions": [(c["type"], c["status"], c["reason"]) for c in status["conditions"]],
        "node": (status["nodeName"] == node.meta.name, status["providerID"], status["capacity"]),
        "finalizers": (record.meta.finalizers, node.meta.finalizers),
        "labels": (dict(record.meta.labels), timeless(node.meta.labels)),
        "taints": node.get("spec", "taints"),
        "pools": (world.arm.states(), world.arm.meter.pools_created),
    }


def timeless(labels: Mapping[str, str]) -> Any:
    return {key: value for key, value in labels.items() if "timestamp" not in key}


async def undisturbed() -> Any:
    world = World()
    async with world.running(), world.operator():
        await world.make(claim())
        await world.until(world.ready)
        await world.clock.sleep(200)
        return await outcome(world)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(1, LIFE + 1))
async def test_a_launch_converges_to_the_same_whatever_write_it_crashed_at(
    write: int, when: str
) -> None:
    """One pool, one Node, the same claim."""
    world = World()
    async with world.running():
        await world.make(claim())
        async with world.operator(line=Line(write, when)) as line:
            assert await severed(line)
        await world.clock.sleep(30)
        async with world.operator():
            await world.until(world.ready)
            await world.clock.sleep(200)
            found = await outcome(world)

    assert found == await undisturbed()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(1, LIFE + 1))
async def test_a_claim_deleted_during_the_crash_leaks_nothing(write: int, when: str) -> None:
    """The next incarnation finds a claim that goes, and whatever was made for it."""
    world = World()
    async with world.running():
        await world.make(claim())
        async with world.operator(line=Line(write, when)) as line:
            assert await severed(line)
        await world.delete()
        async with world.operator():
            await world.until(world.gone)
            await world.clock.sleep(1000)

        assert world.arm.states() == {}
        assert world.arm.current() == ()
        assert await world.nodes() == []
        assert world.arm.meter.pools_created <= 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(1, END + 1))
async def test_a_termination_ends_whatever_write_it_crashed_at(write: int, when: str) -> None:
    """Machine, Node and claim are gone in the end."""
    world = World()
    async with world.running():
        await world.make(claim())
        async with world.operator():
            await world.until(world.ready)
            (node,) = await world.nodes()
            await world.pod("p", node.meta.name)
        await world.delete()
        async with world.operator(line=Line(write, when)) as line:
            await severed(line, 600)
        async with world.operator():
            await world.until(world.gone)
            await world.clock.sleep(1000)

        assert world.arm.states() == {}
        assert world.arm.current() == ()
        assert await world.nodes() == []


async def test_a_restart_during_a_stopped_cluster_costs_no_machine() -> None:
    """`az aks stop` stops the operator too; after the start it must not believe old news."""
    world = World()
    async with world.running():
        await world.make(claim())
        async with world.operator():
            await world.until(world.ready)
            await world.clock.sleep(100)
            (node,) = await world.nodes()
        world.leaves = False
        world.arm.stop_cluster()
        await world.set_ready(node.meta.name, "Unknown")
        await world.clock.sleep(50_000)
        world.arm.start_cluster()
        async with world.operator():
            await world.clock.sleep(3000)

            assert await world.ready()
            assert world.arm.states() == {"ws1": "Succeeded"}
            assert world.arm.meter.pools_created == 1


async def test_an_untroubled_restart_writes_nothing() -> None:
    """A new incarnation finds everything as it should be."""
    world = World()
    async with world.running():
        await world.make(claim())
        async with world.operator():
            await world.until(world.ready)
            await world.clock.sleep(200)
        async with world.operator() as line:
            await world.clock.sleep(700)

            assert line.writes == []
