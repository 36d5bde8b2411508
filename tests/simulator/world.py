"""A world for tests: an embedded API server, and machines that it switches on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer, ApiServerOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import USER_AGENT, Nodes, add_nodes
from kaito.simulator.nodes.options import NodeOptions
from kaito.testing.waiting import Waiting
from tests.simulator.machines import GpuMachines

_PLAIN = ApiServerOptions()


class TestWorld:
    """What a test sees of it."""

    __test__ = False

    def __init__(self, options: ApiServerOptions) -> None:
        self.clock = LoopClock()
        self.server = ApiServer(clock=self.clock, random=Random(1), options=options)
        self.client = Client(
            in_process(self.server), clock=self.clock, random=Random(2), user_agent="test"
        )
        self.machines = GpuMachines(self.clock)
        self.engine = Engine(self.clock)
        self.nodes: Nodes
        self._waiting = Waiting(self.client)

    async def json(self, resource: Resource, name: str, namespace: str = "") -> Json:
        where = (namespace or "default") if resource.namespaced else ""
        return await self.client.get_json(resource, ObjectKey(where, name))

    async def until(
        self,
        resource: Resource,
        name: str,
        condition: Callable[[Record], bool],
        *,
        within: float = 3600.0,
    ) -> Record:
        """Wait in virtual time until the object meets the condition."""
        return await self._waiting.wait(resource, _key(resource, name), condition, seconds=within)

    async def gone(self, resource: Resource, name: str, *, within: float = 3600.0) -> None:
        """Wait until there is no such object."""
        await self._waiting.gone(resource, _key(resource, name), seconds=within)


def _key(resource: Resource, name: str) -> ObjectKey:
    return ObjectKey("default" if resource.namespaced else "", name)


@asynccontextmanager
async def world(
    add: Callable[[Manager], object] = lambda _manager: None,
    *,
    nodes: bool = True,
    options: NodeOptions | None = None,
    server: ApiServerOptions = _PLAIN,
) -> AsyncIterator[TestWorld]:
    """An API server with the nodes group, and whatever else `add` puts on the manager."""
    made = TestWorld(server)
    manager = Manager(
        in_process(made.server),
        clock=made.clock,
        random=Random(3),
        options=ManagerOptions(identity="world", user_agent=USER_AGENT),
    )
    if nodes:
        made.nodes = add_nodes(manager, made.machines, made.engine, options=options)
        made.server.kubelet = made.nodes.connector
        made.server.proxy = made.nodes.connector
    add(manager)
    async with running(manager.run):
        yield made


@asynccontextmanager
async def running(run: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    """Something that runs until told to stop, for the length of the context."""
    stop = asyncio.Event()

    async def whole() -> None:
        await run(stop)

    async with asyncio.TaskGroup() as group:
        group.create_task(whole())
        try:
            yield
        finally:
            stop.set()
