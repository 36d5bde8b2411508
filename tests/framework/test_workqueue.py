"""The work queue, one rule per test."""

import asyncio
import random
from collections import Counter

import pytest

from kaito.framework.ratelimit import RateLimitOptions
from kaito.framework.workqueue import LOW_PRIORITY, QueueClosed, WorkQueue
from kaito.kube.clock import LoopClock
from kaito.kube.objects import ObjectKey


def queue_of(**options):
    return WorkQueue("test", clock=LoopClock(), **options)


def key(name, namespace="default"):
    return ObjectKey(namespace, name)


async def take(queue, number):
    """That many keys, each finished at once."""
    taken = []
    for _ in range(number):
        item = await queue.get()
        queue.done(item.key)
        taken.append(item.key)
    return taken


async def test_s37_any_number_of_adds_during_a_run_gives_one_more_run():
    """A thousand adds while a key is processed make it ready exactly once more."""
    queue = queue_of()
    queue.add("a")
    await queue.get()

    for _ in range(1000):
        queue.add("a")
    queue.done("a")

    assert await take(queue, 1) == ["a"]
    assert len(queue) == 0
    assert queue.stats.adds == 2


async def test_s38_a_key_is_never_processed_twice_at_once():
    """With 64 workers and keys added at random, no key is ever in two hands."""
    queue, clock, chance = queue_of(), LoopClock(), random.Random(1)
    running, runs = set(), Counter()

    async def work(seed):
        chance = random.Random(seed)
        while True:
            try:
                item = await queue.get()
            except QueueClosed:
                return
            assert item.key not in running
            running.add(item.key)
            await clock.sleep(chance.random())
            running.discard(item.key)
            runs[item.key] += 1
            queue.done(item.key)

    async with asyncio.TaskGroup() as group:
        for seed in range(64):
            group.create_task(work(seed))
        for _ in range(2000):
            queue.add(chance.randrange(20))
            await clock.sleep(chance.random() / 50)
        queue.shut_down(drain=True)

    assert sorted(runs) == list(range(20))


async def test_s39_of_several_delays_the_earliest_wins():
    """Whichever order the delays come in, the key is ready once, at the earliest time."""
    queue, clock = queue_of(), LoopClock()
    queue.add_after("late-first", 5)
    queue.add_after("late-first", 1)
    queue.add_after("early-first", 2)
    queue.add_after("early-first", 9)

    assert (await queue.get())[:2] == ("late-first", 0)
    assert clock.monotonic() == pytest.approx(1)
    assert (await queue.get()).key == "early-first"
    assert clock.monotonic() == pytest.approx(2)
    await clock.sleep(100)
    assert len(queue) == 0
    assert queue.waiting == 0


async def test_s40_adding_now_cancels_a_pending_delay():
    """After add the key runs now and not once more when the delay would have ended."""
    queue, clock = queue_of(), LoopClock()
    queue.add_after("a", 5)

    queue.add("a")

    assert await take(queue, 1) == ["a"]
    assert queue.waiting == 0
    await clock.sleep(10)
    assert len(queue) == 0


async def test_s40_a_delay_for_a_key_that_is_wanted_now_is_ignored():
    """Ready, or wanted again while it runs: the key is due earlier than any delay."""
    queue, clock = queue_of(), LoopClock()
    queue.add("a")
    queue.add_after("a", 5)
    await queue.get()
    queue.add("a")
    queue.add_after("a", 5)
    queue.done("a")

    assert await take(queue, 1) == ["a"]
    await clock.sleep(10)
    assert len(queue) == 0


@pytest.mark.parametrize("seconds", [0, -1])
async def test_s40_a_delay_of_nothing_is_no_delay(seconds):
    """The key is ready in the same step, with its priority, and nothing was tried again."""
    queue = queue_of()
    queue.add_after("a", 5)
    queue.add_after("a", seconds, priority=3)

    assert queue.depths() == {3: 1}
    assert (queue.waiting, queue.stats.retries) == (0, 1)
    queue.add_after("b", seconds)
    assert queue.depths() == {3: 1, 0: 1}


def test_s41_what_is_no_news_has_the_priority_of_controller_runtime():
    """Dashboards show it as a label of the queue's depth."""
    assert LOW_PRIORITY == -100


async def test_s41_order_is_priority_then_arrival_and_a_raised_key_goes_last():
    """Adding again keeps the maximum priority; who is raised queues up behind that level."""
    queue = queue_of()
    for name, priority in [("low-1", -100), ("low-2", -100), ("mid-1", 0), ("high", 7)]:
        queue.add(name, priority=priority)
    queue.add("mid-2")
    queue.add("low-1")
    queue.add("mid-1", priority=-100)

    assert await take(queue, 5) == ["high", "mid-1", "mid-2", "low-1", "low-2"]


async def test_s41_a_delay_and_its_repetition_keep_the_maximum_priority():
    """Maximum priority and minimum delay are kept independently of each other."""
    queue = queue_of()
    queue.add_after("a", 5, priority=10)
    queue.add_after("a", 1, priority=LOW_PRIORITY)
    item = await queue.get()
    queue.done("a")
    queue.add_after("a", 5, priority=3)
    queue.add("a", priority=LOW_PRIORITY)

    assert item.priority == 10
    assert (await queue.get()).priority == 3


async def test_s41_a_key_wanted_while_it_runs_comes_back_with_the_maximum_priority():
    """The priority of the next run is the highest that was asked for meanwhile."""
    queue = queue_of()
    queue.add("a")
    await queue.get()
    for priority in (-100, 5, 0):
        queue.add("a", priority=priority)
    assert queue.depths() == {5: 1}
    queue.done("a")

    assert (await queue.get()).priority == 5


async def test_s42_delayed_keys_become_ready_in_the_order_of_their_times():
    """Also when time jumps past several of them at once; arrival breaks ties."""
    queue = queue_of()
    for name, after in [("c", 3), ("a", 1), ("b1", 2), ("b2", 2)]:
        queue.add_after(name, after)

    queue._now = lambda: 1000.0
    queue._ring()

    assert await take(queue, 4) == ["a", "b1", "b2", "c"]


async def test_s42_a_clock_that_stands_still_when_the_timer_rings_delays_nothing():
    """A timer may ring a moment early by the clock: what it was set for is due all the same."""
    queue = queue_of()
    queue.add_after("a", 1)
    queue._now = lambda: 0.9999999
    queue._ring()

    assert (await queue.get()).key == "a"


async def test_s44_shutdown_wakes_blocked_getters():
    """Every getter that waits learns that nothing will come."""
    queue = queue_of()
    closed = []

    async def wait():
        try:
            await queue.get()
        except QueueClosed:
            closed.append(True)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(wait())
        await LoopClock().sleep(0)
        queue.shut_down()

    assert len(closed) == 20
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_s44_shutdown_drops_what_is_ready_or_waiting_and_accepts_nothing():
    """Level-triggered work needs no draining: the next process sees the same world."""
    queue, clock = queue_of(), LoopClock()
    queue.add("ready")
    queue.add_after("waiting", 1)
    queue.shut_down()
    queue.add("late")
    queue.add_after("late", 1)
    queue.add_rate_limited("late")
    await clock.sleep(2)

    assert len(queue) == queue.waiting == 0
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_s44_drained_waits_for_what_is_processing():
    """Shut down with a key in hand: `drained` returns when it is done, and not before."""
    queue, clock = queue_of(), LoopClock()
    queue.add("a")
    await queue.get()
    queue.shut_down()

    async def finish():
        await clock.sleep(3)
        queue.add("a")
        queue.done("a")

    async with asyncio.TaskGroup() as group:
        group.create_task(finish())
        await queue.drained()
        assert clock.monotonic() == pytest.approx(3)
    assert len(queue) == 0


async def test_s44_with_drain_what_is_ready_or_dirty_is_still_handed_out():
    """A draining getter waits for a processed key that was wanted again before the shutdown."""
    queue, clock = queue_of(), LoopClock()
    queue.add("dirty")
    await queue.get()
    queue.add("dirty")
    queue.add("ready")
    queue.add_after("waiting", 1)
    queue.shut_down(drain=True)
    seen = []

    async def work():
        while True:
            try:
                item = await queue.get()
            except QueueClosed:
                return
            seen.append(item.key)
            queue.done(item.key)

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await clock.sleep(1)
        assert seen == ["ready"]
        queue.done("dirty")
        await queue.drained()

    assert seen == ["ready", "dirty"]


async def test_s44_draining_can_be_given_up():
    """A second shutdown without drain lets waiting getters go although a run is still on."""
    queue = queue_of()
    queue.add("stuck")
    await queue.get()
    queue.add("stuck")
    queue.shut_down(drain=True)

    getter = asyncio.create_task(queue.get())
    await LoopClock().sleep(1)
    assert not getter.done()

    queue.shut_down()

    with pytest.raises(QueueClosed):
        await getter
    queue.done("stuck")
    await queue.drained()
    assert len(queue) == 0
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_s45_a_cancelled_getter_passes_its_wake_up_on():
    """The getter that was woken dies before it runs: the other one gets the key."""
    queue = queue_of()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await LoopClock().sleep(0)

    queue.add("a")
    first.cancel()

    assert (await second).key == "a"
    assert first.cancelled()


@pytest.mark.parametrize("meanwhile", [WorkQueue.shut_down, lambda queue: queue.add("a")])
async def test_s45_a_getter_that_is_passed_by_while_it_is_cancelled_is_just_cancelled(meanwhile):
    """Between the order to end and its arrival the queue may close, or wake somebody else."""
    queue = queue_of()
    getter = asyncio.create_task(queue.get())
    await LoopClock().sleep(0)

    getter.cancel()
    meanwhile(queue)
    await asyncio.wait([getter])

    assert getter.cancelled()


async def test_s45_no_key_is_stranded_when_getters_are_cancelled_at_random():
    """Whatever getters are cancelled whenever: as long as one getter waits, no key stays."""
    queue, chance, clock = queue_of(), random.Random(7), LoopClock()
    got = set()

    async def get():
        item = await queue.get()
        got.add(item.key)
        queue.done(item.key)

    for number in range(500):
        getters = [asyncio.create_task(get()) for _ in range(3)]
        await clock.sleep(0)
        queue.add(number)
        for victim in chance.sample(getters, 2):
            victim.cancel()
        await clock.sleep(0.001)
        assert len(queue) == 0
        for getter in getters:
            getter.cancel()
        await asyncio.wait(getters)

    assert got == set(range(500))


async def test_s45_cancelled_getters_are_forgotten():
    """Whoever gives up waiting, over and over, leaves nothing behind in a queue that is quiet."""
    queue, clock = queue_of(), LoopClock()
    for _ in range(100):
        getter = asyncio.create_task(queue.get())
        await clock.sleep(0)
        getter.cancel()
        await asyncio.wait([getter])

    assert not queue._getters


async def test_s46_a_noisy_tenant_does_not_hold_up_the_others():
    """Behind ten thousand keys of one namespace, another's single key goes second."""
    queue = queue_of(tenant=lambda key: key.namespace)
    for number in range(10_000):
        queue.add(key(f"n{number}", "noisy"))
    for tenant in range(5):
        queue.add(key("only", f"quiet-{tenant}"))

    first = await take(queue, 6)

    assert first[0].namespace == "noisy"
    assert [name.namespace for name in first[1:]] == [f"quiet-{n}" for n in range(5)]


async def test_s46_a_tenant_that_comes_back_queues_behind_the_others():
    """Turns are kept while tenants come and go; priority stands above fairness."""
    queue = queue_of(tenant=lambda key: key.namespace)
    for tenant in "ab":
        for number in range(3):
            queue.add(key(str(number), tenant))
    assert await take(queue, 1) == [key("0", "a")]
    queue.add(key("0", "a"))
    queue.add(key("urgent", "a"), priority=1)

    assert [str(name) for name in await take(queue, 6)] == [
        "a/urgent", "b/0", "a/1", "b/1", "a/2", "b/2",
    ]  # fmt: skip
    assert await take(queue, 1) == [key("0", "a")]


async def test_a_rate_limited_key_comes_back_later_each_time():
    """5 ms after the first failure, 10 ms after the second, 5 ms again after a success."""
    queue, clock = queue_of(limits=RateLimitOptions()), LoopClock()
    waits = []
    for forget in (False, False, True, False):
        if forget:
            queue.forget("a")
        before = clock.monotonic()
        queue.add_rate_limited("a", priority=4)
        item = await queue.get()
        queue.done("a")
        waits.append(clock.monotonic() - before)
        assert item.priority == 4

    assert waits == [pytest.approx(wait) for wait in (0.005, 0.010, 0.005, 0.010)]
    assert queue.failures("a") == 2
    assert queue.stats.retries == 4
    queue.add_rate_limited("b")
    assert (await queue.get()).priority == 0, "unless said otherwise"


async def test_a_parked_key_is_in_nobodys_hands_and_does_not_run():
    """However often it is added, a parked key waits for `unpark`, then runs once."""
    queue = queue_of()
    queue.add("a")
    await queue.get()
    queue.park("a")
    queue.add("a", priority=3)
    queue.add_after("a", 1)
    await LoopClock().sleep(2)

    assert queue.parked == 1
    assert queue.unfinished() == queue.longest() == 0
    queue.add("a")
    queue.unpark("a")
    assert queue.parked == 0
    assert (await queue.get()).priority == 3
    queue.done("a")
    assert len(queue) == queue.waiting == 0


async def test_shutdown_forgets_parked_keys():
    """A parked key does not hold up `drained`, and unparking it afterwards is harmless."""
    queue = queue_of()
    queue.add("a")
    await queue.get()
    queue.park("a")
    queue.add("a")
    queue.shut_down(drain=True)

    await queue.drained()
    queue.unpark("a")
    await queue.drained()

    assert len(queue) == 0
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_overtaken_delays_do_not_pile_up():
    """A key that is delayed and then added, over and over, leaves no heap of dead entries."""
    queue = queue_of()
    for _ in range(10_000):
        queue.add_after("a", 3600)
        queue.add("a")
        await take(queue, 1)
    assert len(queue._heap) < 200

    own = {number: number * 37 % 100 / 100 for number in range(100)}
    for seconds in range(10, 0, -1):
        for number, more in own.items():
            queue.add_after(number, seconds + more)
    assert len(queue._heap) < 300
    ordered = sorted(own, key=own.get)
    assert await take(queue, 100) == ordered, "none of those that count is lost or late"
    assert queue._now() == pytest.approx(1.99)


async def test_running_times_are_read_from_the_runs_in_progress():
    """`unfinished` adds them up, `longest` names the oldest; both need no ticking timer."""
    queue, clock = queue_of(), LoopClock()
    await clock.sleep(9)
    for name in "ab":
        queue.add(name)
        await queue.get()
        await clock.sleep(2)

    assert queue.unfinished() == pytest.approx(6)
    assert queue.longest() == pytest.approx(4)
    queue.done("b")
    assert queue.longest() == pytest.approx(4)
    assert queue.stats.work.total == pytest.approx(2)
    assert queue.stats.work.cumulative()[8:10] == [(pytest.approx(1), 0), (pytest.approx(10), 1)]
    queue.done("a")
    assert queue.stats.work.total == pytest.approx(6)
