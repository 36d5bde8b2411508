"""The step of leader election, and two electors over one API server."""

import asyncio

import pytest

from kaito.framework.elector import LeadershipLost
from kaito.framework.fence import Fenced
from kaito.framework.leader import (
    Create,
    LeaderOptions,
    Lease,
    Lose,
    Renew,
    Sighting,
    Take,
    Wait,
    claim,
    decide,
    sight,
)
from kaito.kube.clock import LoopClock, rfc3339_micro
from kaito.kube.resources import LEASES
from tests.framework.candidates import Candidate, campaigning, lease_of, write_lease
from tests.framework.world import LEASE, World, key

HELD = Lease(holder="other", duration=15)
MINE = Lease(holder="me", duration=15)


@pytest.mark.parametrize(
    ("lease", "since", "renewed_at", "now", "action"),
    [
        (None, 0, None, 0, Create()),
        (Lease(), 0, None, 0, Take()),
        (MINE, 0, None, 0, Take()),
        (HELD, 100, None, 100, Wait(15)),
        (HELD, 100, None, 114, Wait(1)),
        (HELD, 100, None, 115, Take()),
        (Lease(holder="other", duration=1), 100, None, 101, Take()),
        (MINE, 0, 100, 102, Renew()),
        (MINE, 0, 100, 109.9, Renew()),
        (MINE, 0, 100, 110, Lose("not renewed within 10 seconds")),
        (HELD, 0, 100, 102, Lose("other holds the lease")),
        (Lease(), 0, 100, 102, Lose("nobody holds the lease")),
        (None, 0, 100, 102, Create()),
    ],
)
def test_s64_what_to_do_follows_from_the_lease_and_our_own_clock(
    lease, since, renewed_at, now, action
):
    """Acquire from none, empty and expired; wait while it is held; renew or lose while leading."""
    assert decide("me", Sighting(lease, since), renewed_at, now, LEASE) == action


def test_s64_only_a_change_of_the_lease_restarts_its_time():
    """Reading the same record again does not make it younger."""
    first = sight(None, HELD, 10)

    assert sight(first, HELD, 20) is first
    assert sight(first, Lease(holder="other", duration=15, renewed="later"), 20).since == 20


def test_a_claim_counts_transitions_and_keeps_the_time_of_acquisition():
    """Taking over from another adds one; renewing our own keeps acquireTime."""
    taken = claim(Lease(holder="other", transitions=4), "me", "t1", LEASE)
    renewed = claim(taken, "me", "t2", LEASE)

    assert taken == Lease(holder="me", duration=14, acquired="t1", renewed="t1", transitions=5)
    assert renewed == Lease(holder="me", duration=14, acquired="t1", renewed="t2", transitions=5)
    assert claim(None, "me", "t", LEASE).transitions == 0


@pytest.mark.parametrize(
    "times",
    [
        {"lease_duration": 10},
        {"renew_deadline": 2.4},
        {"lease_duration": 15.5},
        {"retry_period": 0, "renew_deadline": 1},
    ],
)
def test_times_that_cannot_work_are_refused(times):
    """lease > renew > 1.2 x retry > 0, and the API has whole seconds only."""
    with pytest.raises(ValueError, match="must be"):
        LeaderOptions(namespace="default", name="widgets", **times)


def test_a_request_may_take_half_the_deadline_so_that_a_second_can_follow():
    """Five seconds of ten; never less than one."""
    assert LEASE.request_timeout == 5
    short = LeaderOptions(
        namespace="d", name="w", lease_duration=2, renew_deadline=1.5, retry_period=1
    )
    assert short.request_timeout == 1


async def test_s64_the_first_candidate_leads_at_once_and_the_lease_says_so():
    """Holder, whole-second duration, MicroTimes, no transition; the fence opens."""
    world = World()
    one = Candidate(world, "one")
    assert one.value("leader_election_master_status") == 0
    with pytest.raises(Fenced):
        one.fence.check()

    async with campaigning(one):
        await world.clock.sleep(1)
        now = rfc3339_micro(LoopClock().wall().replace(second=0, microsecond=0))
        assert await lease_of(world) == {
            "holderIdentity": "one",
            "leaseDurationSeconds": 14,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        one.fence.check()
        assert one.value("leader_election_master_status") == 1
        assert one.elector.lease_until == one.elector.renewed_at + 14


@pytest.mark.parametrize("skew", [3600, -3600])
async def test_s64_a_lease_held_by_another_is_left_alone_whatever_its_clock(skew):
    """With clocks an hour apart the standby waits, and takes over only after the holder's end."""
    world = World()
    one, two = Candidate(world, "one", skew=skew), Candidate(world, "two")

    async with campaigning(one) as (leader,):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(300)
            assert two.led_at is None
            one.cut.state = "silent"
            leader.cancel()
            died = world.clock.monotonic()
            await world.clock.sleep(30)

    assert 10 < two.led_at - died <= 14


async def test_s64_an_expired_lease_is_taken_only_after_we_saw_it_unchanged_for_its_duration():
    """An old renewTime proves nothing: the holder's clock may be wrong. Fifteen seconds do."""
    world = World()
    await write_lease(
        world,
        holderIdentity="gone",
        leaseDurationSeconds=15,
        renewTime="2001-01-01T00:00:00.000000Z",
        leaseTransitions=7,
    )
    one = Candidate(world, "one")

    async with campaigning(one):
        await world.clock.sleep(16)
        assert one.led_at == pytest.approx(15, abs=0.001)
        assert (await lease_of(world))["leaseTransitions"] == 8


async def test_s65_a_leader_that_cannot_renew_is_fenced_before_it_is_told():
    """Writes are refused ten seconds after the last renewal was sent; then leadership ends."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        renewed = one.elector.renewed_at
        one.cut.state = "silent"
        await world.clock.sleep(renewed + 9.99 - world.clock.monotonic())
        one.fence.check()
        await world.clock.sleep(0.02)
        with pytest.raises(Fenced):
            one.fence.check()
        await world.clock.sleep(1)

    assert one.lost_at == pytest.approx(renewed + 10, abs=0.01)
    assert "not renewed within 10 seconds" in str(one.lost)
    assert one.value("leader_election_master_status") == 0


async def test_s65_a_process_that_was_asleep_past_its_deadline_finds_the_fence_shut():
    """No task needs to run for the fence to be shut: only time has to pass."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        now = world.clock.monotonic
        one.fence._monotonic = lambda: now() + 3600
        with pytest.raises(Fenced):
            one.fence.check()


async def test_the_fence_is_shut_by_the_time_that_a_loss_is_raised():
    """Whoever hears of the loss finds that nothing was written since."""
    world = World()
    one = Candidate(world, "one")
    await one.elector.campaign()
    await world.client.merge_patch(LEASES, key("widgets"), {"spec": {"holderIdentity": "x"}})
    assert one.fence.open
    with pytest.raises(LeadershipLost):
        await one.elector.renew()
    assert not one.fence.open
    assert one.elector.renewed_at is None


async def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal():
    """Somebody edited the lease: the conflict leads to a read, the read to the end."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        await world.client.merge_patch(LEASES, key("widgets"), {"spec": {"holderIdentity": "x"}})
        await world.clock.sleep(5)

    assert one.lost_at == pytest.approx(6)
    assert "x holds the lease" in str(one.lost)
    assert not one.fence.open
    assert (await lease_of(world))["holderIdentity"] == "x"


async def test_renewing_takes_one_put_and_survives_short_outages(lines):
    """The fast path reads nothing. After failures it reads first, counts that, and goes on. Each
    outage is told of once."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        world.requests.clear()
        await world.clock.sleep(20)
        assert {info.verb for info in world.requests} == {"update"}
        assert len(world.requests) == 10
        assert one.value("leader_election_slowpath_total") == 0
        one.cut.state = "refused"
        await world.clock.sleep(7)
        one.cut.state = "up"
        await world.clock.sleep(60)

        one.cut.state = "refused"
        await world.clock.sleep(7)
        one.cut.state = "up"
        await world.clock.sleep(60)

        assert one.lost is None
        assert one.value("leader_election_slowpath_total") > 0
        assert [line["event"] for line in lines if line["level"] == "warning"] == [
            "cannot renew the lease"
        ] * 2


async def test_a_renewal_whose_answer_was_lost_is_found_to_have_landed():
    """The write happened: the conflict of the next one is resolved by reading, not by giving up."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        one.cut.state = "answers lost"
        await world.clock.sleep(1.5)
        one.cut.state = "up"
        await world.clock.sleep(30)

    assert one.lost is None


async def test_s66_a_lease_that_is_let_go_is_taken_within_a_second():
    """Stopping leaves an empty holder for one second; the standby sees it at once."""
    world = World()
    one, two = Candidate(world, "one"), Candidate(world, "two")
    async with campaigning(one) as (leader,):
        await world.clock.sleep(1)
        async with campaigning(two):
            await world.clock.sleep(20.3)
            stopped = world.clock.monotonic()
            leader.cancel()
            await world.clock.sleep(1)
            assert (await lease_of(world))["leaseTransitions"] == 1

    assert two.led_at - stopped < 0.1
    assert not one.fence.open


async def test_s66_the_release_is_tried_again_when_a_cancelled_renewal_had_landed():
    """The remembered version is stale: a conflict, one read, and the lease is free."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        await world.client.merge_patch(LEASES, key("widgets"), {"metadata": {"labels": {"a": "b"}}})
        world.requests.clear()

    assert [(info.verb, info.code) for info in world.requests] == [
        ("update", 409),
        ("get", 200),
        ("update", 200),
    ]
    lease = await lease_of(world)
    assert (lease["holderIdentity"], lease["leaseDurationSeconds"]) == ("", 1)


async def test_s66_a_lease_that_another_has_taken_is_not_released():
    """Stopping before the loss was noticed: the conflict leads to a read, and that to no write."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        await world.client.merge_patch(LEASES, key("widgets"), {"spec": {"holderIdentity": "x"}})

    assert (await lease_of(world))["holderIdentity"] == "x"


async def test_the_release_does_not_hold_up_the_stop_of_a_process_without_a_server():
    """An unreachable server costs a bounded time, and no error."""
    world = World()
    one = Candidate(world, "one")
    async with campaigning(one):
        await world.clock.sleep(5)
        one.cut.state = "silent"
        stopped = world.clock.monotonic()

    assert world.clock.monotonic() - stopped <= 5.1


async def test_of_many_candidates_one_leads_at_any_time():
    """Five replicas, each stopped in turn: never two open fences, and never nobody for long."""
    world = World()
    candidates = [Candidate(world, f"c{n}") for n in range(5)]
    async with asyncio.TaskGroup() as group:
        tasks = {c: group.create_task(c.run()) for c in candidates}
        for left in range(5, 0, -1):
            for _ in range(60):
                await world.clock.sleep(0.5)
                assert sum(c.fence.open for c in candidates) <= 1
            (leader,) = (c for c in candidates if c.fence.open)
            if left % 2:
                leader.cut.state = "silent"
            tasks[leader].cancel()

    assert all(candidate.led_at is not None for candidate in candidates)
