"""Certificates in files that somebody else renews: cert-manager, or a mounted Secret.

The kubelet replaces a mounted Secret by moving a link: files are compared by content, not watched.
"""

import ssl
from pathlib import Path
from typing import Final, final

import structlog

from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.kube.clock import Clock
from kaito.kube.servertls import load, server_context

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 10.0
"""controller-runtime's certwatcher looks as often."""


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
