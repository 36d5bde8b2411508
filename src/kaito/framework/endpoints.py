"""The HTTP endpoints of a process: `/metrics`, `/healthz` and `/readyz`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from kaito.framework.probes import Check, probe, probe_one

Handler = Callable[[web.Request], Awaitable[web.Response]]

Probes = Mapping[str, Mapping[str, Check]]
"""Checks by endpoint: `healthz`, `readyz`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Where the endpoints can be reached; empty where they are off."""

    metrics: str = ""
    health: str = ""


def parse_address(address: str) -> tuple[str | None, int]:
    """`:8080`, `127.0.0.1:0` or `[::1]:8080` as host (None: every interface) and port."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"{address!r} is not an address of the form host:port")
    return host.strip("[]") or None, int(port)


@asynccontextmanager
async def serving(
    *, metrics_address: str, health_address: str, registry: CollectorRegistry, probes: Probes
) -> AsyncIterator[Bound]:
    """Serve until left. An address of "" or "0" switches that endpoint off.

    Both may be the same address. Raises OSError when an address is in use.
    """
    wanted: dict[str, list[str]] = {}
    for what, address in (("metrics", metrics_address), ("health", health_address)):
        if address not in ("", "0"):
            wanted.setdefault(address, []).append(what)
    runners: list[web.AppRunner] = []
    bound: dict[str, str] = {}
    try:
        for address, parts in wanted.items():
            app = web.Application()
            if "metrics" in parts:
                app.router.add_get("/metrics", _metrics_handler(registry))
            if "health" in parts:
                _add_probes(app, probes)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            runners.append(runner)
            await runner.setup()
            host, port = parse_address(address)
            await web.TCPSite(runner, host, port).start()
            bound.update(dict.fromkeys(parts, where(runner)))
        yield Bound(**bound)
    finally:
        for runner in reversed(runners):
            await runner.cleanup()


def where(runner: web.AppRunner) -> str:
    """The first address it listens on, as `host:port`."""
    host, port = runner.addresses[0][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """What a scrape with that Accept header gets, and its content type."""
    encode, content_type = choose_encoder(accept)
    whole = ".0" if "openmetrics" in content_type else ""
    return encode(_AsGo(registry, whole=whole)), content_type


def _metrics_handler(registry: CollectorRegistry) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        body, content_type = exposition(registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return handle


def _add_probes(app: web.Application, probes: Probes) -> None:
    for endpoint, checks in probes.items():
        app.router.add_get(f"/{endpoint}", _probe_handler(endpoint, checks))
        app.router.add_get(f"/{endpoint}/{{name}}", _single_handler(checks))


def _probe_handler(endpoint: str, checks: Mapping[str, Check]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        status, text = probe(
            endpoint,
            checks,
            exclude=request.query.getall("exclude", []),
            verbose="verbose" in request.query,
        )
        return web.Response(status=status, text=text)

    return handle


def _single_handler(checks: Mapping[str, Check]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        status, text = probe_one(checks, request.match_info["name"])
        return web.Response(status=status, text=text)

    return handle


class _AsGo(Collector):
    """What Go's client would show: no `_created` series, which dashboards would count, and bounds
    of buckets as it writes them, `le="1"`; in OpenMetrics, `le="1.0"`.
    """

    def __init__(self, registry: CollectorRegistry, *, whole: str) -> None:
        self._registry = registry
        self._whole = whole

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                self._bounded(sample) if "le" in sample.labels else sample
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield metric

    def _bounded(self, sample: Sample) -> Sample:
        bound = sample.labels["le"].removesuffix(".0")
        if bound.isdigit():
            bound += self._whole
        return sample._replace(labels={**sample.labels, "le": bound})
