"""A manager over the embedded API server, in virtual time."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.leader import LeaderOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.sources import for_object
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.errors import RequestTimeout, TransportError
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS

LEASE = LeaderOptions(namespace="default", name="widgets")


def configmap(name, **data):
    return {"metadata": {"namespace": "default", "name": name}, "data": data}


class World:
    """One API server and any number of managers."""

    def __init__(self):
        self.clock = LoopClock()
        self.server = ApiServer(clock=self.clock, random=Random(0))
        self.requests = []
        self.server.on_request = self.requests.append
        self.client = self.client_of(in_process(self.server))

    def client_of(self, transport):
        return Client(transport, clock=self.clock, random=Random(1), timeout=5)

    def manager(self, *, transport=None, seed=2, **options):
        return Manager(
            transport or in_process(self.server),
            clock=self.clock,
            random=Random(seed),
            options=ManagerOptions(**options),
        )

    async def configmaps(self, *names):
        for name in names:
            await self.client.create(CONFIGMAPS, configmap(name))


def controller(reconciler, name="configmaps", **options):
    """Reconciles ConfigMaps of namespace default."""
    source = for_object(CONFIGMAPS, namespaces=("default",))
    return Controller(name, reconciler, [source], ControllerOptions(**options))


@asynccontextmanager
async def running(*managers):
    """Run these; leaving stops them and waits. Yields their stop events."""
    async with asyncio.TaskGroup() as group:
        stops = [asyncio.Event() for _ in managers]
        for manager, stop in zip(managers, stops, strict=True):
            group.create_task(manager.run(stop))
        yield stops
        for stop in stops:
            stop.set()


def key(name):
    return ObjectKey("default", name)


class Cut:
    """A transport that can be cut: then nothing is answered, or only writes are lost."""

    def __init__(self, inner, clock):
        self.inner, self.clock, self.state = inner, clock, "up"

    async def send(self, request, *, timeout=None):
        if self.state == "refused":
            raise TransportError("connection refused", sent=False)
        if self.state == "silent":
            await self.clock.sleep(timeout or 1e9)
            raise RequestTimeout("no answer in time")
        if self.state == "answers lost":
            await self.inner.send(request, timeout=timeout)
            raise RequestTimeout("no answer in time")
        return await self.inner.send(request, timeout=timeout)

    def stream(self, request, *, idle_timeout=None):
        if self.state != "up":
            raise TransportError("connection refused", sent=False)
        return self.inner.stream(request, idle_timeout=idle_timeout)

    async def close(self):
        await self.inner.close()
