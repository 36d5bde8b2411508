"""Lifetimes: what starts when, what ends when, and what is reported."""

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest

from kaito.apiserver.door import in_process
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.fence import Fenced
from kaito.framework.manager import StopOverdue
from kaito.framework.memory import thaw
from kaito.framework.reconcile import Again, Done
from kaito.framework.sources import for_object
from kaito.kube.objects import Resource
from kaito.kube.resources import CONFIGMAPS, LEASES
from tests.framework.bench import Scripted
from tests.framework.lab import Network
from tests.framework.world import LEASE, Cut, World, configmap, controller, key, running


def leaves(error):
    """The errors inside nested groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


async def test_objects_of_the_server_reach_the_reconciler():
    """What exists, what appears and what goes: one reconcile each, with the cache up to date."""
    world, seen = World(), []
    manager = world.manager()

    class Look:
        async def reconcile(self, key):
            record = manager.cache.store(CONFIGMAPS).get(key)
            seen.append((key.name, None if record is None else record.get("data", "a")))
            return Done()

    await world.client.create(CONFIGMAPS, configmap("old", a="1"))
    manager.add(controller(Look()))
    async with running(manager):
        await world.clock.sleep(1)
        await world.client.create(CONFIGMAPS, configmap("new", a="2"))
        await world.clock.sleep(1)
        await world.client.delete(CONFIGMAPS, key("old"))
        await world.clock.sleep(1)

    assert [entry for entry in seen if entry[0] in ("old", "new")] == [
        ("old", "1"),
        ("new", "2"),
        ("old", None),
    ]


async def test_a_key_is_parked_until_the_cache_has_its_own_writes():
    """A write, then at once another run: it starts only when the watch has brought the write."""
    world, seen = World(), []
    manager = world.manager()

    class Write:
        async def reconcile(self, key):
            shard = manager.cache.store(CONFIGMAPS).shards[0]
            seen.append(shard.records[key].get("data", "n"))
            if len(seen) < 4:
                await manager.client.merge_patch(CONFIGMAPS, key, {"data": {"n": str(len(seen))}})
                return Again(0)
            return Done()

    await world.client.create(CONFIGMAPS, configmap("a", n="0"))
    manager.add(controller(Write()))
    async with running(manager):
        await world.clock.sleep(10)

    assert seen[:4] == ["0", "1", "2", "3"]


async def test_s58_a_key_of_another_controller_that_looks_alike_does_not_wait():
    """Each controller waits for its own writes, and for nobody else's."""
    world = World()
    await world.configmaps("a")
    lab = Network(in_process(world.server), lag=20)
    manager = world.manager(transport=lab)
    ran = {"writer": [], "other": []}

    class Reconciler:
        def __init__(self, name):
            self.name = name

        async def reconcile(self, key):
            ran[self.name].append(world.clock.monotonic())
            if self.name == "writer" and len(ran["writer"]) == 1:
                await manager.client.merge_patch(CONFIGMAPS, key, {"data": {"x": "1"}})
                return Again(1)
            return Again(1) if len(ran["other"]) < 5 and self.name == "other" else Done()

    for name in ran:
        manager.add(controller(Reconciler(name), name))
    async with running(manager):
        await world.clock.sleep(100)

    assert ran["writer"][1] - ran["writer"][0] >= 19
    assert ran["other"][4] - ran["other"][0] < 10


async def test_what_caches_hold_and_do_is_measured():
    """Objects, bytes, whether they are synced, and the lists and watches behind them."""
    world = World()
    manager = world.manager()
    manager.add(controller(Scripted()))
    await world.client.create(CONFIGMAPS, configmap("a", text="x" * 100))

    async with running(manager):
        await world.clock.sleep(1)
        labels = {"resource": "configmaps"}
        values = {
            name: manager.registry.get_sample_value(f"cache_{name}", labels)
            for name in ("objects", "bytes", "synced", "handler_backlog", "resource_version")
        }
        stored = manager.cache.store(CONFIGMAPS).resource_version
        watches = manager.registry.get_sample_value(
            "cache_activity_total", {"what": "watch_list", **labels}
        )

    assert values["objects"] >= 1
    assert values["bytes"] > 100
    assert (values["synced"], values["handler_backlog"]) == (1, 0)
    assert watches == 1
    assert values["resource_version"] == int(stored)


async def test_a_kind_of_which_nothing_is_heard_grows_stale_until_a_bookmark_or_an_event_comes():
    """Bookmarks keep a quiet kind fresh; a server that fell silent is seen within a scrape."""
    world = World()
    manager = world.manager()
    manager.add(controller(Scripted()))

    def staleness():
        return manager.registry.get_sample_value(
            "cache_staleness_seconds", {"resource": "configmaps"}
        )

    async with running(manager):
        await world.clock.sleep(10)
        assert staleness() == pytest.approx(10, abs=1)
        await world.client.create(CONFIGMAPS, configmap("a"))
        await world.clock.sleep(1)
        assert staleness() == pytest.approx(1, abs=0.1)
        await world.clock.sleep(600)
        assert staleness() < 65
        await manager.cache.stop(CONFIGMAPS)
        await world.clock.sleep(600)
        assert staleness() >= 600


async def test_pauses_of_the_garbage_collector_are_measured_while_a_manager_runs():
    """By generation; nothing stays hooked into the collector afterwards."""
    world = World()
    manager = world.manager(loop_lag_interval=0.25)
    labels = {"generation": "2"}
    before = list(gc.callbacks)

    async with running(manager):
        await world.clock.sleep(1)
        gc.collect()
        measured = manager.registry.get_sample_value(
            "garbage_collection_pause_seconds_count", labels
        )
        took = manager.registry.get_sample_value("garbage_collection_pause_seconds_sum", labels)

    assert measured >= 1
    assert took > 0
    assert gc.callbacks == before


async def test_s55_two_controllers_of_one_name_are_refused():
    """Their metrics and log lines could not be told apart."""
    manager = World().manager()
    manager.add(controller(Scripted(), name="a"))

    with pytest.raises(ValueError, match="a controller named a exists already"):
        manager.add(controller(Scripted(), name="a"))


class Chronicle:
    """Writes down what starts and ends, in order. Served as if it were webhooks."""

    def __init__(self):
        self.order = []

    @asynccontextmanager
    async def life(self, name):
        self.order.append(f"{name} start")
        try:
            yield
        finally:
            self.order.append(f"{name} end")

    def living(self, name, run):
        """`run` as a life of that name."""

        async def lives():
            async with self.life(name):
                await run()

        return lives

    def serving(self):
        return self.life("webhooks")

    def unready(self):
        return None


async def test_s70_lives_are_nested_and_end_in_reverse():
    """HTTP, webhooks, caches, what everybody runs, what the leader runs. On the stop: controllers
    finish, leader runnables, the lease, other runnables, events, caches, webhooks, HTTP."""
    world, told, for_ever = World(), Chronicle(), asyncio.Event().wait
    manager = world.manager(leader=LEASE, identity="one")

    class Slow:
        async def reconcile(self, key):
            async with told.life("reconcile"):
                await world.clock.sleep(3)
                assert manager.fence.open
                record = manager.cache.store(CONFIGMAPS).get(key)
                fields = {"type": "Normal", "reason": "Done", "action": "Look", "message": "done"}
                manager.recorder("me").event(record, **fields)
            return Done()

    def requested(info):
        if (info.verb, info.resource) == ("create", "events"):
            told.order.append("event written")
        elif (info.verb, info.resource) == ("update", "leases") and not manager.fence.open:
            told.order.append("lease released")

    world.server.on_request = requested
    manager.add(controller(Slow()))
    manager.serve_webhooks(told)
    manager.add_runnable("leader", told.living("leader runnable", for_ever))
    manager.add_runnable("everyone", told.living("other runnable", for_ever), leader=False)
    manager.cache.run = told.living("caches", manager.cache.run)
    manager._endpoints = lambda: told.life("endpoints")
    manager._events.run = for_ever  # so that the event is left to be written at the stop
    await world.client.create(CONFIGMAPS, configmap("a"))
    async with running(manager):
        await world.clock.sleep(2)

    starting = ["endpoints", "webhooks", "caches", "other runnable", "leader runnable", "reconcile"]
    assert told.order[:6] == [f"{name} start" for name in starting]
    assert told.order[6:] == [
        "reconcile end",
        "leader runnable end",
        "lease released",
        "other runnable end",
        "event written",
        "caches end",
        "webhooks end",
        "endpoints end",
    ]
    assert not manager.fence.open


async def hang_after(world, seconds, key):
    await world.clock.sleep(seconds)
    return Done()


@pytest.mark.parametrize(
    ("grace", "ends_at", "overdue"),
    [(0, 1, False), (5, 6, True), (-1, 100, False), (200, 100, False)],
)
async def test_s71_the_grace_period_bounds_what_runs_in_progress_may_take(grace, ends_at, overdue):
    """Zero: cancelled at once. Positive: cancelled then, and reported. Negative: as they like."""
    world = World()
    manager = world.manager(grace_seconds=grace)
    manager.add(controller(Scripted(lambda key: hang_after(world, 100, key)), concurrency=1))
    await world.configmaps("a")

    async def run():
        async with running(manager):
            await world.clock.sleep(1)

    if overdue:
        with pytest.raises(ExceptionGroup) as raised:
            await run()
        (error,) = leaves(raised.value)
        assert isinstance(error, StopOverdue)
        assert "controller configmaps" in str(error)
    else:
        await run()
    assert world.clock.monotonic() == pytest.approx(ends_at, abs=0.01)


async def test_s72_errors_of_running_and_of_stopping_are_both_reported():
    """One runnable breaks, another breaks while it is being ended: neither hides the other."""
    world = World()
    manager = world.manager()

    async def breaks():
        await world.clock.sleep(1)
        raise RuntimeError("broke")

    async def breaks_at_the_end():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise OSError("broke while ending")

    manager.add_runnable("one", breaks)
    manager.add_runnable("two", breaks_at_the_end, leader=False)

    with pytest.raises(ExceptionGroup) as raised:
        await manager.run(asyncio.Event())

    assert sorted(str(error) for error in leaves(raised.value)) == ["broke", "broke while ending"]


async def test_s72_a_failing_start_ends_what_had_been_started():
    """The kind of a controller cannot be listed: the manager ends and says which."""
    world = World()
    manager = world.manager()
    missing = Resource("example.org", "v1", "widgets", "Widget")
    options = ControllerOptions(sync_timeout=20)
    manager.add(Controller("widgets", Scripted(), [for_object(missing)], options))

    with pytest.raises(ExceptionGroup) as raised:
        await manager.run(asyncio.Event())

    (error,) = leaves(raised.value)
    assert list(error.problems) == ["widgets.example.org"]


async def test_a_runnable_that_ends_by_itself_ends_nothing_else():
    """Returning is not failing."""
    world, reconciler = World(), Scripted()
    manager = world.manager()

    async def once():
        pass

    manager.add_runnable("once", once)
    manager.add(controller(reconciler))
    async with running(manager):
        await world.clock.sleep(1)
        await world.configmaps("a")
        await world.clock.sleep(1)

    assert "a" in reconciler.names


async def test_nothing_is_added_to_a_manager_that_stops():
    """A late controller would never be stopped."""
    world = World()
    manager = world.manager()
    async with running(manager):
        await world.clock.sleep(1)

    with pytest.raises(RuntimeError, match="stopping"):
        manager.add(controller(Scripted()))


async def test_a_crash_leaves_everything_as_it_is():
    """Cut off first, then cancelled: no cleanup reaches the server, not even of the lease."""
    world = World()
    cut = Cut(in_process(world.server), world.clock)
    manager = world.manager(transport=cut, leader=LEASE, identity="one")

    async def slow(key):
        try:
            await world.clock.sleep(1000)
        finally:
            manager.recorder("test").event(
                {"apiVersion": "v1", "kind": "ConfigMap", **configmap("a")},
                type="Normal",
                reason="Ended",
                message="never told",
                action="End",
            )

    manager.add(controller(Scripted(slow)))
    await world.configmaps("a")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(manager.run(asyncio.Event()))
        await world.clock.sleep(5)
        cut.state = "silent"
        world.requests.clear()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    assert world.requests == []
    lease = await world.client.get(LEASES, key("widgets"))
    assert lease.get("spec", "holderIdentity") == "one"


async def test_a_manager_runs_once():
    """Its queues are closed after the stop; a second run would do nothing, silently."""
    manager = World().manager()
    stop = asyncio.Event()
    stop.set()
    await manager.run(stop)

    with pytest.raises(RuntimeError, match="starts nothing new"):
        await manager.run(stop)


async def test_s67_a_standby_has_warm_caches_and_starts_within_a_second():
    """The leader ends cleanly; the standby reconciles what it already knows within a second."""
    world, reconciler = World(), Scripted()
    first = world.manager(leader=LEASE, identity="one")
    second = world.manager(leader=LEASE, identity="two", seed=3)
    second.add(controller(reconciler))
    await world.configmaps("a")

    async with running(first) as (stop_first,):
        await world.clock.sleep(1)
        async with running(second):
            await world.clock.sleep(60)
            assert second.cache.store(CONFIGMAPS).get(key("a")) is not None
            assert reconciler.runs == []
            with pytest.raises(Fenced):
                second.fence.check()
            lists = [info for info in world.requests if info.resource == "configmaps"]

            stop_first.set()
            await world.clock.sleep(1)

            assert "a" in reconciler.names
            assert lists == [info for info in world.requests if info.resource == "configmaps"]


async def test_s68_stopping_a_standby_starts_nothing():
    """A replica that is stopped while it waits for the lease runs none of the leader's work."""
    world, reconciler, ran = World(), Scripted(), []
    leader = world.manager(leader=LEASE, identity="one")
    standby = world.manager(leader=LEASE, identity="two", seed=3)
    standby.add(controller(reconciler))

    async def work():
        ran.append(True)

    standby.add_runnable("work", work)
    await world.configmaps("a")
    async with running(leader):
        await world.clock.sleep(1)
        async with running(standby):
            await world.clock.sleep(5)

    assert (reconciler.runs, ran) == ([], [])


async def test_s68_stopping_everybody_at_once_starts_nothing():
    """The lease is released in the very moment in which the standby is stopped."""
    world, reconciler = World(), Scripted()
    leader = world.manager(leader=LEASE, identity="one")
    standby = world.manager(leader=LEASE, identity="two", seed=3)
    standby.add(controller(reconciler))
    await world.configmaps("a")

    async with running(leader) as (stop,):
        await world.clock.sleep(1)
        async with running(standby):
            await world.clock.sleep(5)
            stop.set()

    assert reconciler.runs == []


async def test_s68_a_manager_that_is_stopped_before_it_began_starts_no_work():
    """The signal may come while the process is still getting ready."""
    world, reconciler, ran = World(), Scripted(), []
    manager = world.manager()
    manager.add(controller(reconciler))

    async def work():
        ran.append(True)

    manager.add_runnable("work", work)
    await world.configmaps("a")
    stop = asyncio.Event()
    stop.set()
    await manager.run(stop)
    await world.clock.sleep(10)

    assert (reconciler.runs, ran) == ([], [])


async def test_s69_a_crash_of_the_leaders_work_ends_its_leadership():
    """A leader runnable raises: the process ends, and the lease is free for others at once."""
    world = World()
    leader = world.manager(leader=LEASE, identity="one")

    async def crash():
        await world.clock.sleep(3)
        raise RuntimeError("crashed")

    leader.add_runnable("crash", crash)

    with pytest.raises(ExceptionGroup) as raised:
        await leader.run(asyncio.Event())

    lease = await world.client.get(LEASES, key("widgets"))
    assert [str(error) for error in leaves(raised.value)] == ["crashed"]
    assert lease.get("spec", "holderIdentity") == ""


async def test_a_controller_that_needs_no_leader_runs_on_every_replica():
    """`leader=False` in its options: it works on the standby too."""
    world, everywhere, leading = World(), Scripted(), Scripted()
    first = world.manager(leader=LEASE, identity="one")
    second = world.manager(leader=LEASE, identity="two", seed=3)
    second.add(controller(everywhere, name="everywhere", leader=False))
    second.add(controller(leading, name="leading"))
    await world.configmaps("a")

    async with running(first):
        await world.clock.sleep(1)
        async with running(second):
            await world.clock.sleep(5)

    assert "a" in everywhere.names
    assert leading.runs == []


async def test_ready_only_after_the_caches_are_synced():
    """The readiness check names the kinds that are missing, and passes when none is."""
    world = World()
    manager = world.manager()
    manager.add(controller(Scripted()))
    check = manager._probes["readyz"]["caches"]
    assert check() == "configmaps: first list not complete"

    async with running(manager):
        await world.clock.sleep(1)
        assert check() is None


async def test_the_loop_lag_is_measured_when_asked_for():
    """Every interval, one observation of how late a timer rang."""
    world = World()
    manager = world.manager(loop_lag_interval=0.5)
    async with running(manager):
        await world.clock.sleep(10.2)

    assert manager.registry.get_sample_value("event_loop_lag_seconds_count") == 20
    assert manager.registry.get_sample_value("event_loop_lag_seconds_sum") == pytest.approx(0)


async def test_requests_are_counted_as_client_go_counts_them():
    """rest_client_requests_total has code, method and host."""
    world = World()
    manager = world.manager()
    manager.add(controller(Scripted()))
    async with running(manager):
        await manager.live.create(CONFIGMAPS, configmap("a"))

    labels = {"code": "201", "method": "POST", "host": ""}
    assert manager.registry.get_sample_value("rest_client_requests_total", labels) == 1


async def test_what_lives_long_is_hidden_from_the_collector_after_the_first_sync():
    """Asked for, it happens once, when every cache is complete."""
    world = World()
    manager = world.manager(freeze_after_sync=True)
    manager.add(controller(Scripted()))
    thaw()
    try:
        async with running(manager):
            await world.clock.sleep(1)
            assert gc.get_freeze_count() > 1000
    finally:
        thaw()
