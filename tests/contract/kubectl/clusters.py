"""The two clusters on which sessions are played: the embedded one, and a real control plane.

Both have the same simulated machines, which live two hundred times as fast. The real one asks their
kubelets for logs through a port on loopback.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from kaito.apiserver.certificates import Authority
from kaito.apiserver.door import in_process
from kaito.apiserver.https import HttpsDoor, Tokens
from kaito.apiserver.server import ADMIN, ApiServer, ApiServerOptions, User
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.clock import ScaledClock, SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from kaito.kube.transport import Transport
from kaito.simulator.arm.machines import Machine
from kaito.simulator.controllers import group as control_plane
from kaito.simulator.engine import Engine
from kaito.simulator.nodes import group as nodes_group
from kaito.simulator.nodes.group import Nodes
from kaito.simulator.nodes.https import KubeletDoor
from kaito.simulator.nodes.options import NodeOptions
from tests.controlplane.controlplane import ControlPlane, Options
from tests.e2e.looping import LoopThread
from tests.simulator.machines import Switchboard
from tests.simulator.world import running

SPEED = 200
_PATIENCE = 180.0
"""Seconds for a cluster to come up, and to end."""
ALWAYS = "worker"
"""The machine that every session has."""
_OPTIONS = replace(
    NodeOptions(),
    pull_bytes_per_second=1e12,
    lease_every=300.0 * SPEED,
    kubelet_address="127.0.0.1",
)
_ADMIN = User("admin", ("system:masters", "system:authenticated"), "1")
_OPERATOR = User("operator", ("system:authenticated",), "2")


class _Machines(Switchboard):
    """Plain machines that sessions switch on and off."""

    def __init__(self, clock: ScaledClock) -> None:
        super().__init__()
        self._clock = clock

    def switch_on(self, name: str) -> None:
        self.add(
            Machine(
                name=name,
                pool=name,
                vm_size="Standard_D4s_v5",
                provider_id=f"azure:///simulated/{name}",
                region="westus3",
                resource_group="MC_test",
                image_version="1",
                created_at=self._clock.wall() - timedelta(hours=1),
                labels={"pool": name},
            )
        )


@dataclass
class Site:
    """A running cluster, seen from a session's thread."""

    embedded: bool
    home: Path
    """kubectl's home: it keeps what it discovers there."""
    thread: LoopThread
    machines: _Machines
    kubeconfig: Callable[[str], dict[str, Any]]

    def switch_on(self, *names: str) -> None:
        for name in names:
            self.thread.tell(self.machines.switch_on, name)

    def switch_off(self, *names: str) -> None:
        for name in names:
            self.thread.tell(self.machines.switch_off, name)

    def write_kubeconfig(self, path: Path, user: str, namespace: str) -> None:
        document = self.kubeconfig(user)
        document["contexts"][0]["context"]["namespace"] = namespace
        path.write_text(json.dumps(document))


@contextmanager
def embedded() -> Iterator[Site]:
    """The embedded API server behind HTTPS, with the embedded controllers."""
    with tempfile.TemporaryDirectory() as folder, LoopThread() as thread:
        state = Path(folder)
        with _living(thread, _embedded(state)) as (url, machines):

            def kubeconfig(user: str) -> dict[str, Any]:
                cluster = {"server": url, "certificate-authority": str(state / "ca.pem")}
                return {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "here", "cluster": cluster}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
                    "users": [{"name": user, "user": {"token": user}}],
                }

            yield Site(True, state, thread, machines, kubeconfig)


@contextmanager
def real(programs: Path) -> Iterator[Site]:
    """A real control plane, with the simulated machines alone."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ControlPlane(programs, Path(folder), Options(accounts=True)) as plane,
        LoopThread() as thread,
        _living(thread, _real(plane)) as (_, machines),
    ):
        yield Site(
            False,
            Path(folder),
            thread,
            machines,
            lambda user: json.loads(plane.kubeconfig(user).read_text()),
        )


Living = tuple[str, _Machines]


@contextmanager
def _living(thread: LoopThread, life: AbstractAsyncContextManager[Living]) -> Iterator[Living]:
    """Live on the thread for the time of the block."""
    entered: Future[Living] = Future()
    left = thread.tell(asyncio.Event)

    async def live() -> None:
        try:
            async with life as there:
                entered.set_result(there)
                await left.wait()
        except BaseException as error:
            if not entered.done():
                entered.set_exception(error)
            raise

    whole = thread.start(live())
    try:
        yield entered.result(_PATIENCE)
    finally:
        thread.tell(left.set)
        whole.result(_PATIENCE)


@asynccontextmanager
async def _embedded(state: Path) -> AsyncIterator[Living]:
    clock = SystemClock()
    accounts = ApiServerOptions(demands_accounts=True)
    server = ApiServer(clock=clock, random=Random(1), options=accounts)
    authority = Authority(clock)
    (state / "ca.pem").write_bytes(authority.pem)
    users = Tokens({"admin": _ADMIN, "operator": _OPERATOR})
    controllers = _manager(in_process(server, ADMIN), control_plane.USER_AGENT)
    control_plane.add_control_plane(controllers, ca_pem=authority.pem.decode())

    def connect(nodes: Nodes) -> None:
        server.kubelet = server.proxy = nodes.connector

    async with (
        HttpsDoor(server, authority=authority, authenticator=users) as door,
        running(controllers.run),
        _nodes(in_process(server, ADMIN), _OPTIONS, connect) as machines,
    ):
        await controllers.cache.synced(_PATIENCE)
        yield door.url, machines


@asynccontextmanager
async def _real(plane: ControlPlane) -> AsyncIterator[Living]:
    clock = SystemClock()
    transport = HttpsTransport(await load(str(plane.kubeconfig("admin")), None, {}, clock=clock))
    try:
        async with KubeletDoor(clock=clock) as door:

            def connect(nodes: Nodes) -> None:
                door.kubelet = nodes.connector

            options = replace(_OPTIONS, kubelet_port=door.port)
            async with _nodes(transport, options, connect) as machines:
                yield plane.url, machines
    finally:
        await transport.close()


@asynccontextmanager
async def _nodes(
    transport: Transport, options: NodeOptions, connect: Callable[[Nodes], None]
) -> AsyncIterator[_Machines]:
    """The machines and their kubelets."""
    world = ScaledClock(SystemClock(), SPEED)
    machines = _Machines(world)
    manager = _manager(transport, nodes_group.USER_AGENT)
    made = nodes_group.add_nodes(manager, machines, Engine(world), world=world, options=options)
    connect(made)
    machines.switch_on(ALWAYS)
    async with running(manager.run):
        await manager.cache.synced(_PATIENCE)
        yield machines


def _manager(transport: Transport, name: str) -> Manager:
    options = ManagerOptions(identity=name, user_agent=name, grace_seconds=0.0)
    return Manager(transport, clock=SystemClock(), random=Random(2), options=options)
