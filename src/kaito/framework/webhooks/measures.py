"""What webhooks measure, under controller-runtime's names."""

from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX: Final = "controller_runtime"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Go's default ones, which controller-runtime uses here."""


@final
class WebhookMetrics:
    """Registered at once, so that a scrape shows zeros and not gaps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.latency: Final = Histogram(
            f"{_PREFIX}_webhook_latency_seconds",
            "Histogram of the latency of processing admission requests",
            ("webhook",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.requests: Final = Counter(
            f"{_PREFIX}_webhook_requests_total",
            "Total number of admission requests by HTTP status code.",
            ("webhook", "code"),
            registry=registry,
        )
        self.in_flight: Final = Gauge(
            f"{_PREFIX}_webhook_requests_in_flight",
            "Current number of admission requests being served.",
            ("webhook",),
            registry=registry,
        )
        self.panics: Final = Counter(
            f"{_PREFIX}_webhook_panics_total",
            "Total number of webhook panics",
            registry=registry,
        )
        self.conversion_panics: Final = Counter(
            f"{_PREFIX}_conversion_webhook_panics_total",
            "Total number of conversion webhook panics",
            registry=registry,
        )
        self.certificate_reads: Final = Counter(
            "certwatcher_read_certificate_total",
            "Total number of certificate reads",
            registry=registry,
        )
        self.certificate_errors: Final = Counter(
            "certwatcher_read_certificate_errors_total",
            "Total number of certificate read errors",
            registry=registry,
        )

    def expect(self, path: str) -> None:
        """Show a webhook before its first request."""
        self.latency.labels(path)
        self.in_flight.labels(path)
        for code in ("200", "500"):
            self.requests.labels(path, code)
