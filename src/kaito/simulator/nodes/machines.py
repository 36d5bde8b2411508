"""Machines join as Nodes, report, and leave: the reconciler of Node names."""

from collections.abc import Callable
from typing import final

from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import Done, Result
from kaito.framework.recorder import Recorder
from kaito.framework.store import Store
from kaito.kube.clock import Clock, rfc3339_micro
from kaito.kube.errors import AlreadyExists, NotFound
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import LEASES, NODES
from kaito.simulator.arm.machines import Machine, MachineSource
from kaito.simulator.nodes import joining
from kaito.simulator.nodes.addresses import Addresses
from kaito.simulator.nodes.options import SIMULATED_LABEL, NodeOptions
from kaito.simulator.nodes.timing import Wheel, WorldTime

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
"""A kubelet's lease duration; where renewals are rarer, the lease lasts four of them."""


@final
class Machines:
    """Keeps one Node per machine that is switched on, from registration to removal."""

    def __init__(
        self,
        source: MachineSource,
        *,
        client: ConsistentClient,
        nodes: Store,
        recorder: Recorder,
        time: WorldTime,
        clock: Clock,
        wire: Clock,
        options: NodeOptions,
        lost: Callable[[str], None],
    ) -> None:
        """`clock` is the world's, `wire` the one whose time is written; `lost` is told the name
        of every machine that is gone."""
        self._source = source
        self._client = client
        self._nodes = nodes
        self._recorder = recorder
        self._time = time
        self._wire = wire
        self._options = options
        self._lost = lost
        self._current = {machine.name: machine for machine in source.current()}
        self._registered: set[str] = set()
        self._renewed: dict[str, float] = {}
        self._wake: Callable[[ObjectKey], None] = lambda _key: None
        self._wheel: Wheel[ObjectKey] = Wheel(clock, self.poke)
        self.addresses = Addresses(options.machine_network)

    def wake_with(self, wake: Callable[[ObjectKey], None]) -> None:
        """How to ask for a key to be reconciled."""
        self._wake = wake

    def poke(self, key: ObjectKey) -> None:
        """Look at a machine again."""
        self._wake(key)

    def alive(self, name: str) -> bool:
        """Whether a machine of that name is switched on."""
        return name in self._current

    async def watch(self) -> None:
        """Follow the machine source until cancelled."""
        try:
            seen = self._source.current()
            self._adopt(seen)
            while True:
                seen = await self._source.changed(seen)
                self._adopt(seen)
        finally:
            self._wheel.close()

    def _adopt(self, machines: tuple[Machine, ...]) -> None:
        before, self._current = self._current, {machine.name: machine for machine in machines}
        for name in before.keys() - self._current.keys():
            self.addresses.release(name)
            self._registered.discard(name)
            self._renewed.pop(name, None)
            self._lost(name)
        for name in sorted(before.keys() | self._current.keys()):
            if before.get(name) != self._current.get(name) or name not in self._registered:
                self._wake(ObjectKey("", name))

    async def reconcile(self, key: ObjectKey) -> Result:
        machine, live = self._current.get(key.name), self._nodes.get(key)
        if machine is None:
            await self._remove(live)
            return Done()
        now = self._time.now()
        steps = joining.timeline(machine, self._options)
        if not machine.joins:
            return Done()
        if now < steps.registered:
            self._wheel.set(key, steps.registered - now)
            return Done()
        if live is None and key.name in self._registered:
            # Somebody deleted the Node; a kubelet registers only when it starts.
            return Done()
        if live is None:
            await self._register(machine, now)
        else:
            self._registered.add(key.name)
            await self._report(machine, live, now)
        due = await self._renew(key.name, now)
        self._wheel.set(key, min(steps.next(now), due) - now)
        return Done()

    async def _remove(self, live: Record | None) -> None:
        """The cloud controller's part: a Node whose machine is gone is deleted."""
        if live is None or live.meta.deleting or live.meta.labels.get(SIMULATED_LABEL) != "true":
            return
        try:
            await self._client.delete(NODES, live.key, uid=live.meta.uid)
        except NotFound:
            return

    async def _register(self, machine: Machine, now: float) -> None:
        node = joining.node(
            machine,
            self._options,
            address=self.addresses.of(machine.name),
            now=now,
            stamp=self._time.stamp(now),
        )
        try:
            created = await self._client.create(NODES, node)
        except AlreadyExists:
            # Not ours to replace; if it is ours, the watch brings it.
            return
        self._registered.add(machine.name)
        self._note(created, "Starting", "Starting kubelet.")

    async def _report(self, machine: Machine, live: Record, now: float) -> None:
        wanted = joining.status(
            machine,
            self._options,
            address=self.addresses.of(machine.name),
            now=now,
            stamp=self._time.stamp(now),
        )
        patch = joining.status_patch(live.get("status") or {}, wanted)
        if patch:
            live = await self._client.merge_patch(
                NODES, live.key, {"status": patch}, uid=live.meta.uid, subresource="status"
            )
            self._tell(live, patch)
        if now >= joining.timeline(machine, self._options).ready:
            await self._lift_taint(live)

    def _tell(self, live: Record, patch: Json) -> None:
        ready = [c for c in patch.get("conditions") or () if c["type"] == "Ready"]
        if ready and ready[0]["status"] == "True":
            self._note(live, "NodeReady", f"Node {live.meta.name} status is now: NodeReady")

    def _note(self, node: Record, reason: str, message: str) -> None:
        self._recorder.event(node, type="Normal", reason=reason, message=message, action=reason)

    async def _lift_taint(self, live: Record) -> None:
        left = joining.taints_when_ready(live.get("spec", "taints") or ())
        if left is not None:
            await self._client.merge_patch(
                NODES,
                live.key,
                {"spec": {"taints": left or None}},
                uid=live.meta.uid,
                resource_version=live.meta.resource_version,
            )

    async def _renew(self, name: str, now: float) -> float:
        """Renew the Node's Lease if it is due; answers when it will be due next."""
        every = self._options.lease_every
        if every <= 0:
            return float("inf")
        due = self._renewed.get(name, -every) + every
        if now < due:
            return due
        node = self._nodes.get(ObjectKey("", name))
        if node is None:
            return now + 1.0
        self._renewed[name] = now
        await self._write_lease(node, every)
        return now + every

    async def _write_lease(self, node: Record, every: float) -> None:
        name, stamp = node.meta.name, rfc3339_micro(self._wire.wall())
        key = ObjectKey(LEASE_NAMESPACE, name)
        spec: Json = {
            "holderIdentity": name,
            "leaseDurationSeconds": max(LEASE_SECONDS, int(4 * every)),
            "renewTime": stamp,
        }
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.meta.uid}
        metadata = {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
        try:
            await self._client.live.merge_patch(LEASES, key, {"spec": spec})
        except NotFound:
            try:
                await self._client.live.create(LEASES, {"metadata": metadata, "spec": spec})
            except (AlreadyExists, NotFound):
                # The namespace is going or not there yet; the next renewal is soon enough.
                return
