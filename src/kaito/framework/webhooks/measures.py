"""What webhooks measure, under controller-runtime's names."""

from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kaito.framework.workqueue import DURATION_BUCKETS

_PREFIX: Final = "controller_runtime"


@final
class WebhookMetrics:
    """Registered at once, so that a scrape shows zeros and not gaps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.latency: Final = Histogram(
            f"{_PREFIX}_webhook_latency_seconds",
            "Histogram of the latency of processing admission requests",
            ("webhook",),
            buckets=DURATION_BUCKETS,
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
