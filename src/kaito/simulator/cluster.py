"""An AKS cluster in a box: API server, its controllers, machines, ARM and the engine, together.

Works in virtual time over in-process doors, and in real time behind HTTPS doors: the cluster itself
opens no socket. Two clocks: `clock` for the API server and everything that talks to it, `world` for
what is slow in reality (cloud, machines, pods, engines), which may run faster.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Self, final

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ADMIN, ApiServer, ApiServerOptions, User
from kaito.framework.events import Event
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.clock import Clock
from kaito.kube.objects import ObjectKey, Record, Resource
from kaito.kube.resources import NODES, SERVICEACCOUNTS
from kaito.kube.transport import Transport
from kaito.simulator import system
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.machines import Machine
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.controllers import group as control_plane
from kaito.simulator.controllers.namespace import DEFAULT_ACCOUNT
from kaito.simulator.engine import Engine, EngineOptions
from kaito.simulator.nodes import group as nodes_group
from kaito.simulator.nodes.options import NodeOptions
from kaito.simulator.world import World

CONTROL_PLANE = User("system:kube-controller-manager", ("system:masters", "system:authenticated"))
NODE_AGENTS = User("system:nodes", ("system:masters", "system:authenticated"))
"""Who the cluster's own parts are to the API server."""

READY_SECONDS = 60.0
"""How long the cluster's own parts may take to come up; they need none of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    server: ApiServerOptions = field(
        default_factory=lambda: ApiServerOptions(demands_accounts=True)
    )
    arm: ArmOptions = field(default_factory=ArmOptions)
    nodes: NodeOptions = field(default_factory=NodeOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    system_node: bool = True
    """A node without GPUs from the start, so that a pod that needs none has a place."""
    machines: tuple[Machine, ...] = ()
    """More machines that are always there, beside those that the cloud is asked for."""
    ca_pem: str = ""
    """The certificate authority that pods are told to trust."""


@final
class Cluster:
    """`async with Cluster(...) as cluster`: everything runs until the context is left.

    If a part of it breaks, the body is cancelled and the failure raised.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        world: Clock | None = None,
        options: ClusterOptions | None = None,
        server: ApiServer | None = None,
    ) -> None:
        """`server`: one that exists already, instead of one made by `options.server`."""
        self.options = options or ClusterOptions()
        self.clock = clock
        self.world_clock = world or clock
        self._random = random
        self._stack = AsyncExitStack()
        self.server = server or ApiServer(
            clock=clock, random=self._seeded(), options=self.options.server
        )
        self.arm = ArmEndpoint(
            clock=self.world_clock, random=self._seeded(), options=self.options.arm
        )
        self.engine = Engine(self.world_clock, self.options.engine)
        self._agents = self._manager(NODE_AGENTS, "nodes", nodes_group.USER_AGENT)
        self.nodes = nodes_group.add_nodes(
            self._agents,
            self._machines(),
            self.engine,
            world=self.world_clock,
            options=self.options.nodes,
        )
        self._controllers = self._manager(CONTROL_PLANE, "control-plane", control_plane.USER_AGENT)
        control_plane.add_control_plane(self._controllers, ca_pem=self.options.ca_pem)
        self.world = World(self.arm, self.nodes, self.engine)
        self.server.kubelet = self.nodes.connector
        self.server.proxy = self.nodes.connector

    def transport(self, user: User = ADMIN) -> Transport:
        """An in-process door to the API server, as any user."""
        return in_process(self.server, user)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._running())
        try:
            await self._ready()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *error: object) -> bool | None:
        return await self._stack.__aexit__(*error)  # type: ignore[arg-type]  # as we were given it

    # ---- parts

    def _seeded(self) -> Random:
        return Random(self._random.getrandbits(64))

    def _manager(self, user: User, identity: str, user_agent: str) -> Manager:
        options = ManagerOptions(identity=identity, user_agent=user_agent, grace_seconds=0.0)
        return Manager(
            self.transport(user), clock=self.clock, random=self._seeded(), options=options
        )

    def _machines(self) -> system.WithMachines:
        always = [*self.options.machines]
        if self.options.system_node:
            now = self.world_clock.wall()
            always.append(system.system_machine(self.options.arm, self.options.nodes, now))
        return system.WithMachines(self.arm, always)

    # ---- running

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            for manager in (self._controllers, self._agents):
                group.create_task(manager.run(stop), name=manager.options.identity)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - the body's own; raised as it is below
                failure = error
            finally:
                stop.set()
        if failure is not None:
            raise failure

    async def _ready(self) -> None:
        """Wait until both groups are at work, pods have an account and the system node is Ready."""
        await self._controllers.cache.synced(READY_SECONDS)
        await self._agents.cache.synced(READY_SECONDS)
        account = ObjectKey("default", DEFAULT_ACCOUNT)
        await self._seen(self._controllers, SERVICEACCOUNTS, account, lambda _: True)
        if self.options.system_node:
            await self._seen(self._agents, NODES, ObjectKey("", system.NAME), _is_usable)

    async def _seen(
        self, by: Manager, resource: Resource, key: ObjectKey, holds: Callable[[Record], bool]
    ) -> None:
        """Wait until a group sees this object as it should be."""
        up = asyncio.Event()

        def see(event: Event) -> None:
            if event.record.key == key and holds(event.record):
                up.set()

        informer = by.cache.informer(resource)
        subscription = informer.subscribe(see, "cluster")
        try:
            async with asyncio.timeout(READY_SECONDS):
                await up.wait()
        finally:
            informer.unsubscribe(subscription)


def _is_usable(node: Record) -> bool:
    """Ready, and nothing keeps ordinary pods away."""
    conditions = node.get("status", "conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and not node.get("spec", "taints")
