"""The reflector against a scripted server: how it fills a store, and what it makes of events."""

import asyncio

import pytest

from kaito.framework.shard import SLICE
from kaito.kube.errors import TransportError
from tests.framework.objects import widget
from tests.framework.script import (
    HANG,
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
)

NO_STREAMS = refuse(422, "Invalid", "sendInitialEvents is forbidden for watch")


async def test_s01_an_empty_list_and_then_events() -> None:
    """An empty collection syncs; what happens later arrives in order, over one connection."""
    later = [added(widget("a", 5)), modified(widget("a", 6)), deleted(widget("a", 7))]
    async with following(stream(end(4), 1.0, *later, HANG)) as f:
        await asyncio.sleep(0.5)
        assert f.informer.store.synced
        assert f.subscription.synced
        assert f.informer.store.resource_version == "4"
        await asyncio.sleep(1)
        assert f.told() == ["Added a", "Updated a", "Deleted a"]
        assert not f.events[0].initial, "it came after the beginning"
        assert f.informer.store.resource_version == "7"
        assert f.script.asked() == ["streamlist -"]


async def test_s02_only_the_annotated_bookmark_completes_a_streamed_list() -> None:
    """A bookmark without the annotation, or with another value, completes nothing."""
    lines = [added(widget("a", 3)), bookmark(3), bookmark(4, "false"), 5.0, end(5), HANG]
    async with following(stream(*lines)) as f:
        await asyncio.sleep(4)
        assert not f.informer.store.synced
        assert f.events == []
        await asyncio.sleep(2)
        assert f.informer.store.synced
        assert f.told() == ["Added a"]
        assert f.events[0].initial
        assert f.informer.store.resource_version == "5"


async def test_s03_changes_within_the_initial_stream_are_part_of_it() -> None:
    """An object that is changed or deleted before the end is told once, or never."""
    lines = [
        added(widget("a", 3)),
        added(widget("b", 2)),
        modified(widget("a", 4, spec={"x": 1})),
        deleted(widget("b", 5)),
        end(6),
        HANG,
    ]
    async with following(stream(*lines)) as f:
        await asyncio.sleep(1)
        assert f.told() == ["Added a"]
        assert f.events[0].record.get("spec", "x") == 1


async def test_s04_a_stream_cut_before_its_end_leaves_nothing_behind() -> None:
    """Half a list never reaches the store; the next request asks for everything again."""
    cut = stream(added(widget("a", 3)), added(widget("ghost", 3)))
    broken = stream(added(widget("ghost", 4)), TransportError("reset"))
    whole = stream(added(widget("a", 3)), end(9), HANG)
    async with following(cut, broken, whole) as f:
        await asyncio.sleep(10)
        assert f.script.asked() == ["streamlist -"] * 3
        assert f.told() == ["Added a"]


async def test_s05_a_server_without_streamed_lists_is_listed() -> None:
    """422 to the streamed list: a consistent list (no version), then a watch from its version."""
    lines = [added(widget("b", 11)), HANG]
    async with following(NO_STREAMS, page(10, widget("a", 3)), stream(*lines)) as f:
        await asyncio.sleep(1)
        assert f.script.asked() == ["streamlist -", "list - limit 500", "watch 10"]
        assert f.told() == ["Added a", "Added b"]
        assert [event.initial for event in f.events] == [True, False]
        assert f.script.times() == [0, 0, 0], "without any delay"
        assert f.informer.counts == {
            "watch_list": 1,
            "watch_list_refused": 1,
            "list": 1,
            "watch": 1,
        }


@pytest.mark.parametrize("talkative", [False, True])
async def test_s06_a_server_that_ignores_the_parameter_is_found_out(talkative: bool) -> None:
    """No end of the initial objects ever comes, whether the server then falls silent or goes on
    with live events: a time-out, a list, and no second attempt at streaming."""
    live = [modified(widget("a", n)) for n in range(4, 404)] if talkative else []
    lines = [added(widget("a", 3)), *(item for event in live for item in (event, 1.0)), HANG]
    async with following(
        stream(*lines), page(500, widget("a", 499)), stream(1.0, error(410, "Expired")), page(501)
    ) as f:
        await asyncio.sleep(150)
        assert f.script.asked()[:2] == ["streamlist -", "list - limit 500"]
        assert f.script.times()[1] == pytest.approx(121 if talkative else 10, abs=1)
        assert f.script.asked()[2:4] == ["watch 500", "list 500"]
        assert f.informer.counts["watch_list_ignored"] == 1
        assert f.told() == ["Added a", "Deleted a"]


async def test_s07_an_expired_version_is_dropped_for_a_consistent_list() -> None:
    """Lists ask for "", then for the last version, and for "" again when that has expired."""
    async with following(
        NO_STREAMS,
        page(10, widget("a", 3)),
        stream(1.0, error(410, "Expired")),
        NO_STREAMS,
        refuse(410, "Expired", "the version is too old"),
        NO_STREAMS,
        page(20, widget("a", 3)),
        stream(HANG),
    ) as f:
        await asyncio.sleep(20)
        lists = [asked for asked in f.script.asked() if asked.startswith("list")]
        assert lists == ["list - limit 500", "list 10", "list - limit 500"]
        assert f.script.asked()[-1] == "watch 20"


DIALECTS = {
    "by reason": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "no"}]},
    "by cause message": {"causes": [{"message": "Too large resource version"}]},
    "by message": {},
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_s08_too_large_versions_in_three_dialects(dialect: str, streamed: bool) -> None:
    """The server has not seen our version yet, and says so in the words of three generations: the
    read is repeated at once, without a version."""
    text = "no" if DIALECTS[dialect] else "Too large resource version: 30, current: 20"
    late = refuse(504, "Timeout", text, **DIALECTS[dialect])
    first = [stream(end(30), 1.0, error(410, "Expired"))]
    if streamed:
        rest = [late, stream(added(widget("a", 40)), end(40), HANG)]
        asked = ["streamlist -", "streamlist 30", "streamlist -"]
    else:
        rest = [NO_STREAMS, late, NO_STREAMS, page(40, widget("a", 40)), stream(HANG)]
        asked = ["streamlist -", "streamlist 30", "list 30", "streamlist -", "list - limit 500"]
        asked.append("watch 40")
    async with following(*first, *rest) as f:
        await asyncio.sleep(10)
        assert f.script.asked() == asked
        assert f.told() == ["Added a"]
        assert f.script.times()[-1] == f.script.times()[1], "at once"


@pytest.mark.parametrize("how", ["in the stream", "as an answer"])
async def test_s08_a_watch_from_a_version_that_is_too_large(how: str) -> None:
    """A server restored from a backup has never seen our version: all is read anew, without it."""
    late = {"code": 504, "reason": "Timeout", **DIALECTS["by reason"]}
    answer = stream(error(**late)) if how == "in the stream" else refuse(**late)
    async with following(
        stream(added(widget("a", 2)), end(30), 60.0, bookmark(30)),
        answer,
        stream(added(widget("b", 3)), end(20), 60.0, error(410, "Expired")),
        stream(end(21), HANG),
    ) as f:
        await asyncio.sleep(63)
        assert f.script.asked() == ["streamlist -", "watch 30", "streamlist -"]
        assert f.told() == ["Added a", "Deleted a", "Added b"]
        await asyncio.sleep(70)
        assert f.script.asked()[3:] == ["streamlist 20"], "which is known again"


async def test_s08_another_timeout_of_the_server_is_not_taken_for_one() -> None:
    """Our version is as good as before, so the list is at least as new as what we know."""
    async with following(
        stream(end(30), 1.0, error(410, "Expired")),
        refuse(504, "Timeout", "etcdserver: request timed out"),
        page(40, widget("a", 40)),
        stream(HANG),
    ) as f:
        await asyncio.sleep(10)
        assert f.script.asked() == ["streamlist -", "streamlist 30", "list 30", "watch 40"]


async def test_s09_a_continue_token_that_expires_leads_to_one_full_list() -> None:
    """Pages are read with one token after the other; when one has expired, everything is read in
    one answer, and what the first pages brought counts no more."""
    async with following(
        NO_STREAMS,
        page(10, widget("a", 1), widget("gone", 2), token="t1"),
        page(10, widget("b", 3), token="t2"),
        refuse(410, "Expired", "the provided continue parameter is too old"),
        page(12, widget("a", 1), widget("c", 11)),
        stream(HANG),
    ) as f:
        await asyncio.sleep(1)
        assert f.script.asked()[1:] == [
            "list - limit 500",
            "list - limit 500 from t1",
            "list - limit 500 from t2",
            "list -",
            "watch 12",
        ]
        assert f.told() == ["Added a", "Added c"]
        assert f.informer.counts["continue_expired"] == 1


async def test_s10_a_list_from_a_version_is_not_paged() -> None:
    """Pages only for consistent reads: a list "at least as new as" is served by the cache of the
    server, which gives no pages; if pages come all the same they are followed."""
    async with following(
        NO_STREAMS,
        page(10),
        stream(1.0, error(410, "Expired")),
        NO_STREAMS,
        page(20, widget("a", 11), token="t1"),
        page(20, widget("b", 12)),
        stream(HANG),
    ) as f:
        await asyncio.sleep(10)
        assert f.script.asked()[4:] == ["list 10", "list - from t1", "watch 20"]
        assert f.names() == ["a", "b"]


async def test_s19_versions_of_unordered_initial_objects_are_not_believed() -> None:
    """Objects that begin a stream come in no order: the highest, or the last, says nothing. Only
    the bookmark does; and with a list that has no version, only what follows the first change."""
    async with following(
        stream(added(widget("new", 90)), added(widget("old", 7)), end(95), 2.0), stream(HANG)
    ) as f:
        await asyncio.sleep(5)
        assert f.script.asked() == ["streamlist -", "watch 95"]
    unversioned = page("", widget("a", 90))
    lines = [added(widget("a", 90)), added(widget("b", 7)), 2.0]
    async with following(
        NO_STREAMS, unversioned, stream(*lines), stream(*lines, modified(widget("b", 91)), 2.0)
    ) as f:
        await asyncio.sleep(8)
        assert f.script.asked()[2:] == ["watch -", "watch -", "watch 91"]


async def test_s20_odd_things_in_a_stream_are_skipped_and_counted(lines) -> None:
    """Another kind, a Table, no metadata, an unknown type, no JSON: the stream goes on."""
    odd = [
        added(widget("x", 5, kind="Gadget")),
        added({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}}),
        added({"kind": "Widget", "apiVersion": "example.org/v1"}),
        {"type": "SURPRISE", "object": widget("x", 6)},
        b"this is no json\n",
        bookmark(""),
    ]
    said = [*odd, added(widget("a", 2)), end(4), 1.0, *odd, added(widget("b", 8)), HANG]
    async with following(stream(*said)) as f:
        await asyncio.sleep(2)
        assert f.told() == ["Added a", "Added b"]
        assert f.informer.counts["unreadable"] == 2 * len(odd) - 1  # the first bookmark is ignored
        told = [
            line["problem"] for line in lines if line["event"] == "skipped what the server sent"
        ]
        assert len(told) == 2 * len(odd) - 1
        assert all(told), "each is told what was wrong with it"


async def test_s20_a_bookmark_without_a_version_moves_nothing() -> None:
    """Or the next watch would begin nowhere."""
    async with following(stream(end(4), 1.0, bookmark(""), 2.0), stream(HANG)) as f:
        await asyncio.sleep(5)
        assert f.script.asked() == ["streamlist -", "watch 4"]


async def test_s20_odd_things_in_a_list_are_skipped_and_counted() -> None:
    """What has no name is no object; the others are held."""
    odd = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {}}
    async with following(NO_STREAMS, page(10, widget("a", 3), odd), stream(HANG)) as f:
        await asyncio.sleep(1)
        assert f.names() == ["a"]
        assert f.informer.counts["unreadable"] == 1


async def test_a_list_asks_for_what_the_watch_asks_for() -> None:
    """Selectors, and metadata only, whichever way the store is filled."""
    options = {
        "label_selector": "a=b",
        "field_selector": "metadata.name!=x",
        "metadata_only": True,
        "namespaces": ("ns",),
    }
    async with following(NO_STREAMS, page(10), stream(HANG), **options) as f:
        await asyncio.sleep(1)
        assert f.script.asked() == ["streamlist -", "list - limit 500", "watch 10"]
        for _, request in f.script.requests:
            assert request.path == "/apis/example.org/v1/namespaces/ns/widgets"
            assert request.param("labelSelector") == "a=b"
            assert request.param("fieldSelector") == "metadata.name!=x"
            assert "as=PartialObjectMetadata" in request.headers["accept"]


async def test_a_long_list_lets_the_loop_turn_while_it_is_compared() -> None:
    """Two thousand objects in one answer: others run in between, not only before and after."""
    many = [widget(f"w{n}", n + 1) for n in range(2000)]
    async with following(NO_STREAMS, page(9000, *many), stream(HANG)) as f:
        turns = 0
        while len(f.script.requests) < 3:
            await asyncio.sleep(0)
            turns += len(f.script.requests) == 2
        assert turns >= 2000 / SLICE


async def test_s21_large_lines_cut_anywhere_arrive_whole() -> None:
    """An object of megabytes, split within a character, CRLF line ends, and empty lines."""
    import msgspec

    big = msgspec.json.encode(added(widget("big", 2, spec={"text": "ü" * 500_000})))
    cut = big.index("ü".encode()) + 1
    raw = big + b"\r\n\r\n\n"
    pieces = [raw[:cut], raw[cut : cut + 3], raw[cut + 3 :]]
    async with following(stream(*pieces, end(4), HANG)) as f:
        await asyncio.sleep(1)
        assert f.names() == ["big"]
        assert len(f.informer.store.list()[0].get("spec", "text")) == 500_000


async def test_s33_a_transform_is_applied_wherever_objects_come_from() -> None:
    """Stream, live events, lists, and what is told of deletions: never an untransformed object."""

    def strip(record):
        return type(record)(
            api_version=record.api_version, kind=record.kind, meta=record.meta, fields={}
        )

    fat = {"spec": {"fat": 1}}
    async with following(
        stream(
            added(widget("a", 2, **fat)),
            added(widget("b", 3, **fat)),
            added(widget("c", 3, **fat)),
            end(4),
            modified(widget("a", 5, **fat)),
            deleted(widget("b", 6, **fat)),
            1.0,
            error(410, "Expired"),
        ),
        NO_STREAMS,
        page(10, widget("a", 9, **fat), widget("d", 8, **fat)),
        stream(HANG),
        transform=strip,
    ) as f:
        await asyncio.sleep(5)
        assert len(f.told()) == 8
        assert all(event.record.fields == {} for event in f.events)
        assert all(record.fields == {} for record in f.informer.store.list())


async def test_a_metadata_only_informer_asks_for_metadata_only() -> None:
    """The Accept header asks for partial objects; they are records of the kind without fields."""
    partial = widget("a", 2) | {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    async with following(stream(added(partial), end(4), HANG), metadata_only=True) as f:
        await asyncio.sleep(1)
        assert "as=PartialObjectMetadata" in f.script.requests[0][1].headers["accept"]
        assert f.informer.store.list()[0].kind == "Widget"
