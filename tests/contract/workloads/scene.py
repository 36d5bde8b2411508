"""A namespace of some cluster, embedded or real, with simulated machines of its own.

On the embedded cluster everything runs in virtual time. On a real control plane only the machines
are simulated, on a clock two hundred times as fast; its own controllers do the rest.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from random import Random

from kaito.apiserver.server import ApiServerOptions
from kaito.kube.client import Client
from kaito.kube.clock import Clock, ScaledClock, SystemClock
from kaito.kube.credentials import load
from kaito.kube.errors import NotFound
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.resources import EVENTS, NAMESPACES, NODES, SERVICEACCOUNTS
from kaito.simulator.controllers.group import add_control_plane
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import run_nodes
from kaito.simulator.nodes.options import NodeOptions
from kaito.testing.waiting import Waiting
from tests.controlplane.controlplane import ControlPlane
from tests.simulator.machines import GpuMachines
from tests.simulator.pods import shell
from tests.simulator.world import running, world

SPEED = 200
PATIENCE = 120.0
"""Seconds of a real clock for anything to happen; a virtual one runs `SPEED` times as far."""
FAST = replace(NodeOptions(), boot=1.0, ready=1.0, gpu=1.0, pull_bytes_per_second=1e12)

Said = tuple[str, str, str, str]
"""(kind, type, reason, note) of an Event."""
_SUFFIX = re.compile(r"\b(w(?:-[b-z0-9]{6,10})?)-[a-z0-9]{5}\b")
_HASH = re.compile(r"\bw-[b-z0-9]{6,10}\b")


IDLE = "sleep 100000"


def is_usable(node: Record) -> bool:
    """Ready, its devices counted, and no taint but its own."""
    taints = [taint["key"] for taint in node.get("spec", "taints") or ()]
    return "nvidia.com/gpu" in node.get("status", "allocatable") and taints == ["sku"]


def status_is(**wanted: object) -> Callable[[Record], bool]:
    """A condition: these fields of the status have these values."""
    return lambda record: all(record.get("status", name) == v for name, v in wanted.items())


class Scene:
    """What a contract test sees, whichever server it runs on."""

    def __init__(
        self,
        client: Client,
        machines: GpuMachines,
        clock: Clock,
        namespace: str,
        patience: float = PATIENCE,
    ) -> None:
        self.patience = patience
        self.client = client
        self.machines = machines
        self.clock = clock
        self.namespace = namespace
        self._waiting = Waiting(client)

    def key(self, name: str) -> ObjectKey:
        return ObjectKey(self.namespace, name)

    def machine(self, name: str, **labels: str) -> str:
        """Switch a machine on that only this scene's pods are sent to."""
        full = f"{self.namespace}-{name}"
        self.machines.switch_on(full, scene=self.namespace, **labels)
        return full

    def template(self, script: str, *, gpus: int = 0, **spec: object) -> Json:
        resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
        return {
            "metadata": {"labels": {"app": "w"}},
            "spec": {
                "containers": [shell(script, resources=resources)],
                "nodeSelector": {"scene": self.namespace},
                "tolerations": [{"key": "sku", "operator": "Exists"}],
                **spec,
            },
        }

    async def create(self, resource: Resource, spec: Json, name: str = "w") -> Record:
        metadata = {"name": name, "namespace": self.namespace}
        return await self.client.create(resource, {"metadata": metadata, "spec": spec})

    async def until(
        self, resource: Resource, name: str, condition: Callable[[Record], bool]
    ) -> Record:
        key = self._key(resource, name)
        return await self._waiting.wait(resource, key, condition, seconds=self.patience)

    async def gone(self, resource: Resource, name: str) -> None:
        """Wait until there is no such object."""
        await self._waiting.gone(resource, self._key(resource, name), seconds=self.patience)

    def _key(self, resource: Resource, name: str) -> ObjectKey:
        return self.key(name) if resource.namespaced else ObjectKey("", name)

    async def names(self, resource: Resource) -> list[str]:
        found = await self.client.list(resource, namespace=self.namespace)
        return [record.meta.name for record in found.items]

    async def settled(self, resource: Resource, count: int) -> list[Record]:
        """Wait until so many objects are there."""
        found = await self._waiting.until(
            resource,
            lambda there: len(there) == count,
            namespace=self.namespace,
            seconds=self.patience,
        )
        return [found[key] for key in sorted(found)]

    async def passed(
        self, resource: Resource, made: Record, condition: Callable[[Record], bool]
    ) -> None:
        """Wait until it was so at some time since the object was made, however short."""
        patience = int(self.patience)
        async with self.client.watch(
            resource,
            namespace=self.namespace,
            field_selector=f"metadata.name={made.meta.name}",
            resource_version=made.meta.resource_version,
            timeout_seconds=patience,
            idle_timeout=patience,
        ) as events:
            async for event in events:
                if event.type == "MODIFIED" and event.record and condition(event.record):
                    return
        raise AssertionError(f"{resource.kind} {made.meta.name} was never so")

    async def told(self, *wanted: Said, alone: bool = True) -> None:
        """Wait until this is reported; `alone`: and nothing else with these reasons.

        Events are written behind what they tell of.
        """
        reasons = {reason for _, _, reason, _ in wanted}

        def is_told(there: dict[ObjectKey, Record]) -> bool:
            said = {_said(event) for event in there.values() if event.get("reason") in reasons}
            return said == set(wanted) or (not alone and said > set(wanted))

        await self._waiting.until(
            EVENTS,
            is_told,
            namespace=self.namespace,
            seconds=self.patience,
            what=f"not reported, or not alone: {wanted}",
        )


def _said(event: Record) -> Said:
    kind, type_, reason = event.get("regarding", "kind"), event.get("type"), event.get("reason")
    return kind, type_, reason, without_chance(event.get("note"))


def without_chance(text: str) -> str:
    """Names without what is drawn: `w-abcde` reads `w-*`, a template's hash `w-#`."""
    return _HASH.sub("w-#", _SUFFIX.sub(lambda m: f"{m[1]}-*", text))


@asynccontextmanager
async def embedded() -> AsyncIterator[Scene]:
    accounts = ApiServerOptions(demands_accounts=True)
    async with world(add_control_plane, options=FAST, server=accounts) as there:
        await there.clock.sleep(1)
        yield Scene(there.client, there.machines, there.clock, "default", patience=PATIENCE * SPEED)


@asynccontextmanager
async def real(plane: ControlPlane) -> AsyncIterator[Scene]:
    clock = SystemClock()
    fast = ScaledClock(clock, SPEED)
    namespace = f"t{Random().randrange(10**8):08d}"
    credentials = await load(str(plane.kubeconfig("admin")), None, {}, clock=clock)
    doors = [HttpsTransport(credentials), HttpsTransport(credentials)]
    client = Client(doors[0], clock=clock, random=Random(1), user_agent="contract")
    machines = GpuMachines(fast)
    try:
        await client.create(NAMESPACES, {"metadata": {"name": namespace}})
        scene = Scene(client, machines, clock, namespace)
        await scene.until(SERVICEACCOUNTS, "default", lambda _: True)
        engine = Engine(fast)

        async def run(stop: asyncio.Event) -> None:
            await run_nodes(
                doors[1],
                machines,
                engine,
                clock=clock,
                random=Random(2),
                stop=stop,
                world=fast,
                options=FAST,
            )

        async with running(run):
            yield scene
            for machine in machines.current():
                machines.switch_off(machine.name)
                await scene.gone(NODES, machine.name)
        for node in (await client.list(NODES)).items:
            # The next scene counts nodes: neither may those be left that no machine is behind.
            if node.meta.name.startswith(namespace):
                with suppress(NotFound):
                    await client.delete(NODES, node.key)
        await client.delete(NAMESPACES, ObjectKey("", namespace))
    finally:
        for door in doors:
            await door.close()
