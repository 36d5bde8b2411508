"""The `nodes` group, put together: everything that happens on machines, on one manager.

It is an ordinary client of whatever API server the manager talks to.
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import final

from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.sources import for_object, mapped
from kaito.kube.clock import Clock
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, NODES, PODS, SECRETS
from kaito.kube.transport import Transport
from kaito.simulator.arm.machines import MachineSource
from kaito.simulator.engine import Engine
from kaito.simulator.images import Registries
from kaito.simulator.network import Network
from kaito.simulator.nodes.connector import NodeConnector
from kaito.simulator.nodes.directory import (
    ADDRESS,
    NODE,
    CachedDirectory,
    node_names,
    pod_addresses,
)
from kaito.simulator.nodes.kubelet import Kubelets, Parts
from kaito.simulator.nodes.machines import Machines
from kaito.simulator.nodes.options import NodeOptions
from kaito.simulator.nodes.timing import WorldTime

USER_AGENT = "kaito-nodes"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The group's parts that others may touch."""

    kubelets: Kubelets
    machines: Machines
    network: Network
    registries: Registries
    connector: NodeConnector


def add_nodes(
    manager: Manager,
    machines: MachineSource,
    engine: Engine,
    *,
    world: Clock | None = None,
    options: NodeOptions | None = None,
    registries: Registries | None = None,
) -> Nodes:
    """Add the group's controllers to a manager that does not run yet.

    `world`: the clock on which machines and pods live; by default the manager's own.
    """
    options, registries = options or NodeOptions(), registries or Registries()
    clock = world or manager.clock
    time = WorldTime(clock, manager.clock)
    recorder = manager.recorder("kubelet")
    directory = CachedDirectory(manager.cache)
    network = Network(directory, engine)
    pods = manager.cache.informer(PODS, indexes={ADDRESS: pod_addresses, NODE: node_names}).store
    kubelets: Kubelets

    def lost(node: str) -> None:
        kubelets.lost(node)

    joiner = Machines(
        machines,
        client=manager.client,
        nodes=manager.cache.informer(NODES).store,
        recorder=recorder,
        time=time,
        clock=clock,
        wire=manager.clock,
        options=options,
        lost=lost,
    )
    kubelets = Kubelets(
        Parts(
            client=manager.client,
            recorder=recorder,
            pods=pods,
            secrets=manager.cache.informer(SECRETS).store,
            config_maps=manager.cache.informer(CONFIGMAPS).store,
            machines=joiner,
            engine=engine,
            network=network,
            registries=registries,
            clock=clock,
            time=time,
            options=options,
        )
    )
    _add_controllers(manager, joiner, kubelets, options)
    return Nodes(
        kubelets=kubelets,
        machines=joiner,
        network=network,
        registries=registries,
        connector=NodeConnector(pods, kubelets.logs, network, time),
    )


def _one_tenant(_key: ObjectKey) -> str:
    return ""


def _add_controllers(
    manager: Manager, machines: Machines, kubelets: Kubelets, options: NodeOptions
) -> None:
    limits = ControllerOptions(concurrency=options.concurrency, tenant=_one_tenant)
    nodes = Controller("machines", machines, [for_object(NODES)], limits)
    pods = Controller(
        "kubelet",
        kubelets,
        [
            for_object(
                PODS,
                predicate=kubelets.is_news,
                indexes={ADDRESS: pod_addresses, NODE: node_names},
            ),
            mapped(NODES, kubelets.pods_on),
            mapped(SECRETS, kubelets.readers_of),
            mapped(CONFIGMAPS, kubelets.readers_of),
        ],
        limits,
    )
    manager.add(nodes)
    manager.add(pods)
    machines.wake_with(nodes.enqueue)
    kubelets.wake_with(pods.enqueue)
    manager.add_runnable("machine source", machines.watch)
    manager.add_runnable("requests of containers", kubelets.run)


async def run_nodes(
    transport: Transport,
    machines: MachineSource,
    engine: Engine,
    *,
    clock: Clock,
    random: Random,
    stop: asyncio.Event,
    world: Clock | None = None,
    options: NodeOptions | None = None,
) -> None:
    """Run the group alone, beside any API server, until `stop` is set."""
    manager = Manager(
        transport,
        clock=clock,
        random=random,
        options=ManagerOptions(identity="kaito-nodes", user_agent=USER_AGENT),
    )
    add_nodes(manager, machines, engine, world=world, options=options)
    await manager.run(stop)
