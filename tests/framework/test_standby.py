"""A standby of leader election: what it watches, when it takes the lease, and what it asks for."""

from contextlib import asynccontextmanager

import pytest

from kaito.apiserver.door import in_process
from kaito.kube.client import WatchEvent
from kaito.kube.errors import Gone
from kaito.kube.resources import LEASES
from tests.framework.candidates import Candidate, campaigning, lease_of, write_lease
from tests.framework.world import Cut, World, key


async def test_without_the_right_to_watch_a_standby_polls(lines):
    """A refused watch is reported once, and costs seconds, not the election."""
    world = World()
    one, two = Candidate(world, "one"), Candidate(world, "two")
    deaf = Cut(in_process(world.server), world.clock)
    deaf.state = "refused"
    two.elector._client.watch = world.client_of(deaf).watch

    async with campaigning(one) as (leader,):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(20)
            stopped = world.clock.monotonic()
            leader.cancel()
            await world.clock.sleep(10)

    assert two.led_at - stopped < 2 * 2.2 + 0.1
    told = [line["event"] for line in lines if line["level"] == "warning"]
    assert told == ["cannot get the lease"]


async def test_a_release_just_after_a_watch_has_ended_is_noticed_at_once():
    """The server ends every watch after some minutes; the next one is opened without a pause."""
    world = World()
    one, two = Candidate(world, "one"), Candidate(world, "two")

    async with campaigning(one) as (leader,):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(300.2)
            stopped = world.clock.monotonic()
            leader.cancel()
            await world.clock.sleep(10)

    assert two.led_at - stopped < 0.1


async def test_a_standby_that_watches_asks_for_nothing_else():
    """While the leader renews, what the watch brings is enough: no polling, no time-outs."""
    world = World()
    one, two = Candidate(world, "one"), Candidate(world, "two")
    async with campaigning(one):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(1)
            world.requests.clear()
            await world.clock.sleep(250)
            assert {info.verb for info in world.requests} == {"update"}
            assert two.led_at is None


async def test_s64_another_lease_of_the_namespace_is_none_of_our_business():
    """Many operators keep their leases side by side: only ours counts."""
    world = World()
    one, two = Candidate(world, "one"), Candidate(world, "two")
    other = {"metadata": {"namespace": "default", "name": "gadgets"}, "spec": {}}
    await world.client.create(LEASES, other)
    async with campaigning(one) as (leader,):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(5)
            one.cut.state = "silent"
            leader.cancel()
            died = world.clock.monotonic()
            for number in range(30):
                spec = {"spec": {"holderIdentity": f"h{number}", "leaseDurationSeconds": 99}}
                await world.client.merge_patch(LEASES, key("gadgets"), spec)
                await world.clock.sleep(1)

    assert 10 < two.led_at - died <= 14


@pytest.mark.parametrize("watching", [True, False])
async def test_s64_a_lease_that_is_deleted_is_free(watching):
    """The watch tells at once, a poll some seconds later; the lease is made anew."""
    world = World()
    await write_lease(world, holderIdentity="gone", leaseDurationSeconds=3600)
    two = Candidate(world, "two")
    if not watching:
        deaf = Cut(in_process(world.server), world.clock)
        deaf.state = "refused"
        two.elector._client.watch = world.client_of(deaf).watch
    async with campaigning(two):
        await world.clock.sleep(20)
        await world.client.delete(LEASES, key("widgets"))
        deleted = world.clock.monotonic()
        await world.clock.sleep(10)
        assert (await lease_of(world))["leaseTransitions"] == 0

    assert two.led_at - deleted < (0.1 if watching else 2 * 2.2 + 0.1)


@pytest.mark.parametrize("answer", ["nothing", "an error"])
async def test_a_watch_that_ends_at_once_is_not_opened_without_a_pause(answer):
    """A server that will not be watched is polled, as one that refuses is."""
    world = World()
    one, two = Candidate(world, "one"), Candidate(world, "two")
    opened = []

    async def said():
        if answer == "an error":
            yield WatchEvent("ERROR", None, Gone("too old", code=410))

    @asynccontextmanager
    async def watch(*_, **__):
        opened.append(world.clock.monotonic())
        yield said()

    two.elector._client.watch = watch
    async with campaigning(one) as (leader,):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(60)
            assert 13 < len(opened) <= 30
            leader.cancel()
            await world.clock.sleep(10)

    assert two.led_at is not None
