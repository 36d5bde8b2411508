"""A world for tests: an embedded API server, and a fake source of machines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.provisioner.cloud import Taint
from kaito.simulator.arm.machines import Machine
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import USER_AGENT, Nodes, add_nodes
from kaito.simulator.nodes.options import NodeOptions

A100 = "Standard_NC24ads_A100_v4"


class FakeMachines:
    """A machine source that tests switch on and off by hand."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self._machines: dict[str, Machine] = {}
        self._changed = asyncio.Event()

    def switch_on(
        self, name: str, *, vm_size: str = A100, joins: bool = True, **labels: str
    ) -> Machine:
        machine = Machine(
            name=name,
            pool=name,
            vm_size=vm_size,
            provider_id=f"azure:///simulated/{name}",
            region="westus3",
            resource_group="MC_test",
            image_version="AKSUbuntu-2204gen2containerd-202601.01.0",
            created_at=self._clock.wall(),
            labels={"node.kubernetes.io/instance-type": vm_size, **labels},
            taints=(Taint(key="sku", value="gpu", effect="NoSchedule"),),
            joins=joins,
        )
        self._machines[name] = machine
        self._tell()
        return machine

    def switch_off(self, name: str) -> None:
        del self._machines[name]
        self._tell()

    def current(self) -> tuple[Machine, ...]:
        return tuple(self._machines[name] for name in sorted(self._machines))

    async def changed(self, seen: tuple[Machine, ...]) -> tuple[Machine, ...]:
        while self.current() == seen:
            await self._changed.wait()
        return self.current()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class TestWorld:
    """What a test sees of it."""

    __test__ = False

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.server = ApiServer(clock=self.clock, random=Random(1))
        self.client = Client(
            in_process(self.server), clock=self.clock, random=Random(2), user_agent="test"
        )
        self.machines = FakeMachines(self.clock)
        self.engine = Engine(self.clock)
        self.nodes: Nodes

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
        deadline = self.clock.monotonic() + within
        key = ObjectKey("default" if resource.namespaced else "", name)
        seen: Record | None = None
        while self.clock.monotonic() < deadline:
            try:
                seen = await self.client.get(resource, key)
            except NotFound:
                seen = None
            if seen is not None and condition(seen):
                return seen
            await self.clock.sleep(0.25)
        raise AssertionError(f"{resource.kind} {name} did not get there: {seen and seen.json()}")

    async def gone(self, resource: Resource, name: str, *, within: float = 3600.0) -> None:
        """Wait until there is no such object."""
        key = ObjectKey("default" if resource.namespaced else "", name)
        deadline = self.clock.monotonic() + within
        while self.clock.monotonic() < deadline:
            try:
                await self.client.get(resource, key)
            except NotFound:
                return
            await self.clock.sleep(0.25)
        raise AssertionError(f"{resource.kind} {name} is still there")


@asynccontextmanager
async def world(
    add: Callable[[Manager], object] = lambda _manager: None,
    *,
    nodes: bool = True,
    options: NodeOptions | None = None,
) -> AsyncIterator[TestWorld]:
    """An API server with the nodes group, and whatever else `add` puts on the manager."""
    made = TestWorld()
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
