"""A small HTTPS server on loopback, with a certificate authority of its own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from aiohttp import web

from kaito.kube.certificates import KeyPair, make_authority, sign_client, sign_server
from kaito.kube.servertls import load, server_context

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DAY = timedelta(days=1)
_OURS = "test-ca"


@cache
def _authority(name: str) -> KeyPair:
    return make_authority(name, datetime.now(UTC), _DAY)


def ca_pem(name: str = _OURS) -> str:
    """What trusts everything that the authority of that name signs."""
    return _authority(name).certificate.decode()


def client(name: str, folder: Path) -> tuple[Path, Path]:
    """The files of a client's certificate and key."""
    pair = sign_client(_authority(_OURS), name, (), datetime.now(UTC), _DAY)
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return cert, key


@asynccontextmanager
async def serve(handler: Handler, *, client_ca: bool = False) -> AsyncIterator[str]:
    """Serve every path with `handler`; gives the URL. Trust `ca_pem()` to reach it."""
    context = server_context(_authority(_OURS).certificate if client_ca else b"")
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    hosts = ("api.test", "localhost", "127.0.0.1")
    pair = sign_server(_authority(_OURS), hosts, datetime.now(UTC), _DAY)
    load(context, pair.certificate, pair.key)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    before = asyncio.all_tasks()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        yield f"https://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
        # Cleaning up cancels connections without waiting for their end.
        if left := asyncio.all_tasks() - before:
            await asyncio.wait(left, timeout=5)
