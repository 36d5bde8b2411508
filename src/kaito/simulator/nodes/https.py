"""The kubelets' port on loopback, over TLS: what a real API server asks of nodes, logs alone.

    async with KubeletDoor(clock=clock) as door:
        NodeOptions(kubelet_address=door.host, kubelet_port=door.port)    # every Node names it
        door.kubelet = nodes.connector

One door serves all nodes: a pod's name tells which is meant. It asks nobody who they are, so it
belongs on loopback; what it gives away is the output of simulated containers. Exec, attach and port
forwarding are not served and say so. `kubectl run -it` then falls back to the logs as they are at
that moment, so an attach is refused only when the container has ended: its output is complete.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final, Self, cast, final

from aiohttp import web

from kaito.apiserver.certificates import Authority
from kaito.apiserver.connectors import Kubelet, LogOptions
from kaito.apiserver.status import Refused
from kaito.kube.clock import Clock

_GRACE: Final = 0.1
"""Seconds that open requests get when the door closes."""

_STREAMS: Final = ("exec", "portForward", "run", "cri")
_REFUSED: Final = "simulated nodes serve container logs alone\n"


@final
class KubeletDoor:
    """Serves while entered. Until `kubelet` is set it answers 503."""

    def __init__(self, *, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        self._authority = Authority(clock)
        self._runner: web.AppRunner | None = None
        self.host = host
        self.port = port
        self.kubelet: Kubelet | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        container = "{namespace}/{pod}/{container}"
        application.router.add_get(f"/containerLogs/{container}", self._logs, allow_head=False)
        application.router.add_route("*", f"/attach/{container}", self._attach)
        for name in _STREAMS:
            application.router.add_route("*", f"/{name}/{{rest:.*}}", _refuse)
        runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )
        await runner.setup()
        try:
            tls = self._authority.context([self.host])
            await web.TCPSite(runner, self.host, self.port, ssl_context=tls).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        # An API server keeps connections for later; nobody waits for its goodbye.
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    async def _attach(self, request: web.Request) -> web.Response:
        where = request.match_info
        if self.kubelet is not None:
            with suppress(Refused):
                output = await self.kubelet.logs(
                    where["namespace"], where["pod"], where["container"], LogOptions(follow=True)
                )
                async for _ in output:
                    pass
        return _not_served()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        if self.kubelet is None:
            return web.Response(status=503, text="the nodes are not there yet")
        where = request.match_info
        try:
            options = _options(request)
            output = await self.kubelet.logs(
                where["namespace"], where["pod"], where["container"], options
            )
        except Refused as refused:
            return web.Response(status=refused.code, text=refused.message)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return await _streamed(request, output, options.limit_bytes)


async def _streamed(
    request: web.Request, output: AsyncIterator[bytes], limit: int | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/plain"})
    async with aclosing(cast(AsyncGenerator[bytes, None], output)) as pieces:
        await response.prepare(request)
        async for piece in pieces:
            await response.write(piece if limit is None else piece[:limit])
            if limit is not None:
                limit -= len(piece)
                if limit <= 0:
                    break
        await response.write_eof()
    return response


def _not_served() -> web.Response:
    return web.Response(status=501, text=_REFUSED)


async def _refuse(_request: web.Request) -> web.Response:
    return _not_served()


def _options(request: web.Request) -> LogOptions:
    """What the API server passes on. Raises ValueError for what is no number."""

    def number(name: str) -> int | None:
        text = request.query.get(name, "")
        return int(text) if text else None

    def flag(name: str) -> bool:
        return request.query.get(name, "").lower() in ("true", "1")

    return LogOptions(
        follow=flag("follow"),
        previous=flag("previous"),
        tail_lines=number("tailLines"),
        since_seconds=number("sinceSeconds"),
        since_time=request.query.get("sinceTime", ""),
        timestamps=flag("timestamps"),
        limit_bytes=number("limitBytes"),
    )
