"""The transport to a real API server: HTTPS over aiohttp.

One TLS context and one connection pool per identity. Dead connections are found by TCP keepalive
and TCP_USER_TIMEOUT, silent streams by their idle timeout; a stream has no total timeout. What
comes is taken as it comes, in chunks, for a line may be longer than any line reader allows.
"""

import asyncio
import math
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self, final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from kaito.kube.credentials import Credentials, Material, present_certificate, tls_context
from kaito.kube.errors import IdleTimeout, RequestTimeout, TransportError
from kaito.kube.transport import Request, Response, Stream

_CONNECT_TIMEOUT = 10.0
"""Seconds for DNS, TCP and TLS."""
_READ_BUFFER = 1024 * 1024
"""Bytes taken from the socket before it is paused; a page of a list is about this large."""
_MAX_HEADER = 64 * 1024
"""Bytes; `Warning:` headers of a strict server can be long."""
_KEEP_ALIVE = 15.0
"""Seconds an idle connection is kept; far less than API servers keep theirs, because a write that
meets a connection which is just being closed has an unknown outcome."""
_CONNECTIONS = 256
"""Watches and requests at the same time."""

_PROBE_AFTER, _PROBE_EVERY, _PROBES = 30, 10, 3
"""TCP keepalive: a dead peer is noticed within a minute."""
_UNACKNOWLEDGED_MS = 30_000
"""TCP_USER_TIMEOUT: for data that was sent and never acknowledged."""

_PASSES = 20
"""Of the event loop, until it has noticed that a connection was cut: it takes four or five."""

_SAFE = "/%:@!$&'()*+,;=~"
"""Characters of a path that are sent as they are; it may hold escapes already."""


@final
class HttpsTransport:
    """Carries requests to the server of `credentials`; also plain HTTP, for a local proxy."""

    def __init__(self, credentials: Credentials, *, connections: int = _CONNECTIONS) -> None:
        self.on_resolved: Callable[[str, float], object] | None = None
        """Told the name and the seconds of each DNS lookup, if set before the first request."""
        self._credentials = credentials
        self._connections = connections
        self._base = credentials.server.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._presented: tuple[str | None, str | None] = (None, None)
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = False

    @property
    def host(self) -> str:
        """`host:port`, for metrics."""
        return urlsplit(self._base).netloc

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        limits = aiohttp.ClientTimeout(
            total=timeout, sock_connect=_CONNECT_TIMEOUT, ceil_threshold=1e9
        )
        try:
            response = await self._open(request, limits)
            with _cut_unless_read(response):
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._failure(error) from error
        return Response(status=response.status, headers=_headers(response), body=body)

    @asynccontextmanager
    async def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AsyncIterator[Stream]:
        limits = aiohttp.ClientTimeout(
            total=None,
            sock_connect=_CONNECT_TIMEOUT,
            sock_read=idle_timeout,
            ceil_threshold=1e9,
        )
        try:
            response = await self._open(request, limits)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._failure(error) from error
        with _cut_unless_read(response), _Silence(response, idle_timeout) as silence:
            chunks = self._chunks(response, silence)
            yield Stream(status=response.status, headers=_headers(response), chunks=chunks)

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
            await self._cut()

    async def _cut(self) -> None:
        """End the connections that are not the session's any more.

        Where a request is cancelled before its answer, TLS is still being opened, or being closed
        in good order, which takes as long as the peer likes.
        """
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for _ in range(_PASSES):
            if all(one.fileno() < 0 for one in self._sockets):
                return
            await asyncio.sleep(0)  # noqa: TID251 - a pass of the loop, which takes no time

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = _socket(address)
        self._sockets.add(made)
        return made

    async def _open(
        self, request: Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """The response's head; a 401 renews the credentials, and once more."""
        material = await self._credentials.auth.material()
        response = await self._start(request, limits, material)
        if response.status != 401 or not await self._credentials.auth.renew(material):
            return response
        response.release()
        return await self._start(request, limits, await self._credentials.auth.material())

    async def _start(
        self, request: Request, limits: aiohttp.ClientTimeout, material: Material
    ) -> aiohttp.ClientResponse:
        session = self._session_for(material)
        headers = {"accept-encoding": "identity", **request.headers}
        if material.authorization is not None:
            headers["authorization"] = material.authorization
        return await session.request(
            request.method,
            self._url(request),
            headers=headers,
            data=request.body or None,
            timeout=limits,
            allow_redirects=False,
            server_hostname=material.server_name,
            proxy=material.proxy,
        )

    def _session_for(self, material: Material) -> aiohttp.ClientSession:
        if self._closed:
            raise TransportError("the transport is closed", sent=False)
        if self._session is None:
            self._tls = tls_context(material)
            self._presented = (material.cert_file, material.key_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls,
                    limit=self._connections,
                    keepalive_timeout=_KEEP_ALIVE,
                    socket_factory=self._socket,
                    resolver=None if self.on_resolved is None else _Timed(self.on_resolved),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                max_line_size=_MAX_HEADER,
                max_field_size=_MAX_HEADER,
            )
        elif self._tls and self._presented != (material.cert_file, material.key_file):
            present_certificate(self._tls, material)
            self._presented = (material.cert_file, material.key_file)
        return self._session

    def _url(self, request: Request) -> URL:
        query = f"?{urlencode(request.query)}" if request.query else ""
        return URL(f"{self._base}{quote(request.path, safe=_SAFE)}{query}", encoded=True)

    async def _chunks(
        self, response: aiohttp.ClientResponse, silence: "_Silence"
    ) -> AsyncIterator[bytes]:
        try:
            while chunk := await response.content.readany():
                silence.broken(chunk)
                yield chunk
        except aiohttp.SocketTimeoutError as error:
            raise IdleTimeout(f"{self.host} sent nothing for {silence.limit:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> TransportError:
        """Ours, with what was tried, what happened, and whether the request may have arrived."""
        match error:
            case TransportError():
                return error
            case aiohttp.ConnectionTimeoutError():
                message = f"{self.host} did not accept a connection in {_CONNECT_TIMEOUT:g} s"
                return RequestTimeout(message, sent=False)
            case TimeoutError():
                return RequestTimeout(f"{self.host} did not answer in time")
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return TransportError(self._tls_words(error), sent=False)
            case aiohttp.ClientConnectorError():
                reason = error.os_error.strerror or str(error.os_error)
                return TransportError(f"cannot connect to {self.host}: {reason}", sent=False)
            case aiohttp.ServerDisconnectedError():
                return TransportError(f"{self.host} closed the connection without an answer")
            case aiohttp.ClientPayloadError():
                return TransportError(f"{self.host} broke off in the middle of an answer")
            case ValueError():
                return TransportError(f"{self._base} is no usable server: {error}", sent=False)
            case _:
                return TransportError(f"the connection to {self.host} broke: {error}")

    def _tls_words(self, error: Any) -> str:
        cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
        reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or str(cause)
        return (
            f"no trusted connection to {self.host}: {reason}; does the certificate authority of "
            f"{self._credentials.origin} (context {self._credentials.context}) belong to this "
            "server?"
        )


@final
class _Silence:
    """Within it, a body on which nothing comes for `limit` seconds fails.

    aiohttp's own limit, which is in force until here, sets a timer for every piece that arrives;
    this one looks at the clock, and has one timer that is set again when it rings.
    """

    def __init__(self, response: aiohttp.ClientResponse, limit: float | None) -> None:
        self.limit = math.inf if limit is None else limit
        self._content = response.content
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        if response.connection is not None and response.connection.protocol is not None:
            response.connection.protocol.read_timeout = None
            response.connection.protocol.start_timeout()

    def broken(self, chunk: bytes) -> None:
        """This was read."""
        self._heard = self._loop.time()
        self._taken += len(chunk)

    def __enter__(self) -> Self:
        if self.limit < math.inf:
            self._timer = self._loop.call_later(self.limit, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        # What has come and waits to be read is no silence of the server.
        waits = self._content.total_bytes > self._taken
        left = self.limit if waits else self._heard + self.limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._content.set_exception(aiohttp.SocketTimeoutError("silence"))


@final
class _Timed(AbstractResolver):
    """The system's resolver, timed. A connector keeps what it finds for ten seconds."""

    def __init__(self, told: Callable[[str, float], object]) -> None:
        self._inner = ThreadedResolver()
        self._told = told

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        now = asyncio.get_running_loop().time
        started = now()
        try:
            return await self._inner.resolve(host, port, family)
        finally:
            self._told(host, now() - started)

    async def close(self) -> None:
        await self._inner.close()


@contextmanager
def _cut_unless_read(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Cut the connection of an answer that is left before its end. The rest is of no use to anyone,
    and to close TLS in good order would leave a socket behind that waits for a peer which may be
    gone, even when the whole transport is closed.
    """
    connection = response.connection
    transport = None if connection is None else connection.transport
    try:
        yield
    finally:
        if transport is not None and not response.content.at_eof():
            transport.abort()
        response.close()


def _headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """Names in lower case; values of repeated headers joined by comma."""
    joined: dict[str, str] = {}
    for name, value in response.headers.items():
        name = name.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has all of them.
    for name, value in (
        ("TCP_KEEPIDLE", _PROBE_AFTER),
        ("TCP_KEEPINTVL", _PROBE_EVERY),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MS),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
