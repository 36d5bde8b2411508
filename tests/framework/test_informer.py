"""Informers and the cache: sharing, late handlers, failing handlers, and who is waited for."""

import asyncio
import gc
from random import Random

import pytest

from kaito.framework import subscription
from kaito.framework.cache import Cache, CacheSyncTimeout, NotCached
from kaito.framework.events import Added, Event
from kaito.framework.scope import Scope
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.objects import record_of
from kaito.kube.resources import CONFIGMAPS, PODS
from tests.framework.objects import GADGETS, WIDGETS, widget, widget_record
from tests.framework.script import (
    HANG,
    Script,
    added,
    deleted,
    end,
    error,
    following,
    modified,
    refuse,
    stream,
)


def cached(*answers) -> tuple[Cache, Script]:
    script = Script(*answers)
    clock = LoopClock()
    client = Client(script, clock=clock, random=Random(1))
    return Cache(client, clock=clock, random=Random(1)), script


async def test_s27_a_relist_without_change_calls_no_handler() -> None:
    """Everything is read again, nothing has changed: silence, and the same objects."""
    same = [added(widget("a", 2)), added(widget("b", 3))]
    async with following(
        stream(*same, end(4), 1.0, error(410, "Expired")), stream(*same, end(9), HANG)
    ) as f:
        await asyncio.sleep(0.5)
        before = f.informer.store.list()
        await asyncio.sleep(5)
        assert f.script.asked() == ["streamlist -", "streamlist 4"]
        assert f.told() == ["Added a", "Added b"]
        assert all(x is y for x, y in zip(before, f.informer.store.list(), strict=True))


async def test_s30_a_handler_added_late_sees_each_object_once() -> None:
    """Under a steady stream of changes a new handler is told of what is there, then of what
    follows: no object twice, none left out, whatever the moment."""
    count = 3 * subscription.SLICE
    flood = [added(widget(f"n{n}", 5000 + n)) for n in range(count)]
    async with following(
        stream(*[added(widget(f"w{n}", n + 1)) for n in range(count)], end(4999), *flood, HANG)
    ) as f:
        late: list[tuple[list[Event], subscription.Subscription]] = []
        while len(f.informer.store) < 2 * count:
            events: list[Event] = []
            late.append((events, f.informer.subscribe(events.append)))
            for _ in range(211):
                await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert len(late) > 5
        for events, handler in late:
            names = [event.record.meta.name for event in events]
            assert len(names) == len(set(names)) == 2 * count
            assert all(isinstance(event, Added) for event in events)
            assert handler.synced


async def test_s30_initial_objects_are_marked_and_synced_comes_after_them() -> None:
    """A subscription is synced only after its handler was given the last initial object."""
    count = 2 * subscription.SLICE + 10
    async with following(
        stream(*[added(widget(f"w{n}", n + 1)) for n in range(count)], end(4999), HANG)
    ) as f:
        seen_when_full: list[tuple[int, bool]] = []
        f.informer.store.observe(
            lambda _: seen_when_full.append((len(f.events), f.subscription.synced))
        )
        await f.subscription.wait()
        assert seen_when_full == [(0, False)]
        assert len(f.events) == count
        assert all(event.initial for event in f.events)


async def test_s31_a_handler_that_raises_is_counted_and_harms_nobody(lines) -> None:
    """Its own later events, the other handlers, and the stream go on."""
    seen: list[str] = []

    def broken(event: Event) -> None:
        seen.append(event.record.meta.name)
        raise RuntimeError("a bug")

    said = [added(widget("a", 2)), end(4), 1.0, added(widget("b", 5)), HANG]
    async with following(stream(*said)) as f:
        f.informer.subscribe(broken, "broken")
        other: list[Event] = []
        f.informer.subscribe(other.append)
        await asyncio.sleep(2)
        assert seen == ["a", "b"]
        assert len(other) == 2
        assert f.informer.counts["handler_failed"] == 2
        told = [(line["handler"], line["key"]) for line in lines if line["level"] == "error"]
        assert told == [("broken", "ns/a"), ("broken", "ns/b")]
        assert f.script.asked() == ["streamlist -"]


async def test_s32_a_backlog_does_not_stop_the_stream_and_raises_an_alarm(monkeypatch) -> None:
    """Events that a handler has not been given yet wait outside the stream's way; too many of
    them are reported."""
    monkeypatch.setattr(subscription, "ALARM", 1000)
    count = 5 * subscription.SLICE
    lines = [added(widget(f"w{n}", n + 1)) for n in range(count)]
    async with following(stream(*lines, end(4999), modified(widget("w0", 5000)), HANG)) as f:
        seen_when_synced: list[int] = []
        f.informer.store.observe(lambda _: seen_when_synced.append(len(f.events)))
        await asyncio.sleep(1)
        assert seen_when_synced[0] == 0, "the swap was over before the first handler ran"
        assert len(f.events) == count + 1
        assert f.informer.counts["handler_backlog_alarm"] == 1
        assert f.informer.backlog == 0


@pytest.mark.parametrize("count", [20, 3 * subscription.SLICE])
async def test_a_handler_that_unsubscribes_is_not_called_again(count: int) -> None:
    """Not even for what arrived together with the event that made it leave: in the step that
    brought them, or out of the backlog."""
    troubles: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    async with following(
        stream(*[added(widget(f"w{n}", n + 1)) for n in range(count)], end(4999), HANG)
    ) as f:
        seen: list[Event] = []

        def leave(event: Event) -> None:
            seen.append(event)
            if len(seen) == 10:
                f.informer.unsubscribe(handler)

        handler = f.informer.subscribe(leave)
        await asyncio.sleep(1)
        assert len(seen) == 10
        assert len(f.events) == count, "the other handler is not disturbed"
        assert f.informer.backlog == 0
        assert troubles == []


async def test_s32_a_backlog_is_reported_each_time_that_it_grows_too_long(monkeypatch) -> None:
    """Once per time, however long it goes on growing; again after it had been worked off."""
    monkeypatch.setattr(subscription, "ALARM", 1000)
    told: list[str] = []
    handler = subscription.Subscription(lambda event: None, "slow", told.append)
    events = [Added(widget_record("a", 1))] * 600
    for times, alarms in ((1, 0), (3, 1), (3, 2)):
        for _ in range(times):
            handler.offer(events)
        assert len(told) == alarms
        await asyncio.sleep(1)
        assert len(handler) == 0


async def test_s34_namespaces_with_selectors_of_their_own() -> None:
    """{a, b, rest}: a watch each; an object that moves out of one selector and into another is
    told without duplicates; the store is one."""
    scopes = (
        Scope(namespace="a", label_selector="team=red"),
        Scope(namespace="b"),
        Scope(field_selector="metadata.namespace!=a,metadata.namespace!=b"),
    )
    in_a = widget("x", 2, namespace="a", labels={"team": "red"})
    moved = widget("x", 8, namespace="a", labels={"team": "blue"})
    async with following(
        stream(added(in_a), end(4), 1.0, deleted(moved), 1.0, HANG),
        stream(added(widget("x", 3, namespace="b")), end(4), HANG),
        stream(end(4), 1.5, added(widget("x", 9, namespace="c")), HANG),
        scopes=scopes,
    ) as f:
        await asyncio.sleep(3)
        requests = [request for _, request in f.script.requests]
        assert [request.path.split("/")[-2] for request in requests] == ["a", "b", "v1"]
        assert requests[0].param("labelSelector") == "team=red"
        assert requests[2].param("fieldSelector") == scopes[2].field_selector
        assert sorted(record.meta.namespace for record in f.informer.store.list()) == ["b", "c"]
        assert f.told() == ["Added x", "Added x", "Deleted x", "Added x"]
        assert f.informer.store.resource_version == "4"


def test_s35_selectors_are_judged_locally_as_the_server_does() -> None:
    """Labels, names, and any field by its path, compared as text."""
    record = widget_record(
        "x", 2, labels={"app": "web"}, spec={"nodeName": "n1", "on": True}, status={"n": 3}
    )
    for scope, covered in [
        (Scope(), True),
        (Scope(namespace="ns"), True),
        (Scope(namespace="other"), False),
        (Scope(label_selector="app in (web,api),!legacy"), True),
        (Scope(label_selector="app!=web"), False),
        (Scope(field_selector="metadata.name=x,metadata.namespace=ns"), True),
        (Scope(field_selector="spec.nodeName=n1,spec.on=true,status.n=3"), True),
        (Scope(field_selector="spec.nodeName="), False),
        (Scope(field_selector="spec.missing="), True),
    ]:
        assert scope.covers(record) is covered, scope


async def test_the_same_kind_with_the_same_options_is_watched_once() -> None:
    """Two controllers, one watch; their indexes are merged; other selectors are another watch."""
    cache, script = cached(stream(end(4), HANG))
    one = cache.informer(WIDGETS, indexes={"x": lambda record: ["1"]})
    assert cache.informer(WIDGETS, indexes={"y": lambda record: ["2"]}) is one
    assert one.store.by_index("x", "1") == one.store.by_index("y", "2") == []
    assert cache.store(WIDGETS) is one.store
    selected = cache.informer(WIDGETS, label_selector="app=web")
    assert selected is not one
    wanted = {
        "namespaces": ("a",),
        "label_selector": "x=y",
        "field_selector": "metadata.name=z",
        "metadata_only": True,
        "transform": lambda record: record,
    }
    options = cache.informer(PODS, **wanted).options
    assert {name: getattr(options, name) for name in wanted} == wanted
    assert not one.options.metadata_only
    with pytest.raises(
        NotCached, match=r"2 informers are declared for widgets.example.org: ask for"
    ):
        cache.store(WIDGETS)
    with pytest.raises(
        NotCached, match=r"no informer is declared for gadgets.example.org: give a c"
    ):
        cache.store(GADGETS)
    assert script.requests == []


async def test_s49_the_cache_is_synced_when_every_handler_is() -> None:
    """Not when the stores are full: when the last handler was given the last initial object."""
    count = 3 * subscription.SLICE
    cache, _ = cached(
        stream(*[added(widget(f"w{n}", n + 1)) for n in range(count)], end(4999), HANG)
    )
    events: list[Event] = []
    cache.informer(WIDGETS).subscribe(events.append)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cache.run())
        await cache.synced()
        assert len(events) == count
        running.cancel()


async def test_s50_a_sync_that_takes_too_long_names_kinds_and_reasons() -> None:
    """The error says which kinds are missing and what the last attempt met."""
    no = refuse(403, "Forbidden", "no way")
    cache, _ = cached(stream(end(4), HANG), no, stream(HANG), *[no] * 9)
    for resource in (WIDGETS, GADGETS, CONFIGMAPS):
        cache.informer(resource)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cache.run())
        with pytest.raises(CacheSyncTimeout) as raised:
            await cache.synced(timeout=9)
        refused = {"gadgets.example.org": "watch gadgets.example.org: no way"}
        assert raised.value.problems == refused | {"configmaps": "no answer yet"}
        assert cache.problems() == refused
        running.cancel()


async def test_an_informer_may_be_declared_while_the_cache_runs() -> None:
    """A kind that becomes interesting later is watched from then on."""
    cache, script = cached(stream(added(widget("a", 2)), end(4), HANG))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cache.run())
        await asyncio.sleep(1)
        assert script.requests == []
        store = cache.informer(WIDGETS).store
        await cache.synced()
        assert len(store) == 1
        running.cancel()


async def test_s24_a_kind_is_stopped_and_started_at_run_time() -> None:
    """Stopped: the connection is closed and the store says that it is no longer kept. Started
    again: handlers hear what has changed meanwhile, deletions too. Forgotten: it is gone."""
    cache, script = cached(
        stream(added(widget("a", 2)), added(widget("b", 3)), end(4), HANG),
        stream(added(widget("b", 3)), added(widget("c", 9)), end(10), HANG),
    )
    events: list[Event] = []
    informer = cache.informer(WIDGETS)
    informer.subscribe(events.append)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cache.run())
        await cache.synced()
        await cache.stop(WIDGETS)
        assert script.open == 0
        assert not informer.store.synced
        assert len(informer.store) == 2
        events.clear()
        cache.start(WIDGETS)
        await cache.synced()
        assert [type(event).__name__ for event in events] == ["Deleted", "Added"]
        assert isinstance(events[1], Added)
        assert not events[1].initial
        await cache.forget(WIDGETS)
        assert script.open == 0
        with pytest.raises(NotCached):
            cache.store(WIDGETS)
        running.cancel()


async def test_s79_what_the_cache_hands_out_cannot_be_changed() -> None:
    """Records are frozen, labels are views, and what is decoded from one is the caller's copy."""
    async with following(
        stream(added(widget("a", 2, labels={"x": "y"}, spec={"n": [1]})), end(4), HANG)
    ) as f:
        await asyncio.sleep(1)
        record = f.informer.store.list()[0]
        with pytest.raises(AttributeError):
            record.kind = "Other"
        with pytest.raises(AttributeError):
            record.meta.name = "other"
        with pytest.raises(TypeError):
            record.meta.labels["x"] = "z"  # type: ignore[index]  # that is the point
        record.get("spec")["n"].append(2)
        record.json()["spec"]["n"].append(3)
        assert f.informer.store.list()[0].get("spec", "n") == [1]


async def test_events_and_records_are_invisible_to_the_collector() -> None:
    """What handlers are given, and what is kept, is not tracked."""
    async with following(stream(added(widget("a", 2)), end(4), HANG)) as f:
        await asyncio.sleep(1)
        assert not gc.is_tracked(f.events[0])
        assert not gc.is_tracked(f.events[0].record)
        assert record_of(widget("a", 2)) == f.events[0].record
