"""What a Workspace costs the API server, derived from the history of requests."""

from dataclasses import replace

import pytest

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


def spoken(requests, name):
    """The workspace controller's requests about one Workspace: its objects bear its name, and it
    alone creates claims."""
    return [
        r
        for r in requests
        if (name in r.path and r.resource != "pods")
        or (r.resource == "nodeclaims" and r.verb == "create")
        or r.resource == "secrets"
    ]


async def budget(here, name, states):
    """1 finalizer + 1 per child + 1 per distinct set of (type, status, reason) + 1 per Event."""
    events = [
        e
        for e in (await here.client.list(EVENTS)).items
        if (e.get("regarding") or {}).get("kind") == "Workspace"
    ]
    return 1 + CHILDREN[name] + SECRETS[name] + len(states) + len(events)


class States:
    """Every distinct set of (type, status, reason) that a Workspace's status went through."""

    def __init__(self):
        self.seen = set()

    def look(self, conditions):
        found = frozenset((c["type"], c["status"], c["reason"]) for c in conditions)
        if found:
            self.seen.add(found)


async def watched(here, obj):
    """Run to Ready, looking at the status after every virtual second."""
    states, name = States(), obj["metadata"]["name"]
    await here.apply(obj)
    for _ in range(7200):
        status = (await here.workspace(name)).get("status") or {}
        conditions = status.get("conditions") or []
        states.look(conditions)
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            break
        await here.clock.sleep(1)
    await here.clock.sleep(60)
    return states.seen


@pytest.mark.parametrize("obj", [inference(), seed()], ids=["inference", "tuning"])
async def test_the_budget_holds(obj):
    """Beyond the budget there are only messages that tell progress, at most one in 30 seconds."""
    async with world() as here:
        operator = here.operator()
        began = here.clock.monotonic()
        states = await watched(here, obj)
        name = obj["metadata"]["name"]
        sent = spoken(here.sent(agent="kaito"), name)
        allowed = await budget(here, name, states)
        messages = int((here.clock.monotonic() - began) / 30)

        assert len(sent) <= allowed + messages, "\n".join(map(str, sent))
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
    API server at most 13 requests of the workspace controller."""
    async with world(**AT_ONCE, settings=replace(SETTINGS, cloud_speed=1000.0)) as here:
        operator = here.operator()
        await watched(here, inference())

        sent = spoken(here.sent(agent="kaito"), "workspace-phi-4-mini")

        assert len(sent) <= 13, "\n".join(map(str, sent))
        await operator.stop()
