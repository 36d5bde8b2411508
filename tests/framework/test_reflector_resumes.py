"""The reflector against a scripted server: how watches end, and what is done about it."""

import asyncio
import itertools

import pytest

from kaito.kube.errors import TransportError
from tests.framework.objects import widget
from tests.framework.script import (
    HANG,
    Answer,
    added,
    bookmark,
    deleted,
    end,
    error,
    following,
    modified,
    page,
    refuse,
    stream,
    unreachable,
)

NO_STREAMS = refuse(422, "Invalid", "sendInitialEvents is forbidden for watch")


async def test_s11_a_watch_that_is_closed_is_resumed_without_a_list() -> None:
    """The normal end of a watch: opened again from the last version, nothing listed."""
    async with following(
        stream(added(widget("a", 3)), end(4), 60.0, modified(widget("a", 6)), 5.0),
        stream(bookmark(8)),
        stream(deleted(widget("a", 9)), HANG),
    ) as f:
        await asyncio.sleep(100)
        assert f.script.asked()[:3] == ["streamlist -", "watch 6", "watch 8"]
        assert f.told() == ["Added a", "Updated a", "Deleted a"]
        timeouts = [int(request.param("timeoutSeconds")) for _, request in f.script.requests]
        assert all(300 <= seconds <= 600 for seconds in timeouts)
        assert len(set(timeouts)) > 1, "spread, so that not all watches end together"


async def test_s12_a_refused_connection_is_tried_again_without_a_list() -> None:
    """Five refusals: growing delays, stretched by up to their length, and no relist."""
    async with following(
        stream(end(4), 60.0, bookmark(5)), *[unreachable() for _ in range(5)], stream(HANG)
    ) as f:
        await asyncio.sleep(61)
        assert f.informer.problem == "watch widgets.example.org: connection refused"
        await asyncio.sleep(119)
        assert f.informer.problem == "", "an open watch is all that is wanted"
        assert set(f.script.asked()[1:7]) == {"watch 5"}
        times = f.script.times()[1:7]
        delays = [later - sooner for sooner, later in itertools.pairwise(times)]
        for delay, base in zip(delays, (0.8, 1.6, 3.2, 6.4, 12.8), strict=True):
            assert base <= delay <= 2 * base
        assert f.informer.counts["list"] == 0
        assert f.informer.counts["watch_list"] == 1


async def test_s12_the_delays_start_over_after_two_quiet_minutes() -> None:
    """A failure long ago does not make the next one slower."""
    async with following(
        stream(end(4), 1.0, TransportError("reset")),
        stream(TransportError("reset")),
        stream(60.0, bookmark(5), 65.0, bookmark(6), 60.0, TransportError("reset")),
        stream(HANG),
    ) as f:
        await asyncio.sleep(240)
        times = f.script.times()
        assert times[3] - times[2] == pytest.approx(185 + 1.2, abs=0.41)


async def test_s13_too_many_requests_waits_as_long_as_it_is_told_to() -> None:
    """429 when a watch is opened, and within one: Retry-After is obeyed and nothing is listed."""
    async with following(
        stream(end(4), 60.0, error(429, "TooManyRequests", retryAfterSeconds=20)),
        Answer(
            status=429,
            body=refuse(429, "TooManyRequests").body,
            headers={"retry-after": "30"},
        ),
        stream(HANG),
    ) as f:
        await asyncio.sleep(120)
        assert f.script.asked()[:3] == ["streamlist -", "watch 4", "watch 4"]
        first, second, third = f.script.times()[:3]
        assert second - first == pytest.approx(60 + 20)
        assert third - second == pytest.approx(30)


async def test_s13_too_many_requests_at_the_start_does_not_fall_back_to_a_list() -> None:
    """A server that is overloaded is not helped by a list on top."""
    async with following(
        refuse(429, "TooManyRequests", retryAfterSeconds=7), stream(end(4), HANG)
    ) as f:
        await asyncio.sleep(10)
        assert f.script.asked() == ["streamlist -", "streamlist -"]
        assert f.script.times()[1] == pytest.approx(7)


@pytest.mark.parametrize("success", [False, True])
async def test_s14_internal_errors_are_answered_by_opening_the_watch_again(success: bool) -> None:
    """An ERROR 500 in a stream: the watch is opened again for half a minute, then everything is
    read again; one event in between starts that time anew."""
    wrong = error(500, "InternalError", "etcdserver: no leader")
    fifth = stream(bookmark(5), wrong) if success else stream(wrong)
    again = stream(end(6), 60.0, wrong)
    async with following(
        stream(end(4), 60.0, wrong), *[stream(wrong) for _ in range(4)], fifth, again, stream(HANG)
    ) as f:
        await asyncio.sleep(300)
        assert f.script.asked()[1:6] == ["watch 4"] * 5
        assert f.script.times()[4] < 90 < f.script.times()[5]
        assert f.script.asked()[6] == ("watch 5" if success else "streamlist 4")
        assert success or f.script.asked()[7] == "watch 6", "and half a minute begins anew"


@pytest.mark.parametrize("how", ["in the stream", "as an answer"])
async def test_s15_a_version_that_expired_leads_to_a_new_list(how: str) -> None:
    """410, in either form: everything is read again, at least as new as what we know; what is
    gone meanwhile is told as deleted."""
    gone = (
        [stream(60.0, error(410, "Expired", "too old resource version: 4 (9)"))]
        if how == "in the stream"
        else [stream(60.0, bookmark(4)), refuse(410, "Expired")]
    )
    async with following(
        stream(added(widget("a", 2)), added(widget("b", 3)), end(4), 2.0),
        *gone,
        stream(added(widget("b", 3)), added(widget("c", 9)), end(12), HANG),
    ) as f:
        await asyncio.sleep(70)
        assert f.script.asked()[-1] == "streamlist 4"
        assert f.told() == ["Added a", "Added b", "Deleted a", "Added c"]
        assert f.events[2].tombstone
        assert f.informer.counts["expired"] == 1


async def test_s15_an_expired_version_of_a_streamed_list_is_dropped_at_once() -> None:
    """Even the relist may be told that its version is too old."""
    async with following(
        stream(end(4), 60.0, error(410, "Expired")),
        stream(error(410, "Expired")),
        stream(end(12), 60.0, error(410, "Expired")),
        stream(end(13), HANG),
    ) as f:
        await asyncio.sleep(130)
        assert f.script.asked() == ["streamlist -", "streamlist 4", "streamlist -", "streamlist 12"]
        assert f.script.times()[2] == f.script.times()[1]


async def test_s16_watches_that_end_at_once_lead_to_a_list_with_growing_delays() -> None:
    """A server that drops a stale watch without a word would otherwise be asked for ever."""
    async with following(
        stream(end(4), 60.0, bookmark(5)),
        *[stream() for _ in range(1)],
        stream(end(6)),
        stream(end(7)),
        stream(end(8), 60.0, bookmark(9), HANG),
    ) as f:
        await asyncio.sleep(75)
        assert f.script.asked() == [
            "streamlist -",
            "watch 5",
            "streamlist 5",
            "streamlist 6",
            "streamlist 7",
        ]
        times = f.script.times()
        for n, base in ((1, 0.8), (2, 1.6), (3, 3.2)):
            assert base <= times[n + 1] - times[n] <= 2 * base


@pytest.mark.parametrize(("seconds", "then"), [(0.9, "streamlist 5"), (1.1, "watch 5")])
async def test_s16_a_watch_of_more_than_a_second_was_none_of_those(
    seconds: float, then: str
) -> None:
    """Only what ends sooner, and brought nothing, is taken for a refusal."""
    async with following(
        stream(end(4), 60.0, bookmark(5)), stream(seconds), stream(end(6), HANG)
    ) as f:
        await asyncio.sleep(75)
        assert f.script.asked() == ["streamlist -", "watch 5", then]
        pause = f.script.times()[2] - f.script.times()[1] - seconds
        assert (0.8 <= pause <= 1.6) if then.startswith("stream") else pause == pytest.approx(0)


async def test_s17_bookmarks_move_the_version_and_push_back_the_idle_timeout() -> None:
    """A quiet collection costs one connection; real silence is a normal end: the watch is opened
    again from the last bookmark, and nothing is listed."""
    async with following(stream(end(4), 60.0, bookmark(5), 60.0, bookmark(6), HANG)) as f:
        await asyncio.sleep(180)
        assert f.script.asked() == ["streamlist -"]
        assert f.informer.store.resource_version == "6"
        assert f.informer.staleness == pytest.approx(60), "the last bookmark came at 120 s"
        await asyncio.sleep(20)
        assert f.script.asked() == ["streamlist -", "watch 6"]
        assert f.script.times()[1] == pytest.approx(190)
        assert f.informer.counts["watch_idle"] == 1


async def test_s18_a_half_open_connection_is_given_up_within_the_idle_timeout() -> None:
    """Nothing arrives any more and nobody closes: recovered after the idle timeout."""
    async with following(
        stream(added(widget("a", 2)), end(4), HANG), stream(modified(widget("a", 9)), HANG)
    ) as f:
        await asyncio.sleep(75)
        assert f.told() == ["Added a", "Updated a"]


async def test_s22_it_can_be_stopped_at_every_await() -> None:
    """Cancelled at each of its awaits, one after the other: connection closed, no task left, and
    never a part of a list in the store."""
    first, second = added(widget("a", 2)), added(widget("b", 3))
    streamed = [stream(first, second, end(4), added(widget("c", 5)), error(410, "Expired"))]
    listed = [NO_STREAMS, page(6, first["object"], token="t"), page(6, second["object"])]
    cut = [stream(first, second)]
    for script, awaits, complete in ((streamed, 30, "abc"), (listed, 30, "ab"), (cut, 10, "")):
        for steps in range(awaits):
            async with following(*script, stream(HANG)) as f:
                for _ in range(steps):
                    await asyncio.sleep(0)
                assert "".join(f.names()) in ("", "ab", complete)
        assert "".join(f.names()) == complete, "the last one was disturbed by nothing"


async def test_s23_a_forbidden_kind_is_reported_and_tried_again(lines) -> None:
    """No permission: kind and verb are named, the kind is not synced; once granted, it is."""
    no = 'widgets.example.org is forbidden: User "x" cannot watch resource "widgets"'
    async with following(
        refuse(403, "Forbidden", no), refuse(403, "Forbidden", no), stream(end(4), HANG)
    ) as f:
        await asyncio.sleep(1.7)
        assert f.informer.problem == f"watch widgets.example.org: {no}"
        assert not f.informer.store.synced
        assert f.informer.counts["failed"] == 2
        [line] = [line for line in lines if line["event"] == "cannot follow"]
        assert (line["kind"], line["verb"], line["level"]) == (
            "Widget.example.org",
            "watch",
            "warning",
        )
        await asyncio.sleep(5)
        assert f.informer.problem == ""
        assert f.informer.store.synced
        assert f.informer.counts["list"] == 0


async def test_s24_a_missing_kind_is_looked_for_every_ten_seconds() -> None:
    """A definition that is not there yet, comes, goes, and comes back."""
    missing = refuse(404, "NotFound", "the server could not find the requested resource")
    async with following(
        missing,
        missing,
        stream(added(widget("a", 2)), end(4), 60.0, deleted(widget("a", 5)), 1.0),
        missing,
        missing,
        stream(added(widget("b", 9)), end(10), HANG),
    ) as f:
        await asyncio.sleep(15)
        told = "widgets.example.org/v1 is not served; is its definition installed?"
        assert told in f.informer.problem
        assert "could not find" in f.informer.problem
        assert f.script.times() == [0, 10]
        await asyncio.sleep(10)
        assert f.informer.problem == ""
        assert f.names() == ["a"]
        await asyncio.sleep(100)
        assert f.told() == ["Added a", "Deleted a", "Added b"]
        assert f.script.asked()[3:] == ["watch 5", "streamlist 5", "streamlist 5"]
