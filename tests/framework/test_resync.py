"""Resyncs: everything again, now and then, for who asked."""

import pytest

from kaito.framework.controller import Controller
from kaito.framework.events import Added, Updated
from kaito.framework.predicates import resource_version_changed
from kaito.framework.reconcile import Done
from kaito.framework.resync import RESYNC
from kaito.framework.sources import for_object
from kaito.framework.workqueue import LOW_PRIORITY
from kaito.kube.resources import CONFIGMAPS
from tests.framework.bench import Scripted
from tests.framework.world import World, running

HOUR = 3600.0


async def test_only_who_asked_is_told_of_everything_again_every_ten_hours_or_so():
    """As an update whose old and new are one record; the period varies by a tenth, each time."""
    world = World()
    await world.configmaps("a", "b")
    manager = world.manager()
    informer = manager.cache.informer(CONFIGMAPS, namespaces=("default",))
    asked, others = [], []
    informer.subscribe(lambda event: asked.append((world.clock.monotonic(), event)), resync=RESYNC)
    informer.subscribe(others.append)

    async with running(manager):
        await world.clock.sleep(100 * HOUR)

    assert [type(event) for event in others] == [Added] * 2
    assert [type(event) for _, event in asked[:2]] == [Added] * 2
    again = asked[2:]
    assert all(isinstance(event, Updated) and event.old is event.new for _, event in again)
    assert {event.record.meta.name for _, event in again} == {"a", "b"}
    moments = sorted({moment for moment, _ in again})
    gaps = [b - a for a, b in zip([asked[0][0], *moments], moments, strict=False)]
    assert 9 <= len(gaps) <= 11
    assert all(9 * HOUR <= gap <= 11 * HOUR + 1 for gap in gaps)
    assert max(gaps) - min(gaps) > 60


async def test_a_controller_that_asks_looks_again_after_everything_else():
    """At low priority, like what the first list brings: news goes first."""
    world = World()
    await world.configmaps("a")
    manager = world.manager()
    seen = []

    class Reconciler:
        async def reconcile(self, key):
            seen.append(world.clock.monotonic())
            return Done()

    controller = Controller(
        "c", Reconciler(), [for_object(CONFIGMAPS, namespaces=("default",), resync=600)]
    )
    manager.add(controller)
    priorities = []
    add = controller.queue.add
    controller.queue.add = lambda key, priority=0: (
        priorities.append(priority),
        add(key, priority=priority),
    )

    async with running(manager):
        await world.clock.sleep(700)

    assert len(seen) == 2
    assert 540 <= seen[1] - seen[0] <= 661
    assert priorities == [LOW_PRIORITY, LOW_PRIORITY]


async def test_a_predicate_may_hold_a_resync_back():
    """`resource_version_changed` lets only news pass."""
    world = World()
    await world.configmaps("a")
    manager = world.manager()
    reconciler = Scripted()
    source = for_object(
        CONFIGMAPS, predicate=resource_version_changed, namespaces=("default",), resync=60
    )
    manager.add(Controller("c", reconciler, [source]))

    async with running(manager):
        await world.clock.sleep(HOUR)

    assert manager._controllers["c"].queue.stats.adds == 1


@pytest.mark.parametrize("how", ["unsubscribe", "stop"])
async def test_nothing_is_repeated_of_what_is_not_followed(how):
    """After the handler has gone, or while the kind is not watched; then it goes on."""
    world = World()
    await world.configmaps("a")
    manager = world.manager()
    informer = manager.cache.informer(CONFIGMAPS, namespaces=("default",))
    told = []
    subscription = informer.subscribe(told.append, resync=60)

    async with running(manager):
        await world.clock.sleep(100)
        assert [type(event) for event in told] == [Added, Updated]
        if how == "unsubscribe":
            informer.unsubscribe(subscription)
        else:
            await manager.cache.stop(CONFIGMAPS)
        await world.clock.sleep(600)
        assert len(told) == 2
        if how == "stop":
            manager.cache.start(CONFIGMAPS)
            await world.clock.sleep(100)
            assert [type(event) for event in told[2:]] == [Updated]
