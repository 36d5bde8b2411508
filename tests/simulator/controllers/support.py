"""A control plane with the controllers under test, on the embedded API server, in virtual time."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.framework.manager import Manager
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock


class Plane:
    """What a test talks to."""

    def __init__(self):
        self.clock = LoopClock()
        self.server = ApiServer(clock=self.clock, random=Random(1))
        self.transport = in_process(self.server)
        self.client = Client(self.transport, clock=self.clock, random=Random(2))
        self.manager = Manager(in_process(self.server), clock=self.clock, random=Random(3))

    async def settle(self, seconds=5.0):
        """Let everything that is under way come to rest."""
        await self.clock.sleep(seconds)


@asynccontextmanager
async def plane(*controllers):
    """Runs `controllers`, each made by a function of (cache, client)."""
    world = Plane()
    for make in controllers:
        world.manager.add(make(world.manager.cache, world.manager.live))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(world.manager.run(stop))
        await world.settle()
        yield world
        stop.set()
