"""The fence, and what it keeps from being sent."""

from random import Random

import pytest

from kaito.framework.fence import Fence, Fenced, FencedTransport
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.resources import CONFIGMAPS
from kaito.kube.transport import Request, Response
from tests.kube.fakes import Scripted, status


class Recording:
    """A transport that answers 200 to everything and remembers what was asked."""

    def __init__(self):
        self.methods = []

    async def send(self, request, *, timeout=None):
        self.methods.append(request.method)
        return Response(status=200)


async def test_a_fence_is_open_until_its_deadline_and_each_renewal_moves_it():
    """Writes are allowed before the deadline, refused at it, allowed again after an extension."""
    clock = LoopClock()
    fence = Fence(clock.monotonic, deadline=10)

    fence.check()
    await clock.sleep(10)

    with pytest.raises(Fenced):
        fence.check()
    fence.extend(20)
    fence.check()
    fence.shut()
    assert not fence.open


async def test_a_fenced_transport_lets_reads_pass_and_holds_writes_back():
    """With the fence shut a GET is sent and a PATCH never reaches the server."""
    inner = Recording()
    fence = Fence(LoopClock().monotonic)
    guarded = FencedTransport(inner, fence)
    await guarded.send(Request(method="PATCH", path="/api"))
    fence.shut()

    await guarded.send(Request(method="GET", path="/api"))
    with pytest.raises(Fenced):
        await guarded.send(Request(method="DELETE", path="/api"))
    with pytest.raises(Fenced):
        guarded.stream(Request(method="POST", path="/api"))

    assert inner.methods == ["PATCH", "GET"]


async def test_a_fenced_transport_passes_on_all_that_it_is_told():
    """Time limits, the streams of reads, whose host it is, and the end."""
    told = []

    class Inner:
        host = "https://cluster:6443"

        async def send(self, request, *, timeout=None):
            told.append(timeout)
            return "answer"

        def stream(self, request, *, idle_timeout=None):
            told.append(idle_timeout)
            return "stream"

        async def close(self):
            told.append("closed")

    guarded = FencedTransport(Inner(), Fence(LoopClock().monotonic, deadline=-1))
    get, options = Request(method="GET", path="/"), Request(method="OPTIONS", path="/")

    assert await guarded.send(get, timeout=3) == "answer"
    assert guarded.stream(options, idle_timeout=70) == "stream"
    await guarded.close()

    assert told == [3, 70, "closed"]
    assert guarded.host == Inner.host
    assert FencedTransport(Recording(), Fence(LoopClock().monotonic)).host == ""


async def test_a_write_that_waits_for_its_next_try_is_not_sent_when_the_fence_has_shut():
    """Asked to come back in twenty seconds, with ten left to lead: one request, no second."""
    clock = LoopClock()
    transport = Scripted([status(429, retry_after="20")])
    fence = Fence(clock.monotonic, deadline=10)
    client = Client(FencedTransport(transport, fence), clock=clock, random=Random(1))

    with pytest.raises(Fenced):
        await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})

    assert len(transport.requests) == 1
    assert clock.monotonic() >= 20
