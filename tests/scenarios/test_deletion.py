"""A Workspace deleted in any phase gives back everything, and touches nothing else."""

import pytest

from tests.scenarios.world import inference, seed, world

NOTHING = {"claims": 0, "pools": 0, "nodes": 0, "pods": 0}

PHASES = (0.0, 0.5, 5.0, 30.0, 75.0, 120.0, 200.0, 260.0, 330.0, 420.0, 600.0, 1200.0)
"""Seconds after the apply, from the first write over pool, node and pod to serving."""


@pytest.mark.parametrize("after", PHASES)
@pytest.mark.parametrize(
    ("make", "name"),
    [(inference, "workspace-phi-4-mini"), (seed, "workspace-tuning-phi-3")],
    ids=["inference", "tuning"],
)
async def test_deleted_in_any_phase(make, name, after):
    """Workload, claims, pools, nodes and pods go; at most one pool was ever made."""
    async with world() as here:
        operator = here.operator()
        await here.apply(make())
        await here.clock.sleep(after)

        await here.delete(name)
        await here.gone(name)
        await here.clock.sleep(900)

        assert await here.leftovers() == NOTHING
        assert here.arm.meter.pools_created <= 1
        await operator.stop()


async def test_a_strangers_pool_is_left_alone():
    """A pool that is not ours survives everything the operator does."""
    async with world() as here:
        here.arm.add_pool("gpupool", "Standard_NC24ads_A100_v4")
        operator = here.operator()
        await here.apply(inference())
        await here.ready("workspace-phi-4-mini")
        await here.delete("workspace-phi-4-mini")
        await here.gone("workspace-phi-4-mini")
        await here.clock.sleep(3600)

        assert set(here.arm.states()) == {"gpupool"}
        await operator.stop()


async def test_the_operator_may_be_away_while_it_is_deleted():
    """A Workspace deleted while no operator runs is cleaned up by the next one."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready("workspace-phi-4-mini")
        await operator.stop()
        await here.delete("workspace-phi-4-mini")
        await here.clock.sleep(60)

        second = here.operator()
        await here.gone("workspace-phi-4-mini")
        await here.clock.sleep(900)

        assert await here.leftovers() == NOTHING
        await second.stop()
