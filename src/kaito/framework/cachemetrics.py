"""What the caches hold and what happens to them, read when somebody scrapes."""

from collections import Counter
from collections.abc import Iterator
from typing import final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kaito.framework.cache import Cache
from kaito.framework.informer import Informer
from kaito.kube.objects import Resource
from kaito.kube.versions import well_formed


@final
class CacheMetrics(Collector):
    """`count` is what caches and the consistent client report to; `cache` is set once it exists."""

    def __init__(self) -> None:
        self.cache: Cache | None = None
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, what: str, resource: Resource) -> None:
        self._counts[what, resource.group_resource] += 1

    def collect(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "cache_activity_total",
            "Lists, watches, live reads, failures and oddities, by kind of resource",
            labels=("what", "resource"),
        )
        for names, number in self._counts.items():
            events.add_metric(names, number)
        objects = GaugeMetricFamily("cache_objects", "Objects held", labels=("resource",))
        held = GaugeMetricFamily(
            "cache_bytes", "Bytes of JSON held, metadata not counted", labels=("resource",)
        )
        synced = GaugeMetricFamily(
            "cache_synced", "1 while the content is complete and followed", labels=("resource",)
        )
        backlog = GaugeMetricFamily(
            "cache_handler_backlog", "Events that handlers have yet to see", labels=("resource",)
        )
        staleness = GaugeMetricFamily(
            "cache_staleness_seconds",
            "Time since the API server last said anything of this kind, if only by a bookmark",
            labels=("resource",),
        )
        version = GaugeMetricFamily(
            "cache_resource_version", "The version that is applied", labels=("resource",)
        )
        for name, informers in self._by_resource().items():
            objects.add_metric((name,), sum(len(informer.store) for informer in informers))
            held.add_metric((name,), sum(informer.store.size() for informer in informers))
            synced.add_metric((name,), min(informer.store.synced for informer in informers))
            backlog.add_metric((name,), sum(informer.backlog for informer in informers))
            staleness.add_metric((name,), max(informer.staleness for informer in informers))
            versions = [informer.store.resource_version for informer in informers]
            if all(map(well_formed, versions)):
                version.add_metric((name,), min(map(int, versions)))
        yield from (events, objects, held, synced, backlog, staleness, version)

    def describe(self) -> Iterator[Metric]:
        return self.collect()

    def _by_resource(self) -> dict[str, list[Informer]]:
        found: dict[str, list[Informer]] = {}
        for informer in self.cache.informers() if self.cache else ():
            found.setdefault(informer.resource.group_resource, []).append(informer)
        return found
