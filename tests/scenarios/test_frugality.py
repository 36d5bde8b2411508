"""What a Workspace costs the API server, derived from the history of requests."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from kaito.api.resources import WORKSPACES
from kaito.controllers.workspace.status import MESSAGE_INTERVAL
from kaito.kube.resources import EVENTS
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.engine import EngineOptions
from kaito.simulator.nodes.options import NodeOptions
from tests.scenarios.world import SETTINGS, inference, seed, world

CHILDREN = {
    "workspace-phi-4-mini": 5,
    "workspace-tuning-phi-3": 7,
}
"""NodeClaim, ControllerRevision, workload, Services; for tuning also ConfigMap and server."""

SECRETS = {"workspace-phi-4-mini": 0, "workspace-tuning-phi-3": 1}
"""One look at each Secret a Workspace names, before anything is paid for."""


class History:
    """What the workspace controller wrote about one Workspace, from the server's own history."""

    def __init__(self, here, name):
        self.name = name
        self._here = here
        self.versions = []
        """(time, set of (type, status, reason)) of every version that was stored."""

    async def follow(self):
        """Collects every version, by a watch, until cancelled."""
        watch = self._here.client.watch(WORKSPACES, timeout_seconds=100_000, idle_timeout=100_000)
        async with watch as events:
            async for event in events:
                if event.record is None or event.record.meta.name != self.name:
                    continue
                status = event.record.get("status") or {}
                states = frozenset(
                    (c["type"], c["status"], c["reason"]) for c in status.get("conditions") or ()
                )
                self.versions.append((self._here.clock.monotonic(), states))

    @property
    def changes(self):
        """Writes that brought a new set of (type, status, reason)."""
        sets = [states for _, states in self.versions]
        return sum(1 for one, two in pairwise([frozenset(), *sets]) if two and one != two)

    @property
    def repeated(self):
        """When the others were written: they only changed a message."""
        pairs = pairwise(self.versions)
        return [time for (_, one), (time, two) in pairs if one == two and one]

    async def events(self):
        found = (await self._here.client.list(EVENTS)).items
        return [e for e in found if (e.get("regarding") or {}).get("kind") == "Workspace"]

    async def sent(self):
        """Requests about this Workspace. The controller alone creates claims, reads Secrets."""
        events = await self.events()
        others = [
            r
            for r in self._here.sent(agent="kaito")
            if (self.name in r.path and r.resource != "pods")
            or (r.resource == "nodeclaims" and r.verb == "create")
            or r.resource == "secrets"
        ]
        return [*others, *events]


async def lived(here, obj):
    """Run to Ready and a minute on; the history of it."""
    history = History(here, obj["metadata"]["name"])
    following = here.tasks.create_task(history.follow())
    await here.apply(obj)
    await here.ready(history.name)
    await here.clock.sleep(60)
    following.cancel()
    await asyncio.wait([following])
    return history


@pytest.mark.parametrize("obj", [inference(), seed()], ids=["inference", "tuning"])
async def test_the_budget_holds(obj):
    """1 finalizer + 1 per child + 1 per Secret named + 1 per new set of (type, status, reason)
    + 1 per Event; beyond that only messages that tell progress, 30 seconds apart."""
    async with world() as here:
        operator = here.operator()
        history = await lived(here, obj)
        name = history.name

        sent, events = await history.sent(), await history.events()
        allowed = 1 + CHILDREN[name] + SECRETS[name] + history.changes + len(events)

        assert len(sent) == allowed + len(history.repeated), "\n".join(map(str, sent))
        gaps = [two - one for one, two in pairwise(history.repeated)]
        assert all(gap >= MESSAGE_INTERVAL for gap in gaps)
        await operator.stop()


AT_ONCE = {
    "arm": ArmOptions(boot_seconds=0, create_seconds=0, fail_seconds=0, delete_seconds=0, jitter=0),
    "nodes": NodeOptions(
        boot=0, ready=0, gpu=0, pull_overhead=0, pull_bytes_per_second=1e15, create=0
    ),
    "engine": EngineOptions(
        boot_seconds=0,
        download_bytes_per_second=1e15,
        load_bytes_per_second=1e15,
        warm_seconds=0,
        benchmark_seconds=0,
    ),
}
"""A world in which nothing takes time."""


async def test_at_most_13_requests_when_everything_is_ready_at_once():
    """Where machine and engine are there as soon as they are asked for, a Workspace costs the
    API server at most 13 requests of the workspace controller, its Events included."""
    async with world(**AT_ONCE, settings=replace(SETTINGS, cloud_speed=1000.0)) as here:
        operator = here.operator()
        history = await lived(here, inference())

        sent = await history.sent()

        assert len(sent) <= 13, "\n".join(map(str, sent))
        await operator.stop()
