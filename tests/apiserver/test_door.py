"""The in-process door."""

import asyncio

import pytest

from kaito.kube.errors import IdleTimeout, RequestTimeout, TransportError
from kaito.kube.transport import Request
from tests.apiserver.support import CONFIGMAPS, Api

WATCH = Request(
    method="GET", path=CONFIGMAPS, query=(("watch", "1"), ("resourceVersion", "1000000"))
)


async def test_silence_is_an_error_when_it_lasts_too_long() -> None:
    """`idle_timeout` counts from piece to piece."""
    async with Api().transport.stream(WATCH, idle_timeout=5) as stream:
        with pytest.raises(IdleTimeout):
            await anext(stream.chunks)


async def test_a_whole_answer_must_come_in_time() -> None:
    """A watch never ends within the time allowed for one answer."""
    with pytest.raises(RequestTimeout):
        await Api().transport.send(WATCH, timeout=5)


async def test_a_cancelled_reader_leaves_nothing_behind() -> None:
    """Cancellation while waiting for the next event ends the watch on the server too."""
    api = Api()
    opened = asyncio.Event()

    async def read() -> None:
        async with api.transport.stream(WATCH) as stream:
            opened.set()
            async for _ in stream.chunks:
                pass

    async with asyncio.TaskGroup() as group:
        reader = group.create_task(read())
        await opened.wait()
        await asyncio.sleep(1)
        assert api.server.core.storage.bucket("configmaps").watchers == 1
        reader.cancel()
    assert api.server.core.storage.bucket("configmaps").watchers == 0


async def test_a_closed_transport_carries_nothing() -> None:
    """Nothing is sent, and the error says so."""
    api = Api()
    await api.transport.close()
    with pytest.raises(TransportError) as error:
        await api.transport.send(WATCH)
    assert not error.value.sent


async def test_an_error_is_a_stream_too() -> None:
    """A refused watch answers with its status code and a Status."""
    request = Request(method="GET", path="/api/v1/foos", query=(("watch", "1"),))
    async with Api().transport.stream(request) as stream:
        assert stream.status == 404
        assert b'"reason":"NotFound"' in b"".join([chunk async for chunk in stream.chunks])
