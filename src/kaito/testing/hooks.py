"""Webhooks of an operator under test, called in the process: in virtual time, without sockets."""

import ssl
from collections.abc import Callable
from typing import final
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry

from kaito.apiserver.server import ApiServer
from kaito.apiserver.webhookcalls import Endpoint
from kaito.framework.webhooks.server import WebhookServer
from kaito.kube.clock import Clock
from kaito.kube.transport import Response


@final
class _NoCertificates:
    """For a server that never listens."""

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def problem(self) -> str | None:
        return None

    async def run(self) -> None:
        """Nothing has to be kept up to date."""


@final
class _Caller:
    """An API server's way to a webhook server that is in the same process."""

    def __init__(self, server: WebhookServer) -> None:
        self._server = server

    async def post(self, endpoint: Endpoint, body: bytes) -> Response:
        url = urlsplit(endpoint.url)
        (timeout,) = parse_qs(url.query).get("timeout", [""])
        answer = await self._server.answer(url.path, body, timeout)
        headers = {"content-type": answer.content_type}
        return Response(status=answer.status, headers=headers, body=answer.body)


def connected(
    api: ApiServer, clock: Clock, register: Callable[[WebhookServer], None]
) -> WebhookServer:
    """A webhook server with what `register` puts on it; from now on that API server calls it."""
    server = WebhookServer(_NoCertificates(), clock=clock, registry=CollectorRegistry())
    register(server)
    api.webhooks = _Caller(server)
    return server
