"""When a container's probes succeed or give up, computed instead of polled.

The engine knows when it will have loaded, so the tick of a probe at which its answer changes is
known in advance and only that tick is played. A container that is made ill in between is looked at
again, because whoever makes it ill says so.
"""

import math
from dataclasses import dataclass

from kaito.kube.objects import Json
from kaito.simulator.nodes.moment import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Defaults are the API's."""

    delay: float = 0.0
    period: float = 10.0
    failures: int = 3
    benchmark: bool = False
    path: str = ""

    def tick(self, start: float, not_before: float) -> float:
        """The first tick at or after `not_before` of a container started at `start`."""
        first = start + self.delay
        steps = max(0, math.ceil((not_before - first) / self.period - 1e-9))
        return first + steps * self.period

    def gives_up(self, since: float) -> float:
        """The tick of the last failure allowed, when it fails from `since` on."""
        return since + (self.failures - 1) * self.period


def probe_of(container: Json, name: str) -> Probe | None:
    """`name`: startupProbe, livenessProbe or readinessProbe."""
    spec = container.get(name)
    if spec is None:
        return None
    command = " ".join((spec.get("exec") or {}).get("command") or ())
    return Probe(
        delay=float(spec.get("initialDelaySeconds") or 0),
        period=float(spec.get("periodSeconds") or 10),
        failures=int(spec.get("failureThreshold") or 3),
        benchmark="benchmark_entrypoint" in command,
        path=(spec.get("httpGet") or {}).get("path") or "",
    )


def healthy_at(moment: Moment) -> float:
    """When the container begins to answer; never while it is ill."""
    if moment.around.engine.sick(moment.uid):
        return math.inf
    return moment.one.started_at + moment.around.engine.loading_seconds(moment.one.program)


def startup_at(moment: Moment) -> float:
    """When the startup probe succeeds; infinite when it gives up before."""
    probe = probe_of(moment.one.spec, "startupProbe")
    if probe is None:
        return moment.one.started_at
    healthy = healthy_at(moment)
    if math.isinf(healthy) or healthy > startup_fails_at(moment):
        return math.inf
    took = moment.around.engine.options.benchmark_seconds if probe.benchmark else 0.0
    return probe.tick(moment.one.started_at, healthy) + took


def startup_fails_at(moment: Moment) -> float:
    probe = probe_of(moment.one.spec, "startupProbe")
    if probe is None:
        return math.inf
    return probe.gives_up(moment.one.started_at + probe.delay)


def ready_at(moment: Moment) -> float:
    """When the readiness probe succeeds, given that the container has started up."""
    probe = probe_of(moment.one.spec, "readinessProbe")
    healthy = max(healthy_at(moment), moment.one.up_since)
    if probe is None or math.isinf(healthy):
        return healthy
    return probe.tick(moment.one.started_at, healthy)


def complaint(moment: Moment, kind: str, name: str) -> str:
    """What the Unhealthy event says."""
    probe = probe_of(moment.one.spec, name)
    status = moment.around.engine.sick(moment.uid) or 404
    if probe is None or not probe.path:
        return f"{kind} probe failed: the server does not answer yet"
    return f"{kind} probe failed: HTTP probe failed with statuscode: {status}"
