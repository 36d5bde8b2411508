"""A Service on 127.0.0.1, for programs that know nothing of the cluster."""

import json

import aiohttp
import pytest

from kaito.kube.objects import ObjectKey
from kaito.kube.transport import Response, Stream
from kaito.simulator.loopback import LoopbackDoor
from kaito.simulator.network import NoSuchHost, Refused

pytestmark = pytest.mark.realtime

SERVICE = ObjectKey("models", "w")


class Cluster:
    """A network of one Service that tells what it was asked."""

    def __init__(self):
        self.asked = []
        self.answer = self.echo
        self.error = None

    async def request(self, host, port, request, *, namespace):
        self.asked.append((host, port, namespace))
        if self.error is not None:
            raise self.error
        return self.answer(request)

    def echo(self, request):
        told = {"method": request.method, "path": request.path, "body": request.body.decode()}
        headers = {"content-type": "application/json", "connection": "close"}
        return Response(status=201, headers=headers, body=json.dumps(told).encode())

    def stream(self, _request):
        async def chunks():
            for number in range(3):
                yield f"data: {number}\n\n".encode()

        return Stream(status=200, headers={"content-type": "text/event-stream"}, chunks=chunks())


async def test_requests_go_to_the_service_as_they_came():
    """Method, path and body in; status, headers and body out."""
    cluster = Cluster()
    async with LoopbackDoor(cluster, SERVICE) as door, aiohttp.ClientSession() as session:
        answer = await session.post(f"{door.url}/v1/chat/completions?a=b", data="{}")
        told = await answer.json()

    assert answer.status == 201
    assert told == {"method": "POST", "path": "/v1/chat/completions", "body": "{}"}
    assert cluster.asked == [("w.models.svc", 80, "models")]


async def test_streams_arrive_piece_by_piece():
    """Server-sent events pass through, as OpenAI clients with stream=True read them."""
    cluster = Cluster()
    cluster.answer = cluster.stream
    async with LoopbackDoor(cluster, SERVICE) as door, aiohttp.ClientSession() as session:
        answer = await session.get(door.url)
        text = await answer.text()

    assert answer.content_type == "text/event-stream"
    assert text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"


@pytest.mark.parametrize(("error", "status"), [(Refused("x"), 503), (NoSuchHost("x"), 502)])
async def test_failures_are_told_as_a_proxy_tells_them(error, status):
    """Nobody behind it yet: 503, come again. No such Service: 502."""
    cluster = Cluster()
    cluster.error = error
    async with LoopbackDoor(cluster, SERVICE) as door, aiohttp.ClientSession() as session:
        answer = await session.get(door.url)
        text = await answer.text()

    assert answer.status == status
    assert "models/w" in text


async def test_two_doors_have_two_ports():
    """Every Service its own, chosen by the system."""
    cluster = Cluster()
    async with LoopbackDoor(cluster, SERVICE) as one, LoopbackDoor(cluster, SERVICE) as other:
        assert one.url != other.url
