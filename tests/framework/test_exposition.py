"""Our metrics beside those that controller-runtime was recorded with."""

import asyncio
import json
from random import Random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kaito.framework.controller import Controller
from kaito.framework.endpoints import exposition
from kaito.framework.leader import LeaderOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.metrics import _Depths
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.framework.workqueue import WorkQueue
from kaito.kube.clock import LoopClock
from kaito.kube.resources import CONFIGMAPS
from kaito.testing.faults import Which
from kaito.testing.operating import operating
from tests.framework.exposition.record import RECORDED
from tests.framework.lab import settings

RECORDING = json.loads(RECORDED.read_text(encoding="utf-8"))
NO_LIMITER = "rest_client_rate_limiter_duration_seconds"
"""The one that is left out on purpose: nothing here limits requests."""


class Once:
    def __init__(self):
        self.ran = asyncio.Event()

    async def reconcile(self, key):
        self.ran.set()
        return Done()


def shown(registry):
    """By name: type, help, label sets (hosts masked) and, for histograms, bounds."""
    body, _ = exposition(registry)
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels, bounds = [], {}
        for sample in family.samples:
            mine = dict(sample.labels)
            bound = mine.pop("le", None)
            if bound is not None and bound != "+Inf":
                bounds.setdefault(masked(mine), []).append(float(bound))
            labels.append(masked(mine))
        found[name] = (family.type, family.documentation, set(labels), list(bounds.values()))
    return found


def masked(labels):
    return frozenset({**labels, **({"host": ""} if "host" in labels else {})}.items())


async def exposed(api, *, work):
    """What a manager with one controller, webhooks and an election exports."""
    reconciler = Once()

    def make(transport):
        leader = LeaderOptions(namespace="default", name="lease")
        options = ManagerOptions(leader=leader, request_details=True)
        manager = Manager(transport, clock=api.clock, random=Random(1), options=options)
        manager.add(Controller("widgets", reconciler, [for_object(CONFIGMAPS)]))
        WebhookMetrics(manager.registry).expect("/validate")
        return manager

    if not work:
        return shown(make(api.transport()).registry)
    await api.client.create(CONFIGMAPS, settings("a"))
    async with operating(make, api.transport) as operator:
        await reconciler.ran.wait()
        api.faults.refuse(429, Which(path="configmaps"), retry_after=1)
        await operator.manager.live.list(CONFIGMAPS)
        operator.manager.metrics.requests.resolved("localhost", 0.001)
        return shown(operator.manager.registry)


@pytest.mark.parametrize("stage", ["born", "worked"])
async def test_everything_that_controller_runtime_exports_is_exported_alike(embedded_api, stage):
    """Name, type, help, labels, the series that exist before any work, and exact buckets."""
    async with embedded_api() as api:
        ours = await exposed(api, work=stage == "worked")
    theirs = RECORDING[stage]
    assert set(theirs) - set(ours) <= {NO_LIMITER}
    for name, family in theirs.items():
        if name == NO_LIMITER:
            continue
        kind, text, labels, bounds = ours[name]
        assert (kind, text) == (family["type"], family["help"]), name
        if not name.startswith("rest_client"):
            assert {masked(series["labels"]) for series in family["series"]} <= labels, name
        expected = {frozenset(series["labels"]) for series in family["series"]}
        assert {frozenset(name for name, _ in each) for each in labels} == expected, name
        for found in bounds:
            assert found == family["series"][0]["buckets"], name
        assert bool(bounds) == ("buckets" in family["series"][0]), name


async def test_a_priority_that_was_seen_stays_and_too_many_are_one_series():
    """A depth that falls to zero is a zero, not a gap; labels stay bounded, at 25 as in Go."""
    queue = WorkQueue("widgets", clock=LoopClock())
    depths = _Depths(queue)
    queue.add("a", priority=-100)
    assert depths.shown() == {"-100": 1, "0": 0}
    await queue.get()
    queue.done("a")
    assert depths.shown() == {"-100": 0, "0": 0}
    for number in range(1, 24):
        queue.add(number, priority=number)
    assert len(depths.shown()) == 25
    queue.add(24, priority=24)
    assert depths.shown() == {"exceeded_cardinality_limit": 24}


@pytest.mark.parametrize(
    ("accept", "bound"), [("", '"1"'), ("application/openmetrics-text;version=1.0.0", '"1.0"')]
)
async def test_bounds_are_written_as_gos_client_writes_them(embedded_api, accept, bound):
    """`le="1"` is another series than `le="1.0"`: each format has its own."""
    async with embedded_api() as api:
        manager = api.manager(api.transport())
        manager.metrics.controller("widgets", 1)
        body, _ = exposition(manager.registry, accept)
    lines = [line for line in body.decode().splitlines() if "_bucket" in line]
    ones = {line.split("le=")[1].split("}")[0] for line in lines}
    assert ones & {'"1"', '"1.0"'} == {bound}
