"""The in-process door: a transport without sockets, threads or copies, at home in virtual time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import cast, final

from kaito.apiserver.core import ADMIN, User
from kaito.apiserver.server import ApiServer
from kaito.kube.errors import IdleTimeout, RequestTimeout, TransportError
from kaito.kube.transport import Request, Response, Stream, Transport


def in_process(server: ApiServer, user: User = ADMIN) -> Transport:
    """A transport that reaches `server` as `user`."""
    return _InProcess(server, user)


@final
class _InProcess:
    def __init__(self, server: ApiServer, user: User) -> None:
        self._server = server
        self._user = user
        self._closed = False

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        self._check_open()
        try:
            async with asyncio.timeout(timeout):
                answer = await self._server.handle(request, self._user)
                if isinstance(answer, Response):
                    return answer
                async with aclosing(_generator(answer)) as chunks:
                    body = b"".join([chunk async for chunk in chunks])
                return Response(status=answer.status, headers=answer.headers, body=body)
        except TimeoutError as error:
            raise RequestTimeout(f"{request.method} {request.path}: no answer in time") from error

    def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        return self._stream(request, idle_timeout)

    @asynccontextmanager
    async def _stream(self, request: Request, idle_timeout: float | None) -> AsyncIterator[Stream]:
        self._check_open()
        answer = await self._server.handle(request, self._user)
        if isinstance(answer, Response):
            whole = aclosing(_once(answer.body))
            async with whole as chunks:
                yield Stream(status=answer.status, headers=answer.headers, chunks=chunks)
            return
        async with (
            aclosing(_generator(answer)) as source,
            aclosing(_guarded(source, idle_timeout)) as chunks,
        ):
            yield Stream(status=answer.status, headers=answer.headers, chunks=chunks)

    async def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError("the transport is closed", sent=False)


def _generator(stream: Stream) -> AsyncGenerator[bytes, None]:
    """Every stream of the server is an async generator, and so can be closed."""
    return cast(AsyncGenerator[bytes, None], stream.chunks)


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _guarded(
    source: AsyncIterator[bytes], idle_timeout: float | None
) -> AsyncGenerator[bytes, None]:
    """The same pieces; silence longer than `idle_timeout` seconds is an error."""
    while True:
        try:
            async with asyncio.timeout(idle_timeout):
                chunk = await anext(source)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise IdleTimeout(f"nothing arrived for {idle_timeout} seconds") from error
        yield chunk
