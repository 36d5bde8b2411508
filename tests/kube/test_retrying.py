"""What is sent again, when, and what never is."""

import asyncio
from itertools import pairwise

import pytest

from kaito.kube.errors import RequestTimeout, ServerError, TooManyRequests, TransportError
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import PODS
from tests.kube.fakes import Scripted, client, ok, status

KEY = ObjectKey("default", "a")
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "default"}}


class Counted:
    """Request metrics as a list."""

    def __init__(self) -> None:
        self.seen, self.retried, self.calls = [], [], []

    def request_done(self, code, method, host):
        self.seen.append((code, method, host))

    def request_retried(self, code, method, host):
        self.retried.append((code, method, host))

    def call_done(self, method, host, seconds, *, sent, received):
        self.calls.append((method, seconds, sent, received))


def gaps(transport):
    return [b - a for a, b in pairwise(transport.times)]


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_an_answer_with_retry_after_is_tried_again_after_it(code):
    """Both for reads and for writes: the server says that it did nothing."""
    transport = Scripted([status(code, retry_after="2")] * 2 + [ok(POD)])

    await client(transport).create(PODS, POD)

    assert len(transport.requests) == 3
    assert all(2 <= gap <= 2.2 for gap in gaps(transport))


async def test_the_server_is_asked_ten_times_at_most():
    """Then its answer is raised."""
    transport = Scripted([status(429, retry_after="1")])

    with pytest.raises(TooManyRequests):
        await client(transport).get(PODS, KEY)

    assert len(transport.requests) == 10


async def test_no_wait_goes_beyond_the_deadline_of_the_call():
    """A Retry-After that the call has no time for is raised at once."""
    transport = Scripted([status(429, retry_after="60")])

    with pytest.raises(TooManyRequests) as caught:
        await client(transport, timeout=30).get(PODS, KEY)

    assert caught.value.retry_after == 60
    assert transport.clock.monotonic() == 0


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_an_error_without_retry_after_is_not_tried_again(code):
    """Nobody asked for it; the caller backs off."""
    transport = Scripted([status(code)])

    with pytest.raises((TooManyRequests, ServerError)):
        await client(transport).get(PODS, KEY)

    assert len(transport.requests) == 1


async def test_what_was_never_sent_is_tried_again():
    """A refused connection changes nothing on the server; pauses grow."""
    refused = TransportError("connection refused", sent=False)
    transport = Scripted([refused, refused, refused, ok(POD)])

    await client(transport).create(PODS, POD)

    assert len(transport.requests) == 4
    first, second, third = gaps(transport)
    assert 0 < first < second < third < 1


async def test_a_server_that_is_not_there_is_reported_soon():
    """After five tries and less than two seconds; waiting longer is the caller's business."""
    transport = Scripted([TransportError("connection refused", sent=False)])

    with pytest.raises(TransportError, match="refused"):
        await client(transport).get(PODS, KEY)

    assert len(transport.requests) == 5
    assert transport.clock.monotonic() < 2


@pytest.mark.parametrize(
    "failure",
    [
        TransportError("connection reset", sent=True),
        RequestTimeout("no answer", sent=True),
        status(504, retry_after="1"),
        status(504, "Timeout", retry_after="1"),
    ],
)
@pytest.mark.parametrize("verb", ["create", "merge_patch", "delete", "apply"])
async def test_a_write_of_unknown_outcome_is_never_sent_again(failure, verb):
    """It may have been done. Whoever asked for it must look."""
    transport = Scripted([failure, ok(POD)])
    pods = client(transport)
    calls = {
        "create": lambda: pods.create(PODS, POD),
        "merge_patch": lambda: pods.merge_patch(PODS, KEY, {}),
        "delete": lambda: pods.delete(PODS, KEY),
        "apply": lambda: pods.apply(PODS, POD, field_manager="m", force=True),
    }

    with pytest.raises((TransportError, ServerError)):
        await calls[verb]()

    assert len(transport.requests) == 1


async def test_a_504_that_says_that_nothing_was_begun_is_tried_again():
    """`ServerTimeout` is the server's word for that; a gateway does not know it."""
    transport = Scripted([status(504, "ServerTimeout", retry_after="1"), ok(POD)])
    await client(transport).create(PODS, POD)
    assert len(transport.requests) == 2


@pytest.mark.parametrize("header", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", "²", ""])
async def test_a_retry_after_that_is_no_number_counts_as_absent(header):
    """API servers send seconds; anything else is none of theirs, so nothing is sent again."""
    transport = Scripted([status(503, retry_after=header), ok(POD)])
    with pytest.raises(ServerError):
        await client(transport).get(PODS, KEY)
    assert len(transport.requests) == 1


async def test_a_read_survives_a_broken_connection_but_not_its_deadline():
    """Reading twice does no harm; reading after the time is over does no good."""
    broken = Scripted([TransportError("connection reset", sent=True), ok(POD)])
    await client(broken).get(PODS, KEY)
    assert len(broken.requests) == 2

    late = Scripted([RequestTimeout("no answer"), ok(POD)])
    with pytest.raises(RequestTimeout):
        await client(late).get(PODS, KEY)
    assert len(late.requests) == 1


async def test_every_attempt_is_counted():
    """Code, method and host, as client-go's rest_client_requests_total has them."""
    counted = Counted()
    transport = Scripted(
        [TransportError("refused", sent=False), status(429, retry_after="1"), ok(POD)]
    )

    await client(transport, metrics=counted).get(PODS, KEY)

    host = "api.example:6443"
    assert counted.seen == [("<error>", "GET", host), ("429", "GET", host), ("200", "GET", host)]
    assert counted.retried == counted.seen[1:]
    ((method, seconds, sent, received),) = counted.calls
    assert (method, sent, received) == ("GET", 0, len(ok(POD).body))
    assert 1 <= seconds < 2, "the waits are part of the call"


async def test_a_call_without_an_answer_has_no_size():
    """Only what came is measured; what a call sent is, whatever became of it."""
    counted = Counted()
    transport = Scripted([TransportError("broken")])

    with pytest.raises(TransportError):
        await client(transport, metrics=counted).create(PODS, POD)

    ((method, _, sent, received),) = counted.calls
    assert (method, received) == ("POST", None)
    assert sent == len(transport.requests[0].body)


async def test_cancelling_a_call_ends_it_at_once():
    """While it is on the wire and while it waits for its next try; nothing is sent after."""
    waiting = Scripted([status(429, retry_after="20")])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await client(waiting).get(PODS, KEY)
    assert len(waiting.requests) == 1
    assert waiting.clock.monotonic() == 5

    def cancelled(request):
        raise asyncio.CancelledError

    flying = Scripted([cancelled])
    with pytest.raises(asyncio.CancelledError):
        await client(flying).get(PODS, KEY)
    assert len(flying.requests) == 1
