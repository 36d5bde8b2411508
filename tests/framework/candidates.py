"""Candidates for leadership over one API server, each with a network that can be cut."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

from prometheus_client import CollectorRegistry

from kaito.apiserver.door import in_process
from kaito.framework.elector import Elector, LeadershipLost
from kaito.framework.fence import Fence
from kaito.framework.leadership import elected_here
from kaito.framework.metrics import Metrics
from kaito.kube.resources import LEASES
from tests.framework.world import LEASE, Cut, key


class Candidate:
    """One elector with its own fence and, if wanted, its own idea of the time of day."""

    def __init__(self, world, name, *, skew=0, options=LEASE):
        class Skewed:
            monotonic, sleep = world.clock.monotonic, world.clock.sleep
            call_later = world.clock.call_later

            def wall(self):
                return world.clock.wall() + timedelta(seconds=skew)

        self.world, self.name = world, name
        self.cut = Cut(in_process(world.server), world.clock)
        self.fence = Fence(world.clock.monotonic)
        self.registry = CollectorRegistry()
        self.elector = Elector(
            self.cut,
            options,
            identity=name,
            fence=self.fence,
            clock=Skewed(),
            random=Random(name),
            metrics=Metrics(self.registry).leader("widgets"),
        )
        self.led_at = self.lost_at = self.lost = None
        self.crash = asyncio.Event()

    async def run(self):
        """Lead when elected, until told to stop or until the lease is lost."""
        try:
            async with elected_here(self.elector) as leading:
                await leading.wait()
                self.led_at = self.world.clock.monotonic()
                await asyncio.get_running_loop().create_future()
        except* LeadershipLost as group:
            self.lost_at, self.lost = self.world.clock.monotonic(), group.exceptions[0]

    def value(self, name):
        return self.registry.get_sample_value(name, {"name": "widgets"})


@asynccontextmanager
async def campaigning(*candidates):
    """Runs them; yields their tasks; cancels them at the end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(candidate.run()) for candidate in candidates]
        yield tasks
        for task in tasks:
            task.cancel()


async def lease_of(world):
    return (await world.client.get(LEASES, key("widgets"))).get("spec")


async def write_lease(world, **spec):
    metadata = {"namespace": "default", "name": "widgets"}
    await world.client.create(LEASES, {"metadata": metadata, "spec": spec})
