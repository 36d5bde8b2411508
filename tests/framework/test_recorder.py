"""Events: aggregated, limited, never in anybody's way."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from kaito.apiserver.door import in_process
from kaito.framework.metrics import Metrics
from kaito.framework.recorder import EventSink, Recorder, RecorderOptions
from kaito.kube.resources import CONFIGMAPS, EVENTS
from tests.framework.world import Cut, World, configmap


class Desk:
    """A recorder at work over one API server."""

    def __init__(self, **options):
        self.world = World()
        self.clock = self.world.clock
        self.cut = Cut(in_process(self.world.server), self.clock)
        self.registry = CollectorRegistry()
        self.sink = EventSink(
            self.world.client_of(self.cut),
            clock=self.clock,
            random=Random(5),
            metrics=Metrics(self.registry),
            options=RecorderOptions(**options),
        )
        self.recorder = Recorder(self.sink, "example.org/widgets", "replica-1")

    @asynccontextmanager
    async def open(self):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.sink.run())
            yield self
            task.cancel()

    def tell(self, regarding, message="pulled", reason="Pulled", **more):
        fields = {"type": "Normal", "action": "Pull", **more}
        self.recorder.event(regarding, reason=reason, message=message, **fields)

    async def events(self):
        return [record.json() for record in (await self.world.client.list(EVENTS)).items]

    def requests(self):
        return [info.verb for info in self.world.requests if info.resource == "events"]

    def dropped(self, reason):
        return self.registry.get_sample_value("event_recorder_dropped_total", {"reason": reason})


@pytest.fixture
def about():
    return {"apiVersion": "v1", "kind": "ConfigMap", **configmap("a")}


async def test_an_event_is_an_object_of_events_k8s_io(about):
    """Written once, with everything that `kubectl describe` and `kubectl events` show."""
    desk = Desk()
    record = await desk.world.client.create(CONFIGMAPS, about)
    async with desk.open():
        desk.tell(record, related=record, type="Warning")
        await desk.clock.sleep(1)

    (event,) = await desk.events()
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "default",
        "name": "a",
        "uid": record.meta.uid,
    }
    assert event["metadata"]["name"].startswith("a.")
    told = {name: value for name, value in event.items() if not name.startswith("deprecated")}
    assert {name: told[name] for name in told if name not in ("metadata", "eventTime")} == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "reportingController": "example.org/widgets",
        "reportingInstance": "replica-1",
        "reason": "Pulled",
        "action": "Pull",
        "note": "pulled",
        "type": "Warning",
        "regarding": reference,
        "related": reference,
    }
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"


async def test_events_about_cluster_scoped_objects_live_in_default():
    """As the API demands."""
    desk = Desk()
    async with desk.open():
        desk.tell({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        await desk.clock.sleep(1)

    (event,) = await desk.events()
    assert event["metadata"]["namespace"] == "default"


async def test_recording_returns_at_once_also_when_the_server_is_silent(about):
    """The call does not wait, whatever the server does; the event is written when it answers."""
    desk = Desk()
    desk.cut.state = "silent"
    async with desk.open():
        desk.tell(about)
        assert desk.clock.monotonic() == 0
        await desk.clock.sleep(20)
        desk.cut.state = "up"
        await desk.clock.sleep(60)

    assert len(await desk.events()) == 1


async def test_the_same_event_again_is_a_series_that_is_written_seldom(about):
    """Three hundred repetitions in five minutes: one POST and a few PATCHes, the count exact."""
    desk = Desk()
    async with desk.open():
        for _ in range(301):
            desk.tell(about)
            await desk.clock.sleep(1)
        await desk.clock.sleep(600)
        (event,) = await desk.events()

    assert event["series"]["count"] == 301
    assert event["series"]["lastObservedTime"] == "2026-01-01T00:05:00.000000Z"
    assert desk.requests() == ["create", "patch", "patch", "list"]


async def test_a_series_that_goes_on_is_refreshed_every_half_hour(about):
    """One event a minute for a day: about two writes an hour."""
    desk = Desk()
    async with desk.open():
        for _ in range(24 * 60):
            desk.tell(about)
            await desk.clock.sleep(60)

    assert 48 <= desk.requests().count("patch") <= 50
    assert desk.requests().count("create") == 1


async def test_after_a_quiet_time_the_same_event_is_a_new_object(about):
    """Six minutes without it end a series."""
    desk = Desk()
    async with desk.open():
        desk.tell(about)
        await desk.clock.sleep(361)
        desk.tell(about)
        await desk.clock.sleep(1)

    assert len(await desk.events()) == 2


async def test_many_similar_events_are_combined(about):
    """From the tenth different note within ten minutes on: one object that counts."""
    desk = Desk()
    async with desk.open():
        for number in range(20):
            desk.tell(about, message=f"try {number}")
        await desk.clock.sleep(30)

    events = await desk.events()
    combined = [event for event in events if event["note"].startswith("(combined")]
    assert len(events) == 10
    assert combined[0]["note"] == "(combined from similar events): try 9"
    assert combined[0]["series"]["count"] == 11


async def test_an_event_that_was_told_by_itself_goes_on_counting_by_itself(about):
    """Also after others of its kind began to be combined."""
    desk = Desk()
    async with desk.open():
        for number in [*range(12), 0, 0]:
            desk.tell(about, message=f"try {number}")
        await desk.clock.sleep(30)

    counts = {e["note"]: e.get("series", {}).get("count", 1) for e in await desk.events()}
    assert counts.pop("(combined from similar events): try 9") == 3
    assert counts == {f"try {number}": 3 if number == 0 else 1 for number in range(9)}


async def test_what_happens_while_an_event_is_written_is_counted_later(about):
    """The answer took two seconds, in which it happened twice more."""
    desk = Desk()
    send = desk.cut.inner.send

    async def slow(request, *, timeout=None):
        answer = await send(request, timeout=timeout)
        await desk.clock.sleep(2)
        return answer

    desk.cut.inner.send = slow
    async with desk.open():
        for _ in range(3):
            desk.tell(about)
            await desk.clock.sleep(0.5)
        await desk.clock.sleep(30)

    (event,) = await desk.events()
    assert event["series"]["count"] == 3


@pytest.mark.parametrize("name", ["a" * 253, "system:node"])
async def test_an_event_has_a_name_that_the_server_accepts(name):
    """Whatever the object is called: too long for a suffix, or no DNS name at all, like a role."""
    desk = Desk()
    async with desk.open():
        desk.tell({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        await desk.clock.sleep(1)

    (event,) = await desk.events()
    assert event["regarding"]["name"] == name


async def test_too_many_events_about_one_object_are_dropped_and_counted(about):
    """Twenty-five at once, then one every five minutes, per source and object."""
    desk = Desk()
    async with desk.open():
        for number in range(40):
            desk.tell(about, reason=f"Reason{number}")
        await desk.clock.sleep(301)
        desk.tell(about, reason="Later")
        desk.tell(about, reason="LaterStill")
        desk.tell({**about, "metadata": {"name": "b", "namespace": "default"}})
        await desk.clock.sleep(1)

    assert len(await desk.events()) == 25 + 1 + 1
    assert desk.dropped("spam") == 15 + 1


async def test_a_full_queue_drops_and_counts():
    """Ten thousand objects with an event each while nothing can be written: memory is bounded."""
    desk = Desk(queue_size=100)
    for number in range(300):
        desk.tell({"kind": "ConfigMap", **configmap(f"c{number}")})

    assert len(desk.sink._queue) == 100
    assert desk.dropped("full") == 200


async def test_memory_is_bounded_by_an_lru():
    """Of a hundred thousand objects only the last few thousand are remembered."""
    desk = Desk(cache_size=50)
    async with desk.open():
        for number in range(500):
            desk.tell({"kind": "ConfigMap", **configmap(f"c{number}")})
            await desk.clock.sleep(0.1)

    assert len(desk.sink._series.values()) == 50
    assert len(desk.sink._spam.values()) == 50


async def test_what_makes_no_difference_any_more_is_forgotten(about):
    """Where objects come and go, memory follows what happens, not what has ever happened."""
    desk = Desk()
    async with desk.open():
        for number in range(50):
            desk.tell({"kind": "ConfigMap", **configmap(f"c{number}")})
        await desk.clock.sleep(400)
        desk.tell(about)
        assert len(desk.sink._series) == 1
        assert len(desk.sink._similar) == 51
        await desk.clock.sleep(3 * 3600)
        desk.tell({"kind": "ConfigMap", **configmap("another")})
        assert len(desk.sink._similar) == 1
        assert len(desk.sink._spam) == 1


async def test_a_series_that_is_evicted_is_written_first(about):
    """What has been counted is not lost because others came."""
    desk = Desk(cache_size=2)
    async with desk.open():
        desk.tell(about)
        await desk.clock.sleep(1)
        desk.tell(about)
        for number in range(5):
            desk.tell({"kind": "ConfigMap", **configmap(f"c{number}")})
        await desk.clock.sleep(1)

    (event,) = [e for e in await desk.events() if e["regarding"]["name"] == "a"]
    assert event["series"]["count"] == 2


async def test_an_event_that_expired_on_the_server_is_made_anew(about):
    """A PATCH of what is gone becomes a POST with the whole count."""
    desk = Desk()
    async with desk.open():
        desk.tell(about)
        await desk.clock.sleep(5)
        (event,) = (await desk.world.client.list(EVENTS)).items
        await desk.world.client.delete(EVENTS, event.key)
        desk.tell(about)
        await desk.clock.sleep(60)

    (again,) = await desk.events()
    assert again["series"]["count"] == 2
    assert again["metadata"]["name"] != event.meta.name


async def test_a_refused_event_is_dropped_and_the_next_one_written(about):
    """A terminating namespace, a missing right: no retry, counted, others unaffected."""
    desk = Desk()
    async with desk.open():
        desk.tell({"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "nowhere"}})
        desk.tell(about)
        await desk.clock.sleep(1)

    assert len(await desk.events()) == 1
    assert desk.dropped("refused") == 1


async def test_an_event_whose_answer_was_lost_is_written_once(about):
    """The repeated POST has the same name: it exists, and that is success."""
    desk = Desk()
    desk.cut.state = "answers lost"
    async with desk.open():
        desk.tell(about)
        await desk.clock.sleep(1)
        desk.cut.state = "up"
        await desk.clock.sleep(20)

    assert len(await desk.events()) == 1
    assert desk.dropped("failed") is None


async def test_a_server_that_stays_away_costs_events_after_twelve_tries(about):
    """Then they are counted as failed, and the next one gets its chance."""
    desk = Desk(tries=12)
    desk.cut.state = "refused"
    async with desk.open():
        desk.tell(about)
        await desk.clock.sleep(12 * 20)

    assert desk.dropped("failed") == 1


async def test_flushing_writes_what_is_left_within_its_bound(about):
    """Queued events and counts of running series are written at the stop."""
    desk = Desk()
    async with desk.open():
        desk.tell(about)
        await desk.clock.sleep(1)
        desk.tell(about)
        desk.tell(about, reason="Last")
    await desk.sink.flush()

    counts = {e["reason"]: e.get("series", {}).get("count") for e in await desk.events()}
    assert counts == {"Pulled": 2, "Last": None}


async def test_flushing_gives_up_in_time_and_counts(about):
    """A silent server holds up the stop for five seconds, not longer."""
    desk = Desk()
    desk.cut.state = "silent"
    desk.tell(about)

    await desk.sink.flush()

    assert desk.clock.monotonic() == pytest.approx(5)
    assert desk.dropped("failed") == 1


async def test_a_note_is_cut_to_what_the_server_accepts(about):
    """1024 bytes, not characters, and no half character at the end."""
    desk = Desk()
    async with desk.open():
        desk.tell(about, message="ü" * 1000)
        await desk.clock.sleep(1)

    (event,) = await desk.events()
    assert len(event["note"].encode()) <= 1024
    assert event["note"].endswith("ü...")
