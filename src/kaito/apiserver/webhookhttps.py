"""Webhooks over the network. Apart from the seam, so that a server without any needs no aiohttp."""

import ssl
from collections.abc import Callable
from typing import Final, final

import aiohttp

from kaito.apiserver.webhookcalls import CallFailed, Endpoint
from kaito.kube.clienttls import client_context
from kaito.kube.transport import Response

Resolve = Callable[[str, str, int], tuple[str, int] | None]
"""Namespace, name and port of a Service -> host and port, or None where there is none."""


@final
class HttpsCaller:
    """Calls over the network, trusting each webhook's own bundle."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve

    async def post(self, endpoint: Endpoint, body: bytes) -> Response:
        """See `WebhookCaller`. A connection is made for each call and closed after it."""
        url, name = endpoint.url, None
        if endpoint.service is not None:
            place = self._resolve(*endpoint.service) if self._resolve is not None else None
            if place is None:
                raise CallFailed(f'service "{endpoint.service[1]}" not found')
            name = f"{endpoint.service[1]}.{endpoint.service[0]}.svc"
            rest = url.removeprefix(f"https://{name}:{endpoint.service[2]}")
            url = f"https://{place[0]}:{place[1]}{rest}"
        try:
            context = client_context(cadata=endpoint.ca_bundle.decode() or None)
            return await _send(url, body, context, name)
        except (aiohttp.ClientError, OSError, ssl.SSLError, UnicodeDecodeError) as error:
            raise CallFailed(_unreached(error)) from error


_EXPIRED: Final = (9, 10)
_ANOTHER_NAME: Final = (62, 64)
"""What OpenSSL calls these: X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED, _HOSTNAME_MISMATCH and
_IP_ADDRESS_MISMATCH."""


def _unreached(error: Exception) -> str:
    """Why there is no connection, in Go's words for what happens most."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: x509: {_untrusted(error)}"
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {error.host}: no such host"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return f"dial tcp {error.host}:{error.port}: connect: connection refused"
        case aiohttp.ServerDisconnectedError():
            return "EOF"
        case _:
            return str(error)


def _untrusted(error: aiohttp.ClientConnectorCertificateError) -> str:
    code = getattr(error.certificate_error, "verify_code", 0)
    if code in _EXPIRED:
        return "certificate has expired or is not yet valid"
    if code in _ANOTHER_NAME:
        return f"certificate is not valid for {error.host}"
    return "certificate signed by unknown authority"


async def _send(url: str, body: bytes, context: ssl.SSLContext, name: str | None) -> Response:
    headers = {"content-type": "application/json", "user-agent": "kube-apiserver-admission"}
    async with (
        aiohttp.ClientSession(auto_decompress=True) as session,
        session.post(
            url,
            data=body,
            headers=headers,
            ssl=context,
            server_hostname=name,
            allow_redirects=False,
        ) as answer,
    ):
        kind = {"content-type": answer.headers.get("content-type", "text/plain")}
        return Response(status=answer.status, headers=kind, body=await answer.read())
