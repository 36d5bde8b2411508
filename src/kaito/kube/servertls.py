"""TLS for a server whose certificate and key are bytes, and may change while it serves."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def server_context(client_ca: bytes = b"") -> ssl.SSLContext:
    """TLS 1.2 or newer for a server, without a certificate yet.

    With `client_ca` (PEM) clients are asked for a certificate that it signed, and may go without.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_ca.decode())
    return context


def load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Use a new pair (PEM) from the next handshake on. Raises ssl.SSLError and leaves the old one.

    The ssl module reads pairs from files alone. Where the system has files without a name (Linux)
    the key is in memory only, which also works where every file system is read-only; elsewhere it
    is in a file that its owner alone can read, for the moment of the reading. Raises OSError where
    neither can be had.
    """
    pair = certificate + b"\n" + key
    with _anonymous(pair) if hasattr(os, "memfd_create") else _momentary(pair) as path:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=_no_password)
        context.load_cert_chain(path, password=_no_password)


def _no_password() -> str:
    """An encrypted key is an error here; OpenSSL would ask the terminal, and wait."""
    return ""


@contextmanager
def _anonymous(content: bytes) -> Iterator[str]:
    """The path of a file in memory."""
    descriptor = os.memfd_create("certificate")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


@contextmanager
def _momentary(content: bytes) -> Iterator[str]:
    """The path of a file in a folder of its own (0700), both gone when left."""
    with tempfile.TemporaryDirectory(prefix="kaito-") as folder:
        path = Path(folder, "pair.pem")
        # mkstemp's mode, and never through a link.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield str(path)
