"""What the machinery measures, under the names that controller-runtime gave it.

Dashboards and alerts made for controller-runtime work unchanged: the names, texts, labels and
buckets of `controller_runtime_*`, `workqueue_*`, `leader_election_*`, `rest_client_*` and
`process_*` are its own. One `Metrics` per registry, one registry per manager; nothing here is
global to the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kaito.framework.buckets import Buckets
from kaito.framework.requestmetrics import RequestMetrics
from kaito.framework.workqueue import WorkQueue

Outcome = Literal["success", "error", "requeue", "requeue_after"]
OUTCOMES: tuple[Outcome, ...] = ("error", "requeue_after", "requeue", "success")

# fmt: off
RECONCILE_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
    1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0,
    25.0, 30.0, 40.0, 50.0, 60.0,
)
"""controller-runtime's, 5 ms to a minute."""
# fmt: on

GENERATIONS = ("0", "1", "2")

LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

MOST_PRIORITIES = 25
TOO_MANY_PRIORITIES = "exceeded_cardinality_limit"
"""Both as controller-runtime limits the series of `workqueue_depth`."""

_PREFIX = "controller_runtime"

_COUNTERS = {
    "errors": (
        f"{_PREFIX}_reconcile_errors_total",
        "Total number of reconciliation errors per controller",
    ),
    "terminal_errors": (
        f"{_PREFIX}_terminal_reconcile_errors_total",
        "Total number of terminal reconciliation errors per controller",
    ),
    "panics": (
        f"{_PREFIX}_reconcile_panics_total",
        "Total number of reconciliation panics per controller",
    ),
    "timeouts": (
        f"{_PREFIX}_reconcile_timeouts_total",
        "Total number of reconciliation timeouts per controller",
    ),
    "blocked": (
        "event_loop_blocked_total",
        "Steps of reconciles that kept the event loop to themselves for over 100 ms",
    ),
}

_GAUGES = {
    "workers": (
        f"{_PREFIX}_max_concurrent_reconciles",
        "Maximum number of concurrent reconciles per controller",
    ),
    "active": (
        f"{_PREFIX}_active_workers",
        "Number of currently used workers per controller",
    ),
}

_Family = CounterMetricFamily | GaugeMetricFamily


@final
class ControllerMetrics:
    """What the runs of one controller came to. Plain numbers: they change with every run."""

    __slots__ = (
        "active",
        "blocked",
        "errors",
        "panics",
        "results",
        "seconds",
        "terminal_errors",
        "timeouts",
        "workers",
    )

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.active = 0
        self.results: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.errors = 0
        self.terminal_errors = 0
        self.panics = 0
        self.timeouts = 0
        self.blocked = 0
        self.seconds = Buckets(RECONCILE_BUCKETS)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderMetrics:
    """The metrics of one lease, labels bound."""

    master: Gauge
    slowpath: Counter
    requests: RequestMetrics


@final
class Metrics:
    """Registers everything at once, so that a scrape shows zeros and not gaps."""

    def __init__(self, registry: CollectorRegistry, *, request_details: bool = False) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        self._queues = _QueueCollector()
        self._runs = _RunCollector()
        registry.register(self._queues)
        registry.register(self._runs)

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(name, text, labels, registry=registry)

        self.loop_lag = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop ran a timer",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        collections = Histogram(
            "garbage_collection_pause_seconds",
            "How long the garbage collector stopped everything, by generation",
            ("generation",),
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._collections = [collections.labels(generation) for generation in GENERATIONS]
        self._leader = Gauge(
            "leader_election_master_status",
            "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup,"
            " 1 indicates master. 'name' is the string used to identify the lease. Please make sure"
            " to group by name.",
            ("name",),
            registry=registry,
        )
        self._slowpath = counter(
            "leader_election_slowpath_total",
            "Total number of slow path exercised in renewing leader leases. 'name' is the string"
            " used to identify the lease. Please make sure to group by name.",
            ("name",),
        )
        self.requests = RequestMetrics(registry, details=request_details)
        self._events = counter(
            "event_recorder_dropped_total",
            "Events that were not written, by reason: full, spam, refused or failed",
            ("reason",),
        )

    def controller(self, name: str, workers: int) -> ControllerMetrics:
        """Export one controller's numbers, all at zero."""
        return self._runs.add(name, ControllerMetrics(workers))

    def queue(self, queue: WorkQueue[Any]) -> None:
        """Export a queue; its name is also its controller's."""
        self._queues.add(queue)

    def leader(self, name: str) -> LeaderMetrics:
        """Bind one lease's metrics."""
        return LeaderMetrics(
            master=self._leader.labels(name),
            slowpath=self._slowpath.labels(name),
            requests=self.requests,
        )

    def collection_took(self, generation: int, seconds: float) -> None:
        """A garbage collection that stopped everything for so long."""
        self._collections[min(generation, len(self._collections) - 1)].observe(seconds)

    def event_dropped(self, reason: str) -> None:
        self._events.labels(reason).inc()


class _QueueCollector(Collector):
    """Reads the queues when somebody scrapes, so that working through them costs no locks."""

    def __init__(self) -> None:
        self._queues: list[_Depths] = []

    def add(self, queue: WorkQueue[Any]) -> None:
        self._queues.append(_Depths(queue))

    def collect(self) -> Iterator[Metric]:
        labels = ("name", "controller")
        depth = GaugeMetricFamily(
            "workqueue_depth",
            "Current depth of workqueue by workqueue and priority",
            labels=(*labels, "priority"),
        )
        adds = CounterMetricFamily(
            "workqueue_adds_total", "Total number of adds handled by workqueue", labels=labels
        )
        waited = HistogramMetricFamily(
            "workqueue_queue_duration_seconds",
            "How long in seconds an item stays in workqueue before being requested",
            labels=labels,
        )
        worked = HistogramMetricFamily(
            "workqueue_work_duration_seconds",
            "How long in seconds processing an item from workqueue takes.",
            labels=labels,
        )
        unfinished = GaugeMetricFamily(
            "workqueue_unfinished_work_seconds",
            "How many seconds of work has been done that is in progress and hasn't been observed"
            " by work_duration. Large values indicate stuck threads. One can deduce the number of"
            " stuck threads by observing the rate at which this increases.",
            labels=labels,
        )
        longest = GaugeMetricFamily(
            "workqueue_longest_running_processor_seconds",
            "How many seconds has the longest running processor for workqueue been running.",
            labels=labels,
        )
        retries = CounterMetricFamily(
            "workqueue_retries_total",
            "Total number of items added to the workqueue with a non-zero delay (rate-limited"
            " requeues, explicit RequeueAfter or AddAfter calls)",
            labels=labels,
        )
        parked = GaugeMetricFamily(
            "workqueue_parked", "Keys that wait for the cache to see their writes", labels=labels
        )
        for depths in self._queues:
            queue = depths.queue
            names = (queue.name, queue.name)
            for priority, number in depths.shown().items():
                depth.add_metric((*names, priority), number)
            adds.add_metric(names, queue.stats.adds)
            _add_buckets(waited, names, queue.stats.wait)
            _add_buckets(worked, names, queue.stats.work)
            unfinished.add_metric(names, queue.unfinished())
            longest.add_metric(names, queue.longest())
            retries.add_metric(names, queue.stats.retries)
            parked.add_metric(names, queue.parked)
        yield from (depth, adds, waited, worked, unfinished, longest, retries, parked)

    def describe(self) -> Iterator[Metric]:
        return self.collect()


class _Depths:
    """The depths of one queue by priority; a priority that was seen once stays, at zero."""

    def __init__(self, queue: WorkQueue[Any]) -> None:
        self.queue = queue
        self._seen: set[int] = {0}

    def shown(self) -> dict[str, int]:
        """By label. Who uses priorities without bounds gets one series for all of them."""
        depths = self.queue.depths()
        if len(self._seen) <= MOST_PRIORITIES:
            self._seen.update(depths)
        if len(self._seen) > MOST_PRIORITIES:
            return {TOO_MANY_PRIORITIES: sum(depths.values())}
        return {str(priority): depths.get(priority, 0) for priority in sorted(self._seen)}


class _RunCollector(Collector):
    """What the runs of each controller came to."""

    def __init__(self) -> None:
        self._controllers: dict[str, ControllerMetrics] = {}

    def add(self, name: str, metrics: ControllerMetrics) -> ControllerMetrics:
        self._controllers[name] = metrics
        return metrics

    def collect(self) -> Iterator[Metric]:
        total = CounterMetricFamily(
            f"{_PREFIX}_reconcile_total",
            "Total number of reconciliations per controller",
            labels=("controller", "result"),
        )
        seconds = HistogramMetricFamily(
            f"{_PREFIX}_reconcile_time_seconds",
            "Length of time per reconciliation per controller",
            labels=("controller",),
        )
        for name, metrics in self._controllers.items():
            for outcome, number in metrics.results.items():
                total.add_metric((name, outcome), number)
            _add_buckets(seconds, (name,), metrics.seconds)
        yield from (total, seconds)
        for field, (metric, text) in _COUNTERS.items():
            yield self._fill(CounterMetricFamily(metric, text, labels=("controller",)), field)
        for field, (metric, text) in _GAUGES.items():
            yield self._fill(GaugeMetricFamily(metric, text, labels=("controller",)), field)

    def describe(self) -> Iterator[Metric]:
        return self.collect()

    def _fill(self, family: _Family, field: str) -> _Family:
        for name, metrics in self._controllers.items():
            family.add_metric((name,), getattr(metrics, field))
        return family


def _add_buckets(family: HistogramMetricFamily, labels: tuple[str, ...], buckets: Buckets) -> None:
    family.add_metric(
        labels,
        [(_bound(bound), count) for bound, count in buckets.cumulative()],
        sum_value=buckets.total,
    )


def _bound(value: float) -> str:
    """As Go prints a float: `1e-08`, `0.001`, `10`, `+Inf`."""
    return "+Inf" if value == float("inf") else repr(value).removesuffix(".0")
