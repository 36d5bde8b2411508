"""The node provisioner on a whole world: API server, Azure, and machines that join, all in this
process and in virtual time. The operator can be cut off and started again; the world stays.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import yaml

from kaito.api.resources import NODECLAIMS
from kaito.apiserver.door import in_process
from kaito.apiserver.server import ADMIN, ApiServer, RequestInfo, User
from kaito.controllers.nodeclaim.controller import nodeclaim_controllers
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.framework.manager import Manager
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock, rfc3339
from kaito.kube.errors import AlreadyExists, NotFound
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import CRDS, EVENTS, NODES, PODS
from kaito.kube.transport import Request, Response, Stream, Transport
from kaito.provisioner.azure.cloud import AzureCloud
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.machines import Machine
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.arm.sdk import AnyCredential, azure_transport
from kaito.testing.crashing import CrashingTransport, CrashPlan, When, crashing_handler

A100 = "Standard_NC24ads_A100_v4"
JOIN, READY, GPU = 30.0, 20.0, 40.0
"""Seconds from power-on to the Node, from there to Ready, and from there to its GPUs."""

INVALID = b'{"kind":"Status","code":422,"reason":"Invalid","message":"spec is invalid"}'

Write = tuple[str, str]
"""Verb and what: `("PATCH", "/apis/.../nodeclaims/ws1")` or `("PUT", ".../agentPools/ws1")`."""


def claim(name: str = "ws1", **spec: Any) -> Json:
    """As the workspace controller makes them."""
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "labels": {
                "kaito.sh/workspace": "phi",
                "kaito.sh/workspacenamespace": "default",
                "karpenter.sh/nodepool": "kaito",
            },
            "annotations": {"kaito.sh/node-image-family": "ubuntu"},
        },
        "spec": {
            "expireAfter": "Never",
            "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
            "requirements": [
                {"key": "karpenter.sh/nodepool", "operator": "In", "values": ["kaito"]},
                {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [A100]},
            ],
            "resources": {"requests": {"storage": "120Gi"}},
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            **spec,
        },
    }


def _counts(write: str) -> bool:
    return not write.endswith("/events")


class Line:
    """What one incarnation of the operator sends, Kubernetes and Azure, and where it is cut."""

    def __init__(self, at: int = 0, when: When = "before") -> None:
        """Cut at write number `at`, if there is one."""
        self.plan = CrashPlan(at, when, counted=_counts)
        self.refuse: Callable[[str], bool] = lambda _: False
        """Paths whose writes the server refuses as invalid."""
        self.deaf = False
        """Whether watches bring nothing any more."""

    @property
    def writes(self) -> list[Write]:
        pairs = (write.split(" ", 1) for write in self.plan.writes)
        return [(verb, path) for verb, path in pairs]

    @property
    def severed(self) -> asyncio.Event:
        return self.plan.crashed


class LineTransport:
    """The way to the API server over a line, with what the line does beside being cut."""

    def __init__(self, inner: Transport, line: Line) -> None:
        self._inner = inner
        self._line = line

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        if request.method != "GET" and self._line.refuse(request.path):
            return Response(status=422, body=INVALID)
        return await self._inner.send(request, timeout=timeout)

    @asynccontextmanager
    async def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AsyncIterator[Stream]:
        async with self._inner.stream(request, idle_timeout=idle_timeout) as stream:
            yield Stream(
                status=stream.status, headers=stream.headers, chunks=self._heard(stream.chunks)
            )

    async def _heard(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if self._line.deaf:
                await asyncio.Event().wait()
            yield chunk

    async def close(self) -> None:
        await self._inner.close()


class World:
    """Everything that outlives an operator."""

    def __init__(self, seed: int = 3, **arm: Any) -> None:
        self.clock = LoopClock()
        self.random = Random(seed)
        self.requests: list[RequestInfo] = []
        self.server = ApiServer(clock=self.clock, random=self.random)
        self.server.on_request = self.requests.append
        self.api = Client(in_process(self.server), clock=self.clock, random=self.random)
        self.arm = ArmEndpoint(
            clock=self.clock, random=self.random, options=ArmOptions(jitter=0, **arm)
        )
        self.joins = True
        self.healthy = True
        self.leaves = True
        """Whether Nodes of machines that are off are deleted."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        path = Path(__file__).parents[3] / "config/crd/karpenter/karpenter.sh_nodeclaims.yaml"
        await self.api.create(CRDS, yaml.safe_load(path.read_text()))
        async with asyncio.TaskGroup() as group:
            nodes = group.create_task(self._nodes())
            try:
                yield
            finally:
                nodes.cancel()

    @asynccontextmanager
    async def operator(
        self,
        options: NodeClaimOptions | None = None,
        line: Line | None = None,
        user: User = ADMIN,
    ) -> AsyncIterator[Line]:
        """One incarnation. Leaving it is a crash: what hangs is cancelled, nothing is tidied."""
        line = line or Line()
        where = self.arm.options
        way = LineTransport(in_process(self.server, user), line)
        transport = CrashingTransport(way, line.plan)
        cloud = AzureCloud(
            subscription=where.subscription,
            resource_group=where.resource_group,
            cluster=where.cluster,
            credential=AnyCredential(),
            clock=self.clock,
            random=self.random,
            transport=azure_transport(crashing_handler(self.arm.handle, line.plan)),
        )
        manager = Manager(transport, clock=self.clock, random=self.random)
        for controller in nodeclaim_controllers(manager, cloud, options):
            manager.add(controller)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(manager.run(asyncio.Event()))
            try:
                yield line
            finally:
                line.severed.set()
                running.cancel()

    # What people and other controllers do

    async def make(self, obj: Json) -> Record:
        return await self.api.create(NODECLAIMS, obj)

    async def claim(self, name: str = "ws1") -> Record | None:
        try:
            return await self.api.get(NODECLAIMS, ObjectKey("", name))
        except NotFound:
            return None

    async def delete(self, name: str = "ws1") -> None:
        await self.api.delete(NODECLAIMS, ObjectKey("", name))

    async def nodes(self) -> list[Record]:
        return (await self.api.list(NODES)).items

    async def events(self) -> list[tuple[str, str]]:
        found = (await self.api.list(EVENTS)).items
        return [(str(e.get("type")), str(e.get("reason"))) for e in found]

    async def pod(self, name: str, node: str, **spec: Any) -> None:
        metadata: Json = {"name": name, "namespace": "default", **spec.pop("metadata", {})}
        await self.api.create(
            PODS,
            {
                "metadata": metadata,
                "spec": {
                    "nodeName": node,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "image": "i"}],
                    **spec,
                },
            },
        )
        await self.api.merge_patch(
            PODS,
            ObjectKey("default", name),
            {
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                }
            },
            subresource="status",
        )

    async def condition(self, kind: str, name: str = "ws1") -> tuple[str, str, str]:
        record = await self.claim(name)
        found = (record.get("status", "conditions") if record else None) or []
        for entry in found:
            if entry["type"] == kind:
                return entry["status"], entry["reason"], entry["message"]
        return "", "", ""

    async def until(self, true: Callable[[], Any], seconds: float = 3600) -> float:
        """Look every second until `true` is; returns the seconds it took."""
        start = self.clock.monotonic()
        while self.clock.monotonic() - start < seconds:
            if await true():
                return self.clock.monotonic() - start
            await self.clock.sleep(1)
        record = await self.claim()
        told = record.json() if record else None
        raise AssertionError(f"never: {told} {self.arm.states()} {await self.events()}")

    async def ready(self, name: str = "ws1") -> bool:
        return (await self.condition("Ready", name))[0] == "True"

    async def gone(self, name: str = "ws1") -> bool:
        return await self.claim(name) is None

    # The machines

    async def _nodes(self) -> None:
        async with asyncio.TaskGroup() as group:
            seen: tuple[Machine, ...] = ()
            while True:
                now = await self.arm.changed(seen)
                for machine in now:
                    if machine.provider_id not in {m.provider_id for m in seen} and machine.joins:
                        group.create_task(self._join(machine))
                for machine in seen:
                    if machine.provider_id not in {m.provider_id for m in now}:
                        group.create_task(self._leave(machine))
                seen = now

    async def _leave(self, machine: Machine) -> None:
        """The kubelet falls silent; then the cloud controller manager deletes the Node."""
        await self.set_ready(machine.name, "Unknown")
        await self.clock.sleep(10)
        if not self.leaves:
            return
        try:
            await self.api.delete(NODES, ObjectKey("", machine.name))
        except NotFound:
            return

    async def _join(self, machine: Machine) -> None:
        await self.clock.sleep(JOIN)
        if not self.joins or machine not in self.arm.current():
            return
        taints = [{"key": t.key, "value": t.value, "effect": t.effect} for t in machine.taints]
        not_ready = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
        with suppress(AlreadyExists):
            await self.api.create(
                NODES,
                {
                    "metadata": {"name": machine.name, "labels": dict(machine.labels)},
                    "spec": {"providerID": machine.provider_id, "taints": [*taints, not_ready]},
                },
            )
        await self.set_ready(machine.name, "False", {"cpu": "24"})
        await self.clock.sleep(READY)
        await self._change(machine.name, taints=True)
        if self.healthy:
            await self.set_ready(machine.name, "True", {"cpu": "24"})
        await self.clock.sleep(GPU)
        await self.set_ready(
            machine.name,
            "True" if self.healthy else "False",
            {"cpu": "24", "nvidia.com/gpu": "1"},
        )

    async def _change(self, name: str, *, taints: bool) -> None:
        try:
            node = await self.api.get(NODES, ObjectKey("", name))
        except NotFound:
            return
        kept = [t for t in node.get("spec", "taints") if "not-ready" not in t["key"]]
        await self.api.merge_patch(NODES, node.key, {"spec": {"taints": kept}})

    async def set_ready(
        self, name: str, status: str, capacity: Json | None = None, message: str = "told"
    ) -> None:
        condition = {
            "type": "Ready",
            "status": status,
            "reason": "Kubelet",
            "message": message,
            "lastTransitionTime": rfc3339(self.clock.wall()),
        }
        told: Json = {"conditions": [condition]}
        if capacity is not None:
            told |= {"capacity": capacity, "allocatable": capacity}
        try:
            await self.api.merge_patch(
                NODES, ObjectKey("", name), {"status": told}, subresource="status"
            )
        except NotFound:
            return
