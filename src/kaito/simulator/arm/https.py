"""The door with a lock: the endpoint over HTTPS on loopback, for the SDK as it ships."""

import ipaddress
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final, Self, final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kaito.kube.clock import Clock
from kaito.kube.transport import Request
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.faults import ConnectionLost

_VALID: Final = timedelta(days=30)
_GRACE: Final = 0.5
"""Seconds that requests under way get when the door closes."""


@final
class HttpsArm:
    """Serves while entered; `url` and `ca_pem` are what a client needs.

    The certificate is born with the door and dies with it; nothing secret is left on disk.
    """

    def __init__(
        self, endpoint: ArmEndpoint, *, clock: Clock, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.ca_pem, self._key_pem = _certificate(host, clock)
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
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls())
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"https://{self._host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory() as folder:
            chain = Path(folder, "tls.pem")
            chain.touch(mode=0o600)
            chain.write_bytes(self._key_pem + self.ca_pem)
            context.load_cert_chain(chain)
        return context

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


def _certificate(host: str, clock: Clock) -> tuple[bytes, bytes]:
    """A certificate for one address, its own authority, and its key; both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "embedded Azure Resource Manager")])
    address: x509.GeneralName
    try:
        address = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        address = x509.DNSName(host)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = clock.wall()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .add_extension(_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
