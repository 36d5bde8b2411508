"""The HTTPS transport against a real server on loopback."""

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from random import Random

import pytest
from aiohttp import web

from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import Auth, Credentials, Material, static
from kaito.kube.errors import IdleTimeout, RequestTimeout, TransportError, Unauthorized
from kaito.kube.https import HttpsTransport, _socket
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import PODS
from kaito.kube.transport import Request
from tests.kube.tls import ca_pem, client, serve

pytestmark = pytest.mark.realtime
GET = Request(method="GET", path="/api/v1/pods", headers={"accept": "application/json"})


@asynccontextmanager
async def connect(url, **options):
    credentials = static(url, clock=SystemClock(), ca_pem=ca_pem(), **options)
    transport = HttpsTransport(credentials)
    try:
        yield transport
    finally:
        await transport.close()


async def drain(stream):
    async for _ in stream.chunks:
        pass


class Tokens:
    """Credentials whose token changes when they are renewed."""

    def __init__(self, *tokens):
        self.tokens = list(tokens)
        self.reads = 0

    async def __call__(self, force):
        self.reads += 1
        if force and len(self.tokens) > 1:
            self.tokens.pop(0)
        return Material(authorization=f"Bearer {self.tokens[0]}", ca_pem=ca_pem(), valid_for=None)

    def credentials(self, url):
        return Credentials(
            server=url,
            context="test",
            origin="test",
            namespace="default",
            auth=Auth(self, clock=SystemClock()),
        )


async def test_a_request_arrives_as_it_was_sent():
    """Method, path, repeated query, headers and body; the token; no compression asked for."""
    seen = []

    async def handler(request):
        seen.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        return web.Response(status=201, body=b"made", headers={"Warning": '299 - "x"'})

    async with serve(handler) as url, connect(url, token="t") as transport:
        response = await transport.send(
            Request(
                method="POST",
                path="/api/v1/namespaces/ä b/pods",
                query=(("a", "1"), ("a", "x y=z")),
                headers={"content-type": "application/json", "user-agent": "kaito/1"},
                body=b"{}",
            ),
            timeout=5,
        )

    assert (response.status, response.body) == (201, b"made")
    assert response.headers["warning"] == '299 - "x"'
    method, path, headers, body = seen[0]
    assert (method, body) == ("POST", b"{}")
    assert path == "/api/v1/namespaces/%C3%A4%20b/pods?a=1&a=x+y%3Dz"
    assert headers["Authorization"] == "Bearer t"
    assert headers["User-Agent"] == "kaito/1"
    assert headers["Accept-Encoding"] == "identity"


async def test_connections_are_kept_and_shared():
    """Requests one after the other use one connection and one handshake."""
    ports = set()

    async def handler(request):
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(text="{}")

    async with serve(handler) as url, connect(url) as transport:
        for _ in range(5):
            await transport.send(GET, timeout=5)

    assert len(ports) == 1


@pytest.mark.parametrize("how", ["stream", "send"])
async def test_a_connection_that_is_given_up_is_closed_at_once(monkeypatch, how):
    """A watch that was left and an answer that never ends leave no socket waiting for the peer."""
    made = []

    def remembered(address):
        made.append(_socket(address))
        return made[-1]

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{}")
        arrived.set()
        await left.wait()
        return response

    monkeypatch.setattr("kaito.kube.https._socket", remembered)
    arrived, left = asyncio.Event(), asyncio.Event()
    async with serve(handler) as url, connect(url) as transport:
        if how == "stream":
            async with transport.stream(GET, idle_timeout=5):
                await arrived.wait()
        else:
            with pytest.raises(RequestTimeout):
                await transport.send(GET, timeout=0.3)
        for _ in range(2):
            await asyncio.sleep(0)
        assert [one.fileno() for one in made] == [-1]
        left.set()


@pytest.mark.parametrize("passes", [*range(1, 12), None])
async def test_a_closed_transport_leaves_no_socket(monkeypatch, passes):
    """Wherever a request is when it is cancelled: before, in and after the opening of TLS, or when
    the server has all of it and says nothing."""
    made = []

    def remembered(address):
        made.append(_socket(address))
        return made[-1]

    async def handler(request):
        arrived.set()
        await left.wait()
        return web.Response()

    monkeypatch.setattr("kaito.kube.https._socket", remembered)
    arrived, left = asyncio.Event(), asyncio.Event()
    async with serve(handler) as url:
        async with asyncio.TaskGroup() as tasks, connect(url) as transport:
            asked = tasks.create_task(transport.send(GET))
            for _ in range(passes or 0):
                await asyncio.sleep(0)
            if passes is None:
                await arrived.wait()
            asked.cancel()
            await asyncio.wait([asked])
        assert [one for one in made if one.fileno() >= 0] == []
        left.set()


async def test_the_look_up_of_a_name_is_measured():
    """Once per connection; an address needs none."""
    looked_up = []

    async def handler(request):
        return web.Response(text="{}")

    async with serve(handler) as url:
        for host in ("127.0.0.1", "localhost"):
            async with connect(url.replace("127.0.0.1", host)) as transport:
                transport.on_resolved = lambda name, seconds: looked_up.append((name, seconds))
                for _ in range(2):
                    await transport.send(GET, timeout=5)

    ((name, seconds),) = looked_up
    assert name == "localhost"
    assert seconds >= 0


async def test_a_stream_delivers_what_has_come_at_once():
    """Without waiting for a line end or a full buffer; it ends when the server ends it."""
    go_on = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first, no line end")
        await go_on.wait()
        await response.write(b"second\n")
        return response

    async with (
        serve(handler) as url,
        connect(url) as transport,
        transport.stream(GET, idle_timeout=5) as stream,
    ):
        assert await anext(stream.chunks) == b"first, no line end"
        go_on.set()
        assert [chunk async for chunk in stream.chunks] == [b"second\n"]


async def test_s21_a_line_of_eight_megabytes_comes_through():
    """No reader on the way has a limit for a line."""
    name = b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":'
    name += b'{"name":"a","namespace":"b","resourceVersion":"1"},"data":{"blob":"'
    line = name + b"x" * 8_000_000 + b'"}}}\n'

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line)
        return response

    async with serve(handler) as url, connect(url) as transport:
        kube = Client(transport, clock=SystemClock(), random=Random(1))
        async with kube.watch(PODS, timeout_seconds=60, idle_timeout=10) as events:
            [event] = [event async for event in events]

    assert len(event.record.get("data", "blob")) == 8_000_000


async def test_a_silent_stream_is_given_up():
    """After its idle timeout, which every byte starts anew; there is no total timeout."""
    done = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4):
            await response.write(b"hello\n")
            await asyncio.sleep(0.1)
        await done.wait()
        return response

    async with serve(handler) as url, connect(url) as transport:
        async with transport.stream(GET, idle_timeout=0.3) as stream:
            for _ in range(4):
                assert await anext(stream.chunks) == b"hello\n"
            with pytest.raises(IdleTimeout, match=r"nothing for 0\.3 s"):
                await anext(stream.chunks)
        done.set()


async def test_what_waits_to_be_read_is_no_silence():
    """A reader that is busy for longer than the idle timeout finds what came meanwhile."""
    done = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"hello\n")
        await done.wait()
        return response

    async with serve(handler) as url, connect(url) as transport:
        async with transport.stream(GET, idle_timeout=0.1) as stream:
            await asyncio.sleep(0.25)
            assert await anext(stream.chunks) == b"hello\n"
            with pytest.raises(IdleTimeout):
                await anext(stream.chunks)
        done.set()


async def test_an_answer_that_is_late_leaves_the_outcome_unknown():
    """The timeout covers everything, and the request may have been acted upon."""

    done = asyncio.Event()

    async def handler(request):
        await done.wait()
        return web.Response()

    async with serve(handler) as url, connect(url) as transport:
        with pytest.raises(RequestTimeout) as caught:
            await transport.send(GET, timeout=0.1)
        done.set()

    assert caught.value.sent


async def test_a_refused_connection_was_never_sent():
    """The message names the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with connect(f"https://127.0.0.1:{port}") as transport:
        with pytest.raises(TransportError, match=f"cannot connect to 127.0.0.1:{port}") as caught:
            await transport.send(GET, timeout=5)

    assert not caught.value.sent


async def test_a_closed_connection_leaves_the_outcome_unknown():
    """The server hung up after it had the request."""

    async def handler(request):
        request.transport.abort()
        return web.Response()

    post = Request(method="POST", path="/x", body=b"{}")
    async with serve(handler) as url, connect(url) as transport:
        with pytest.raises(TransportError) as caught:
            await transport.send(post, timeout=5)

    assert caught.value.sent


async def test_a_stranger_is_not_trusted():
    """A certificate of another authority is refused before anything is sent, and explained."""
    seen = []

    async def handler(request):
        seen.append(request)
        return web.Response()

    async with serve(handler) as url:
        other = static(url, clock=SystemClock(), ca_pem=ca_pem("other"), token="secret")
        transport = HttpsTransport(other)
        try:
            with pytest.raises(TransportError, match="certificate authority of given") as caught:
                await transport.send(GET, timeout=5)
        finally:
            await transport.close()

    assert not caught.value.sent
    assert "secret" not in str(caught.value)
    assert seen == []


async def test_a_client_certificate_is_presented(tmp_path):
    """mTLS, as kubeconfigs of administrators have it."""
    seen = []

    async def handler(request):
        peer = request.transport.get_extra_info("peercert")
        seen.append(peer["subject"][0][0][1])
        return web.Response()

    cert, key = client("somebody", tmp_path)

    async def load(force):
        return Material(ca_pem=ca_pem(), cert_file=str(cert), key_file=str(key), valid_for=None)

    async with serve(handler, client_ca=True) as url:
        transport = HttpsTransport(
            Credentials(
                server=url,
                context="c",
                origin="o",
                namespace="default",
                auth=Auth(load, clock=SystemClock()),
            )
        )
        await transport.send(GET, timeout=5)
        await transport.close()

    assert seen == ["somebody"]


def bearer(token):
    """A server that knows one token."""

    async def handler(request):
        if request.headers["Authorization"] != f"Bearer {token}":
            return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)
        return web.json_response(
            {"kind": "Pod", "metadata": {"name": "a", "namespace": "b"}}, status=200
        )

    return handler


async def test_s78_a_refused_token_is_renewed_once_and_the_request_repeated():
    """401 once means one renewal; the caller never sees it, reads, writes and streams alike."""
    tokens = Tokens("old", "new")
    async with serve(bearer("new")) as url:
        transport = HttpsTransport(tokens.credentials(url))
        kube = Client(transport, clock=SystemClock(), random=Random(1))
        await kube.get(PODS, ObjectKey("b", "a"))
        await kube.merge_patch(PODS, ObjectKey("b", "a"), {})
        async with transport.stream(GET, idle_timeout=5) as stream:
            assert stream.status == 200
        await transport.close()

    assert tokens.reads == 2


async def test_s78_a_token_replaced_during_a_watch_leaves_the_watch_alone():
    """The stream goes on with the token it was opened with; the next request has the new one."""
    seen, go_on = [], asyncio.Event()

    async def handler(request):
        seen.append(request.headers["Authorization"])
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path == "/watch":
            await response.write(b"1")
            await go_on.wait()
            await response.write(b"2")
        return response

    tokens = Tokens("old", "new")
    async with serve(handler) as url:
        credentials = tokens.credentials(url)
        transport = HttpsTransport(credentials)
        async with transport.stream(Request(method="GET", path="/watch")) as stream:
            assert await anext(stream.chunks) == b"1"
            assert await credentials.auth.renew(await credentials.auth.material())
            await transport.send(GET, timeout=5)
            go_on.set()
            assert [chunk async for chunk in stream.chunks] == [b"2"]
        await transport.close()

    assert seen == ["Bearer old", "Bearer new"]


async def test_s18_a_connection_that_lost_its_peer_is_noticed_and_replaced():
    """A middlebox begins to drop everything without a word: the stream ends by its idle timeout,
    and the next one works.
    """
    hole, done = asyncio.Event(), asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while not done.is_set():
            await response.write(b"hello\n")
            await asyncio.sleep(0.05)
        return response

    async def forward(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not hole.is_set():
                    writer.write(data)
        writer.close()

    async with serve(handler) as url, asyncio.TaskGroup() as group:
        port = int(url.rpartition(":")[2])

        async def accept(reader, writer):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
            group.create_task(forward(reader, up_writer))
            group.create_task(forward(up_reader, writer))

        proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
        address = f"https://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        async with connect(address) as transport:
            async with transport.stream(GET, idle_timeout=0.3) as stream:
                assert await anext(stream.chunks) == b"hello\n"
                hole.set()
                with pytest.raises(IdleTimeout):
                    await drain(stream)
            hole.clear()
            async with transport.stream(GET, idle_timeout=5) as stream:
                assert await anext(stream.chunks) == b"hello\n"
            done.set()
        proxy.close()
        await proxy.wait_closed()


async def test_s78_a_token_that_stays_refused_is_reported():
    """No loop of renewals: the server's 401 is the answer."""
    tokens = Tokens("wrong")
    async with serve(bearer("right")) as url:
        transport = HttpsTransport(tokens.credentials(url))
        kube = Client(transport, clock=SystemClock(), random=Random(1))
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await kube.get(PODS, ObjectKey("b", "a"))
        await transport.close()

    assert tokens.reads == 2


async def test_a_closed_transport_says_so():
    """Nothing is sent any more."""
    async with connect("https://127.0.0.1:1") as transport:
        await transport.close()
        with pytest.raises(TransportError, match="closed") as caught:
            await transport.send(GET, timeout=1)

    assert not caught.value.sent


def test_sockets_notice_dead_peers():
    """Keepalive probes and a limit for unacknowledged data."""
    with _socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


def test_the_host_is_known_for_metrics():
    """As client-go's `host` label has it, without the path."""
    credentials = static("https://api.example:6443/prefix/", clock=SystemClock())

    assert HttpsTransport(credentials).host == "api.example:6443"
