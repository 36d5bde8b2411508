"""What a control plane lacks to be a cluster: a cloud, machines, and the operator to be tested.

Cloud and machines live on a clock that runs fast; the wire and the operator on the real one.
"""

import asyncio
from random import Random

from kaito.app.operator import Surroundings, operator
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.client import Client
from kaito.kube.clock import ScaledClock, SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from kaito.provisioner.azure.cloud import AzureCloud
from kaito.settings import OperatorSettings
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.sdk import AnyCredential, azure_transport
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import USER_AGENT, add_nodes
from kaito.simulator.nodes.https import KubeletDoor
from kaito.simulator.nodes.options import NodeOptions
from kaito.testing.crashing import CrashingTransport, CrashPlan, crashing_handler

SPEED = 120.0
SYSTEM = "system"
"""The pool without GPUs that every cluster has."""


def settings(*, elect=True):
    return OperatorSettings(
        leader_elect=elect,
        metrics_address="0",
        probe_address="0",
        loop_lag_interval=0,
        freeze_after_sync=False,
        cloud_speed=SPEED,
    )


class Incarnation:
    """One life of the operator, with the rights of its ServiceAccount and no more."""

    def __init__(self, world, kubeconfig, *, plan=None, elect=True):
        self.plan = plan or CrashPlan()
        self._world = world
        self._kubeconfig = kubeconfig
        self._elect = elect
        self._stop = None
        self._life = world.thread.start(self._live())

    async def _live(self):
        self._stop = asyncio.Event()
        self._task = asyncio.current_task()
        clock, arm = self._world.clock, self._world.arm
        credentials = await load(str(self._kubeconfig), None, {}, clock=clock)
        transport = HttpsTransport(credentials)
        cloud = AzureCloud(
            subscription=arm.options.subscription,
            resource_group=arm.options.resource_group,
            cluster=arm.options.cluster,
            credential=AnyCredential(),
            clock=clock,
            random=Random(),
            transport=azure_transport(crashing_handler(arm.handle, self.plan)),
        )
        around = Surroundings(
            transport=CrashingTransport(transport, self.plan),
            clock=clock,
            random=Random(),
            cloud=cloud,
        )
        try:
            await operator(settings(elect=self._elect), around).run(self._stop)
        finally:
            await transport.close()

    def stop(self):
        """End it as SIGTERM does; whatever broke in its life is raised."""
        self._world.thread.tell(self._stop.set)
        self._life.result(120)

    def crash(self, seconds=120):
        """Wait for the moment that the plan names, and end it as SIGKILL does."""
        self._world.thread.call(self.plan.crashed.wait(), seconds)
        self._world.thread.call(self._kill())

    async def _kill(self):
        self._task.cancel()
        await asyncio.wait([self._task])


class World:
    """Runs on a thread from `start` to `stop`, with the rights of an administrator."""

    def __init__(self, thread, kubeconfig):
        self.thread = thread
        self.clock = SystemClock()
        self.scaled = ScaledClock(self.clock, SPEED)
        self.arm = ArmEndpoint(clock=self.scaled, random=Random(3))
        self.nodes = None
        self._kubeconfig = kubeconfig
        self._stop = None
        self._life = None

    def start(self):
        ready = self.thread.tell(asyncio.Event)
        self._life = self.thread.start(self._live(ready))
        self.thread.call(ready.wait())

    def stop(self):
        self.thread.tell(self._stop.set)
        self._life.result(120)

    async def _live(self, ready):
        self._stop = asyncio.Event()
        credentials = await load(str(self._kubeconfig), None, {}, clock=self.clock)
        transport = HttpsTransport(credentials)
        manager = Manager(
            transport,
            clock=self.clock,
            random=Random(6),
            options=ManagerOptions(user_agent=USER_AGENT, identity=USER_AGENT),
        )
        self.client = Client(transport, clock=self.clock, random=Random(7), user_agent="test")
        async with KubeletDoor(clock=self.clock) as door:
            self.nodes = add_nodes(
                manager,
                self.arm,
                Engine(self.scaled),
                world=self.scaled,
                options=NodeOptions(kubelet_address=door.host, kubelet_port=door.port),
            )
            door.kubelet = self.nodes.connector
            self.arm.add_pool(SYSTEM)
            ready.set()
            try:
                await manager.run(self._stop)
            finally:
                await transport.close()

    def pools(self):
        """Pools that are paid for beside the system's: name -> provisioning state."""
        states = self.thread.tell(self.arm.states)
        return {name: state for name, state in states.items() if name != SYSTEM}

    def until(self, resource, condition, *, namespace="", selector="", seconds=180):
        """Watch until some objects meet the condition together: a function of all there are."""
        return self.thread.call(
            self._until(resource, condition, namespace, selector, seconds), seconds + 5
        )

    async def _until(self, resource, condition, namespace, selector, seconds):
        where = {"namespace": namespace, "label_selector": selector}
        found = await self.client.list(resource, **where)
        seen = {record.key: record for record in found.items}
        async with asyncio.timeout(seconds):
            if condition(list(seen.values())):
                return list(seen.values())
            async with self.client.watch(
                resource,
                **where,
                resource_version=found.resource_version,
                timeout_seconds=int(seconds) + 5,
                idle_timeout=seconds + 5,
            ) as events:
                async for event in events:
                    if event.type == "DELETED":
                        seen.pop(event.record.key, None)
                    elif event.type in ("ADDED", "MODIFIED"):
                        seen[event.record.key] = event.record
                    if condition(list(seen.values())):
                        return list(seen.values())
        raise AssertionError(f"{resource.plural}: the watch ended before they got there")
