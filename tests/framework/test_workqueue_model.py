"""The work queue beside a model so small that it is obviously right."""

import random
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kaito.framework.workqueue import WorkQueue
from kaito.kube.clock import LoopClock
from kaito.testing.loop import VirtualTimeLoop


class Model:
    """One tenant's queue as plain data: what is wanted, since when, and what is in hand."""

    def __init__(self):
        self.now, self.arrivals, self.adds, self.gets, self.dones = 0.0, 0, 0, 0, 0
        self.wanted, self.waiting, self.held = {}, {}, []

    def add(self, key, priority):
        priority = max(priority, self.waiting.pop(key, (0, priority))[1])
        known = self.wanted.get(key)
        if known is None or priority > known[0]:
            self.arrivals += 1
            self.adds += known is None
            self.wanted[key] = (priority, self.arrivals)

    def add_after(self, key, seconds, priority):
        if key in self.wanted:
            self.add(key, priority)
            return
        at, known = self.waiting.get(key, (float("inf"), priority))
        self.waiting[key] = (min(at, self.now + seconds), max(priority, known))

    def ready(self):
        return sorted(
            (-priority, arrival, key)
            for key, (priority, arrival) in self.wanted.items()
            if key not in self.held
        )

    def get(self):
        key = self.ready()[0][2]
        self.held.append(key)
        self.gets += 1
        return key, self.wanted.pop(key)[0]

    def done(self, key):
        self.held.remove(key)
        self.dones += 1
        if key in self.wanted:
            self.arrivals += 1
            self.wanted[key] = (self.wanted[key][0], self.arrivals)

    def pass_time(self, seconds):
        self.now += seconds
        due = sorted((at, key) for key, (at, _) in self.waiting.items() if at <= self.now)
        for _, key in due:
            self.add(key, self.waiting[key][1])


class Pair:
    """A queue and its model, told the same."""

    def __init__(self):
        self.queue, self.model, self.clock = (
            WorkQueue("test", clock=LoopClock()),
            Model(),
            LoopClock(),
        )

    def add(self, key, priority):
        self.queue.add(key, priority=priority)
        self.model.add(key, priority)

    def add_after(self, key, seconds, priority):
        # No two delays end at the same moment, so the model need not know about tickets.
        seconds += (self.model.arrivals * 7 + key) / 1e5
        self.queue.add_after(key, seconds, priority=priority)
        self.model.add_after(key, seconds, priority)

    async def get(self):
        item = await self.queue.get()
        assert (item.key, item.priority) == self.model.get()

    def done(self, number):
        key = self.model.held[number % len(self.model.held)]
        self.queue.done(key)
        self.model.done(key)

    async def pass_time(self, seconds):
        await self.clock.sleep(seconds)
        self.model.pass_time(seconds)

    def compare(self):
        stats, model = self.queue.stats, self.model
        assert (stats.adds, stats.wait.count, stats.work.count) == (
            model.adds,
            model.gets,
            model.dones,
        )
        assert self.queue.depths() == Counter(priority for priority, _ in model.wanted.values())
        assert len(self.queue) == len(model.wanted)
        assert self.queue.waiting == len(model.waiting)


async def test_s47_the_numbers_equal_a_model_after_ten_thousand_random_operations():
    """adds, depth by priority, and the counts of both histograms are exactly what happened."""
    pair, chance = Pair(), random.Random(3)
    for _ in range(10_000):
        key, priority = chance.randrange(30), chance.choice((-100, 0, 5))
        match chance.choice(("add", "after", "get", "get", "done", "time")):
            case "add":
                pair.add(key, priority)
            case "after":
                pair.add_after(key, chance.randrange(1, 50), priority)
            case "get" if pair.model.ready():
                await pair.get()
            case "done" if pair.model.held:
                pair.done(chance.randrange(100))
            case "time":
                await pair.pass_time(0.7)
        pair.compare()
    assert min(pair.model.adds, pair.model.gets, pair.model.dones) > 1000


KEYS = st.integers(0, 4)
PRIORITIES = st.sampled_from([-100, 0, 5])


class QueueMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.pair = self.loop.run_until_complete(self.make())

    async def make(self):
        return Pair()

    def on_loop(self, call):
        async def run():
            call()

        self.loop.run_until_complete(run())

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key, priority):
        self.on_loop(lambda: self.pair.add(key, priority))

    @rule(key=KEYS, seconds=st.integers(1, 9), priority=PRIORITIES)
    def add_after(self, key, seconds, priority):
        self.on_loop(lambda: self.pair.add_after(key, seconds, priority))

    @precondition(lambda self: self.pair.model.ready())
    @rule()
    def get(self):
        self.loop.run_until_complete(self.pair.get())

    @precondition(lambda self: self.pair.model.held)
    @rule(number=st.integers(0, 9))
    def done(self, number):
        self.on_loop(lambda: self.pair.done(number))

    @rule(seconds=st.integers(1, 5))
    def pass_time(self, seconds):
        self.loop.run_until_complete(self.pair.pass_time(seconds))

    @invariant()
    def same(self):
        self.on_loop(self.pair.compare)

    def teardown(self):
        self.loop.close()


class TestS48StateMachine(QueueMachine.TestCase):
    """Any sequence of operations hands out the same keys in the same order as the model."""

    settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
