"""The HTTPS door: real sockets for kubectl and every other client.

Identity comes from a client certificate of our authority, or from a bearer token. A request with
neither is anonymous; one with a wrong token is refused.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Final, Protocol, Self, cast, final

from aiohttp import ClientConnectionResetError, web

from kaito.apiserver.certificates import Authority
from kaito.apiserver.core import ANONYMOUS, User, encode
from kaito.apiserver.server import ApiServer
from kaito.apiserver.status import Refused, too_large, unauthorized
from kaito.apiserver.tokens import AUTHENTICATED
from kaito.kube.errors import TransportError
from kaito.kube.transport import Request, Response, Stream

_LARGEST_BODY: Final = 3 * 1024 * 1024
"""Bytes of a request's body: the real server's own limit."""
_STOP_SECONDS: Final = 0.05
"""How long open requests may take to end by themselves; watches never do."""


class Authenticator(Protocol):
    """Who holds a bearer token."""

    def __call__(self, token: str) -> User | None: ...


@final
class Tokens:
    """A fixed list of bearer tokens."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = dict(users)

    def __call__(self, token: str) -> User | None:
        return self._users.get(token)


@final
class HttpsDoor:
    """`async with HttpsDoor(server) as door:` serves until the block ends."""

    def __init__(
        self,
        server: ApiServer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        authority: Authority | None = None,
        tls: ssl.SSLContext | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        """`tls` replaces the certificate that `authority` (by default a new one) would sign.

        Tokens of service accounts are always known; `authenticator` knows the others.
        """
        self._server = server
        self._host = host
        self._port = port
        self.authority: Final = authority or Authority(server.core.clock)
        self._tls = tls
        self._authenticator = authenticator
        self._runner: web.ServerRunner | None = None

    @property
    def ca_pem(self) -> bytes:
        """What clients need to trust this door."""
        return self.authority.pem

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._runner is None:
            raise RuntimeError("the door is not open")
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Where clients connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        context = self._tls or self._context()
        # A client that leaves must end its watch: cancel the handler when the connection drops.
        runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True, access_log=None),
            shutdown_timeout=_STOP_SECONDS,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port, ssl_context=context)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        return self

    def _context(self) -> ssl.SSLContext:
        hosts = [self._host, "localhost", "127.0.0.1", "kubernetes", "kubernetes.default.svc"]
        return self.authority.context(list(dict.fromkeys(hosts)))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        user = self._identify(incoming)
        if user is None:
            return _refusal(unauthorized())
        body = await _body(incoming)
        if body is None:
            return _refusal(too_large(_LARGEST_BODY))
        try:
            answer = await self._server.handle(_request(incoming, body), user)
            if isinstance(answer, Response):
                return _whole(answer)
            return await _streamed(incoming, answer)
        except (TransportError, ClientConnectionResetError):
            # Broken on purpose, or by a client that left while it was being told something.
            return await _broken(incoming)

    def _identify(self, incoming: web.BaseRequest) -> User | None:
        """The user; anonymous without credentials; None for a token nobody knows."""
        certificate = incoming.get_extra_info("peercert")
        if certificate:
            return _user_of(certificate)
        scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return ANONYMOUS
        return self._user_of_token(token.strip())

    def _user_of_token(self, token: str) -> User | None:
        found = self._authenticator(token) if self._authenticator is not None else None
        return found or self._server.tokens.user(token)


def _user_of(certificate: Mapping[str, object]) -> User:
    subject = cast(tuple[tuple[tuple[str, str], ...], ...], certificate.get("subject", ()))
    pairs = [pair for part in subject for pair in part]
    name = next((value for key, value in pairs if key == "commonName"), "")
    groups = tuple(value for key, value in pairs if key == "organizationName")
    return User(name, (*groups, AUTHENTICATED))


def _refusal(refused: Refused) -> web.Response:
    headers = {"content-type": "application/json"}
    return web.Response(status=refused.code, body=encode(refused.status()), headers=headers)


async def _body(incoming: web.BaseRequest) -> bytes | None:
    """The whole body; None when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in incoming.content.iter_any():
        size += len(part)
        if size > _LARGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def _request(incoming: web.BaseRequest, body: bytes) -> Request:
    return Request(
        method=incoming.method,
        path=incoming.rel_url.raw_path,
        query=tuple(incoming.rel_url.query.items()),
        headers=_headers(incoming),
        body=body,
    )


def _headers(incoming: web.BaseRequest) -> dict[str, str]:
    """By lower-case name; the values of a header that is there more than once, with commas."""
    found: dict[str, str] = {}
    for name, value in incoming.headers.items():
        before = found.get(name.lower())
        found[name.lower()] = value if before is None else f"{before},{value}"
    return found


def _whole(answer: Response) -> web.Response:
    return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)


async def _streamed(incoming: web.BaseRequest, answer: Stream) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
    response.enable_chunked_encoding()
    chunks = cast(AsyncGenerator[bytes, None], answer.chunks)
    async with aclosing(chunks):
        # Clients wait for the headers before the first event.
        await response.prepare(incoming)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response


async def _broken(incoming: web.BaseRequest) -> web.StreamResponse:
    """Drop the connection, which cancels this handler."""
    if incoming.transport is not None:
        incoming.transport.abort()
    return cast(web.StreamResponse, await asyncio.get_running_loop().create_future())
