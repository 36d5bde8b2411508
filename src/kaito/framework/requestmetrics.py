"""What the requests of a process come to, under client-go's and controller-runtime's names."""

from typing import Final, final

from prometheus_client import CollectorRegistry, Counter, Histogram

DURATION_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds; those of Kubernetes' own components, which controller-runtime uses."""

# fmt: off
SIZE_BUCKETS: Final = (
    64.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0,
)
# fmt: on
"""Bytes; controller-runtime's, 64 B to 16 MiB."""


@final
class RequestMetrics:
    """See `kaito.kube.retrying.RequestMetrics`. May be told from any thread."""

    def __init__(self, registry: CollectorRegistry, *, details: bool = False) -> None:
        """`details`: also what controller-runtime shows on demand only. There is no
        `rest_client_rate_limiter_duration_seconds` because no request waits for a limiter here.
        """
        self._requests = Counter(
            "rest_client_requests_total",
            "Number of HTTP requests, partitioned by status code, method, and host.",
            ("code", "method", "host"),
            registry=registry,
        )
        self._details = _Details(registry) if details else None

    def request_done(self, code: str, method: str, host: str) -> None:
        self._requests.labels(code, method, host).inc()

    def request_retried(self, code: str, method: str, host: str) -> None:
        if self._details is not None:
            self._details.retries.labels(code, method, host).inc()

    def call_done(
        self, method: str, host: str, seconds: float, *, sent: int, received: int | None
    ) -> None:
        details = self._details
        if details is None:
            return
        details.seconds.labels(method, host).observe(seconds)
        details.sent.labels(method, host).observe(sent)
        if received is not None:
            details.received.labels(method, host).observe(received)

    def resolved(self, host: str, seconds: float) -> None:
        """A name was looked up."""
        if self._details is not None:
            self._details.lookups.labels(host).observe(seconds)


class _Details:
    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(
            name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...]
        ) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        each = ("verb", "host")
        self.seconds = histogram(
            "rest_client_request_duration_seconds",
            "Request latency in seconds. Broken down by verb and host.",
            DURATION_BUCKETS,
            each,
        )
        self.lookups = histogram(
            "rest_client_dns_resolution_duration_seconds",
            "DNS resolver latency in seconds. Broken down by host.",
            DURATION_BUCKETS,
            ("host",),
        )
        self.sent = histogram(
            "rest_client_request_size_bytes",
            "Request size in bytes. Broken down by verb and host.",
            SIZE_BUCKETS,
            each,
        )
        self.received = histogram(
            "rest_client_response_size_bytes",
            "Response size in bytes. Broken down by verb and host.",
            SIZE_BUCKETS,
            each,
        )
        self.retries = Counter(
            "rest_client_request_retries_total",
            "Number of request retries, partitioned by status code, verb, and host.",
            ("code", *each),
            registry=registry,
        )
