"""Watches: bytes in any pieces become events, and only good events become records."""

import asyncio
import gc
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito.kube import watching
from kaito.kube.errors import Gone, IdleTimeout, RequestTimeout, TooManyRequests, TransportError
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import PODS, STATEFULSETS
from kaito.kube.watching import LineSplitter
from tests.kube.fakes import Scripted, client, status


def event(kind="ADDED", *, name="a", version="1", **more):
    metadata = {"name": name, "namespace": "default", "resourceVersion": version}
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, **more}
    return json.dumps({"type": kind, "object": obj}, ensure_ascii=False).encode() + b"\n"


def watch(transport, resource=PODS, **options):
    options = {"timeout_seconds": 300, "idle_timeout": 60} | options
    return client(transport).watch(resource, **options)


async def collect(transport, resource=PODS, **options):
    async with watch(transport, resource, **options) as events:
        return [event async for event in events]


async def test_events_come_in_order_with_their_records():
    """Added, modified, deleted, and a bookmark that carries a version and annotations only."""
    bookmark = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "resourceVersion": "9",
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    }
    line = json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n"
    chunks = [event(), event("MODIFIED", version="2") + event("DELETED", version="3"), line]

    found = await collect(Scripted(chunks=chunks))

    assert [(e.type, e.record.meta.resource_version) for e in found] == [
        ("ADDED", "1"),
        ("MODIFIED", "2"),
        ("DELETED", "3"),
        ("BOOKMARK", "9"),
    ]
    assert found[0].record.key == ObjectKey("default", "a")
    assert found[3].record.meta.annotations == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_asks_for_bookmarks_and_says_where_to_start():
    """And for the initial events only where they are wanted, with the match that they need."""
    transport = Scripted()
    await collect(transport, namespace="x", resource_version="5", label_selector="a=b")
    assert transport.requests[-1].target == (
        "/api/v1/namespaces/x/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=300"
        "&labelSelector=a%3Db&resourceVersion=5"
    )

    await collect(transport, send_initial_events=True, metadata_only=True)
    request = transport.requests[-1]
    assert request.param("sendInitialEvents") == "true"
    assert request.param("resourceVersionMatch") == "NotOlderThan"
    assert request.headers["accept"].startswith(
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=1"
    )


async def test_s21_one_line_of_eight_megabytes_in_small_chunks():
    """A huge object arrives whole; the time is linear in its size."""
    line = event(data={"blob": "x" * 8_000_000})
    chunks = [line[i : i + 4096] for i in range(0, len(line), 4096)]

    [found] = await collect(Scripted(chunks=chunks))

    assert len(found.record.get("data", "blob")) == 8_000_000


async def test_s21_a_character_split_between_chunks_stays_whole():
    """Any cut through the bytes of `é` or of an emoji does no harm."""
    line = event(name="a", data={"text": "é🚀" * 3})
    chunks = [line[i : i + 1] for i in range(len(line))]

    [found] = await collect(Scripted(chunks=chunks))

    assert found.record.get("data", "text") == "é🚀" * 3


async def test_s21_crlf_and_empty_lines_are_no_events():
    """Proxies may send both."""
    crlf = event()[:-1] + b"\r\n"
    found = await collect(Scripted(chunks=[b"\n\r\n", crlf, b"\n", b"\r", b"\n", event()]))

    assert [e.type for e in found] == ["ADDED", "ADDED"]


def test_s21_a_line_without_end_is_given_up(monkeypatch):
    """Memory is bounded: nothing that an API server may store is so long."""
    monkeypatch.setattr(watching, "_MAX_LINE", 100)
    splitter = LineSplitter()
    assert list(splitter.feed(b"x" * 60 + b"\n" + b"y" * 100)) == [b"x" * 60]
    with pytest.raises(TransportError, match="longer than 100 bytes"):
        list(splitter.feed(b"y"))


@given(st.lists(st.text("ab\r", min_size=0, max_size=4)), st.data())
def test_s21_lines_do_not_depend_on_the_cuts(lines, data):
    """Wherever the stream is cut, the same lines come out."""
    whole = b"".join(line.encode() + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    chunks = [whole[a:b] for a, b in pairwise(edges)]
    splitter = LineSplitter()

    out = [line for chunk in chunks for line in splitter.feed(chunk)]

    assert out == [line.rstrip("\r").encode() for line in lines if line.rstrip("\r")]
    assert not splitter.pending


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"type":"ADDED","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1"}}', "Table"),
        (event()[:-1].replace(b'"Pod"', b'"Node"'), "Node"),
        (event()[:-1].replace(b'"v1"', b'"v2"'), "v2 Pod"),
        (b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}', "metadata.name"),
        (
            b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":null}}',
            "metadata.name",
        ),
        (event(version="")[:-1], "resourceVersion"),
        (event("RENAMED")[:-1], "RENAMED"),
        (b'{"type":"ADDED","object":"text"}', "object"),
        (b'{"type":"ADDED"}', "object"),
        (b"<html>", "invalid"),
        (b"\xff\xfe", ""),
        (event(name=5)[:-1], "str"),
    ],
)
async def test_what_is_no_event_is_reported_and_the_stream_goes_on(line, words):
    """Another kind, no metadata, an unknown type, no JSON: told, never raised, never stored."""
    bad, good = await collect(Scripted(chunks=[line + b"\n", event()]))

    assert (bad.type, bad.record, bad.status) == ("UNREADABLE", None, None)
    assert words in bad.problem
    assert bad.problem
    assert good.type == "ADDED"


async def test_an_error_event_carries_the_typed_error():
    """Expired in the stream is Gone, just as it is as an HTTP status."""
    error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    line = json.dumps({"type": "ERROR", "object": error}).encode() + b"\n"

    [found] = await collect(Scripted(chunks=[line]))

    assert found.type == "ERROR"
    assert isinstance(found.status, Gone)
    assert str(found.status) == "too old"


async def test_a_refused_watch_raises_what_the_server_said():
    """With its Retry-After, and without opening anything again."""
    refusal = status(429, "TooManyRequests")
    transport = Scripted(
        chunks=[refusal.body[:10], refusal.body[10:]], status=429, headers={"retry-after": "7"}
    )

    with pytest.raises(TooManyRequests) as caught:
        await collect(transport)

    assert caught.value.retry_after == 7
    assert len(transport.requests) == 1
    assert transport.streams_open == 0


async def test_an_error_that_is_raised_can_be_collected():
    """Error, traceback, frame and event refer to each other in a ring, one per expired watch: the
    collector must see the event, while of the many that bring objects it sees none."""
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    line = json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"
    added, error = await collect(Scripted(chunks=[event(), line]))

    assert gc.is_tracked(error)
    assert not gc.is_tracked(added)


async def test_an_event_cut_off_by_the_end_is_an_error():
    """A clean end lies between events; everything before it has been delivered."""
    async with watch(Scripted(chunks=[event(), event()[:20]])) as events:
        assert (await anext(events)).type == "ADDED"
        with pytest.raises(TransportError, match="within an event"):
            await anext(events)


async def test_a_broken_stream_raises_after_its_last_event():
    """Silence and resets reach the reader as they are."""
    transport = Scripted(chunks=[event(), IdleTimeout("silent")])

    with pytest.raises(IdleTimeout):
        await collect(transport)
    assert transport.streams_open == 0


async def test_leaving_a_watch_closes_its_stream():
    """By break, by error and by cancellation."""
    transport = Scripted(chunks=[event(), 1e6])
    async with watch(transport) as events:
        async for _ in events:
            break
    assert transport.streams_open == 0

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await collect(transport)
    assert transport.streams_open == 0


async def test_a_watch_that_never_opens_times_out():
    """The server must answer within the client's deadline, however long the watch may last."""

    class Silent(Scripted):
        def stream(self, request, *, idle_timeout=None):
            return _Never()

    class _Never:
        async def __aenter__(self):
            await asyncio.get_running_loop().create_future()

        async def __aexit__(self, *exc):
            return None

    transport = Silent(chunks=[])

    async def wake():
        await transport.clock.sleep(100)

    async with asyncio.TaskGroup() as group:
        group.create_task(wake())
        with pytest.raises(RequestTimeout):
            await collect(transport)


async def test_metadata_only_events_keep_the_kind_that_was_asked_for():
    """And real objects of that kind pass too, from servers that ignore the wish."""
    partial = event(spec={"x": 1}).replace(b'"Pod"', b'"PartialObjectMetadata"')
    partial = partial.replace(b'"v1"', b'"meta.k8s.io/v1"')
    full = event(spec={"x": 1}).replace(b'"Pod"', b'"StatefulSet"').replace(b'"v1"', b'"apps/v1"')

    found = await collect(
        Scripted(chunks=[partial, full]), resource=STATEFULSETS, metadata_only=True
    )

    assert [(e.type, e.record.kind, e.record.api_version) for e in found] == [
        ("ADDED", "StatefulSet", "apps/v1")
    ] * 2
    assert [e.record.fields for e in found] == [{}, {}]
