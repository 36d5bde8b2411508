"""Certificates in files that somebody else renews: cert-manager, or a mounted Secret.

The kubelet replaces a mounted Secret by moving a link: files are compared by content, not watched.
"""

import os
import ssl
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

    The ssl module reads pairs from files alone; this one has no name and is in memory only, so it
    also works where every file system is read-only.
    """
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    _load(context, certificate, key)


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, certificate + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


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
