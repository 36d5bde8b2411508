"""Certificates in files that somebody else renews: cert-manager, or a mounted Secret.

The kubelet replaces a mounted Secret by moving a link: files are compared by content, not watched.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import structlog

from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.kube.clock import Clock

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 10.0
"""controller-runtime's certwatcher looks as often."""


def server_context() -> ssl.SSLContext:
    """TLS 1.2 or newer for a server, without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
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


@final
class FileCertificates:
    """A certificate and its key in two files; a changed pair is served without a restart."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        clock: Clock,
        metrics: WebhookMetrics,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._paths = (certificate, key)
        self._clock = clock
        self._metrics = metrics
        self._poll = poll_seconds
        self._context = server_context()
        self._loaded: tuple[bytes, bytes] | None = None
        self._problem: str | None = "not read yet"

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def problem(self) -> str | None:
        """A pair that cannot be read any more is served on; only without any is there a problem."""
        return None if self._loaded is not None else self._problem

    async def run(self) -> None:
        """Read now, and again every `poll_seconds`."""
        while True:
            self.read()
            await self._clock.sleep(self._poll)

    def read(self) -> None:
        """Load the pair if it changed. What cannot be read is counted, and tried again."""
        self._metrics.certificate_reads.inc()
        try:
            certificate, key = (path.read_bytes() for path in self._paths)
            if (certificate, key) != self._loaded:
                load(self._context, certificate, key)
                self._loaded = (certificate, key)
                log.info("certificate loaded", file=str(self._paths[0]))
        except (OSError, ssl.SSLError) as error:
            # The message of an SSLError has no content of the files.
            self._metrics.certificate_errors.inc()
            self._problem = f"{self._paths[0]}: {error}"
            log.warning("certificate unreadable", file=str(self._paths[0]), error=str(error))
