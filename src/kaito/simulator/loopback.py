"""A Service of the cluster on 127.0.0.1: plain HTTP for curl and OpenAI clients on this machine.

Each door leads to one Service. Whatever arrives is carried into the cluster's network as a pod
would send it, so it fails as it would there: no ready endpoint answers 503, no such name 502.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Self, cast, final

from aiohttp import web

from kaito.kube.objects import ObjectKey
from kaito.kube.transport import Request, Response, Stream
from kaito.simulator.network import Network, NoSuchHost, Refused, Unreachable

_LARGEST_BODY: Final = 8 * 1024 * 1024
_STOP_SECONDS: Final = 0.05
"""How long open requests may take to end by themselves when the door closes."""

_HOP: Final = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
"""Headers that are about one connection and go no further (RFC 9110, 7.6.1)."""


@final
class LoopbackDoor:
    """Serves one Service while entered."""

    def __init__(
        self, network: Network, service: ObjectKey, *, target: int = 80, port: int = 0
    ) -> None:
        self._network = network
        self._service = service
        self._target = target
        self._port = port
        self._runner: web.AppRunner | None = None
        self.url = ""
        """`http://127.0.0.1:PORT`, once entered."""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(
            method=incoming.method,
            path=incoming.rel_url.raw_path,
            query=tuple(incoming.rel_url.query.items()),
            headers=_kept({name.lower(): value for name, value in incoming.headers.items()}),
            body=await incoming.read(),
        )
        namespace, name = self._service
        host = f"{name}.{namespace}.svc"
        try:
            answer = await self._network.request(host, self._target, request, namespace=namespace)
        except NoSuchHost:
            return web.Response(status=502, text=f"there is no Service {self._service}\n")
        except (Refused, Unreachable):
            return web.Response(status=503, text=f"nothing behind {self._service} answers yet\n")
        if isinstance(answer, Response):
            return web.Response(
                status=answer.status, headers=_kept(dict(answer.headers)), body=answer.body
            )
        return await _streamed(incoming, answer)


def _kept(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


async def _streamed(incoming: web.Request, answer: Stream) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_kept(dict(answer.headers)))
    chunks = cast(AsyncGenerator[bytes, None], answer.chunks)
    async with aclosing(chunks):
        await response.prepare(incoming)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response
