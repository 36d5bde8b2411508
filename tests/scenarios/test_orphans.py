"""Machines whose Workspace is gone are found and ended; no others."""

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.kube.objects import ObjectKey
from tests.scenarios.world import inference, world

NAME = "workspace-phi-4-mini"


async def abandon(here):
    """Somebody takes the finalizer off by hand while no operator runs, and deletes."""
    key = ObjectKey("default", NAME)
    await here.delete(NAME)
    await here.client.merge_patch(WORKSPACES, key, {"metadata": {"finalizers": None}})


async def test_a_claim_without_its_workspace_is_ended():
    """A Workspace removed by force leaves a claim; the next operator gives the machine back."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready(NAME)
        await operator.stop()
        await abandon(here)
        await here.clock.sleep(60)
        assert (await here.leftovers())["claims"] == 1

        second = here.operator()
        await here.clock.sleep(1800)

        assert (await here.leftovers())["claims"] == 0
        assert here.arm.states() == {}
        await second.stop()


async def test_a_namesake_does_not_inherit_and_does_not_lose():
    """A new Workspace of the same name gets a machine of its own; the earlier one's is ended."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready(NAME)
        (earlier,) = (await here.client.list(NODECLAIMS)).items
        await operator.stop()
        await abandon(here)

        second = here.operator()
        await here.apply(inference())
        await here.ready(NAME)
        await here.clock.sleep(1800)

        (later,) = (await here.client.list(NODECLAIMS)).items
        assert later.meta.name != earlier.meta.name
        assert set(here.arm.states()) == {later.meta.name}
        await second.stop()


async def test_a_claim_that_names_no_uid_is_left_alone():
    """A claim that KAITO made for a Workspace that is gone is not provably ours to end."""
    async with world() as here:
        operator = here.operator()
        await here.apply(inference())
        await here.ready(NAME)
        (claim,) = (await here.client.list(NODECLAIMS)).items
        await operator.stop()
        unmarked = {"metadata": {"annotations": {"kaito.sh/workspace-uid": None}}}
        await here.client.merge_patch(NODECLAIMS, claim.key, unmarked)
        await abandon(here)

        second = here.operator()
        await here.clock.sleep(1800)

        assert (await here.leftovers())["claims"] == 1
        await second.stop()
