"""The endpoint over HTTPS on loopback, for the SDK as it ships."""

from typing import Final, Self, final

from aiohttp import web

from kaito.apiserver.certificates import Authority
from kaito.kube.clock import Clock
from kaito.kube.transport import Request
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.faults import ConnectionLost

_GRACE: Final = 0.5
"""Seconds that requests under way get when the door closes."""


@final
class HttpsArm:
    """Serves while entered; `url` and `ca_pem` are what a client needs.

    The certificate is born with the door and dies with it.
    """

    def __init__(
        self, endpoint: ArmEndpoint, *, clock: Clock, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        authority = Authority(clock)
        self.ca_pem = authority.pem
        self._tls = authority.context([host])
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=1 << 20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=_GRACE,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"https://{self._host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self._endpoint.handle(
                Request(
                    method=request.method,
                    path=request.path,
                    query=tuple(request.query.items()),
                    headers={name.lower(): value for name, value in request.headers.items()},
                    body=await request.read(),
                )
            )
        except ConnectionLost:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(
            status=response.status, headers=dict(response.headers), body=response.body or None
        )
