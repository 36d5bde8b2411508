"""Agent pools and the machines they run: the state that outlives every operator.

PUT ── Creating ──(boot_seconds: power-on)──(create_seconds)──> Succeeded
            └──────(fail_seconds)──> Failed, with a reason, and no machine
DELETE ── Deleting ──(delete_seconds)──> gone, power-off
stop / start ── powerState Stopped, power-off / Running, power-on
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, final

from kaito.kube.clock import Clock, rfc3339
from kaito.kube.objects import Json
from kaito.planning.skus import find_sku
from kaito.provisioner.cloud import Taint
from kaito.simulator.arm import answers
from kaito.simulator.arm.answers import ArmError, Refused
from kaito.simulator.arm.faults import Fault
from kaito.simulator.arm.machines import Machine
from kaito.simulator.arm.meter import Meter
from kaito.simulator.arm.sizes import Size, size_of
from kaito.simulator.arm.timeline import Timeline

CREATED_BY: Final = "kaito-embedded"
"""`systemData.createdBy`: everything simulated says that it is."""
IMAGE_VERSION: Final = {
    "Ubuntu": "AKSUbuntu-2204gen2containerd-embedded",
    "AzureLinux": "AKSAzureLinux-V3gen2-embedded",
}


def _gpus(vm_size: str) -> int:
    sku = find_sku(vm_size)
    return sku.gpus if sku else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmOptions:
    """One subscription with one managed cluster. Durations in seconds of the world's clock."""

    subscription: str = "00000000-0000-0000-0000-000000000000"
    resource_group: str = "kaito"
    cluster: str = "embedded"
    region: str = "eastus"
    boot_seconds: float = 60.0
    """From the PUT until the machine is switched on."""
    create_seconds: float = 210.0
    """From the PUT until Succeeded; AKS takes 3 to 5 minutes for a GPU pool."""
    fail_seconds: float = 45.0
    """From the PUT until a failure of the compute provider shows."""
    delete_seconds: float = 150.0
    jitter: float = 0.1
    """Each duration is drawn from up to that fraction more."""
    max_pools: int = 100
    """AKS: node pools per cluster."""
    page_size: int = 50
    delete_while_creating: bool = True
    """False: a DELETE of a pool that is being created is refused as in progress."""
    late_quota: bool = False
    """True: the quota is checked by the compute provider after the pool was accepted."""
    bare_not_found: bool = True
    """Whether an absent pool is told in AKS' own dialect or in ARM's."""
    gpus: Callable[[str], int] = _gpus
    """GPUs of a VM size, for the meter."""


@dataclass(slots=True, kw_only=True)
class Operation:
    """A long-running operation, as its status resource shows it."""

    id: str
    start: str
    status: str = "InProgress"
    end: str = ""
    error: ArmError | None = None

    def body(self) -> Json:
        told: Json = {"name": self.id, "status": self.status, "startTime": self.start}
        if self.end:
            told["endTime"] = self.end
        if self.error is not None:
            told["error"] = self.error.detail()
        return told


@dataclass(slots=True, kw_only=True)
class Pool:
    """One agent pool."""

    name: str
    properties: dict[str, Any]
    state: str
    etag: str
    operation: Operation
    power: str = "Running"
    error: ArmError | None = None
    joins: bool = True
    life: int = 0
    """Counts operations: a planned action of an earlier one does nothing any more."""
    machines: list[Machine] = field(default_factory=list)

    @property
    def vm_size(self) -> str:
        return str(self.properties.get("vmSize", ""))

    @property
    def count(self) -> int:
        return int(self.properties.get("count", 1))


@final
class AgentPools:
    """All pools of the cluster. Callers settle the timeline before they look."""

    def __init__(self, options: ArmOptions, *, clock: Clock, random: random.Random) -> None:
        self.options = options
        self.timeline = Timeline(clock)
        self.meter = Meter(clock.monotonic)
        self.pools: dict[str, Pool] = {}
        self.operations: dict[str, Operation] = {}
        self.quotas: dict[str, int] = {}
        self.stopped = False
        self._clock = clock
        self._random = random
        self._number = f"{random.randrange(10**8):08d}"

    @property
    def node_resource_group(self) -> str:
        options = self.options
        return f"MC_{options.resource_group}_{options.cluster}_{options.region}"

    def machines(self) -> tuple[Machine, ...]:
        return tuple(
            sorted(
                (machine for pool in self.pools.values() for machine in pool.machines),
                key=lambda machine: machine.name,
            )
        )

    def create(self, name: str, properties: dict[str, Any], fault: Fault | None) -> Pool:
        """Accept a pool. Raises `Refused`."""
        size = size_of(str(properties.get("vmSize", "")))
        if size is None:
            raise Refused(
                answers.vm_size_not_supported(
                    str(properties.get("vmSize", "")), self.options.region
                )
            )
        if len(self.pools) >= self.options.max_pools:
            raise Refused(answers.too_many_pools(self.options.max_pools))
        outcome = fault.outcome if fault else None
        short = self._short_of_quota(size, int(properties.get("count", 1)))
        if short is not None and not self.options.late_quota:
            raise Refused(short)
        pool = Pool(
            name=name,
            properties=properties,
            state="Creating",
            etag=self._unique(),
            operation=self._operation(),
            joins=fault.joins if fault else True,
        )
        self.pools[name] = pool
        self.meter.pools_created += 1
        self._begin(pool, outcome or short)
        return pool

    def update(self, pool: Pool, properties: dict[str, Any]) -> None:
        """A PUT without a condition on a pool that exists: what AKS calls an update."""
        pool.properties = {**pool.properties, **properties}
        pool.operation = self._operation()
        if pool.state == "Failed":
            self._begin(pool, None)
            return
        self._finish(pool, pool.state, None)

    def delete(self, pool: Pool) -> None:
        pool.life += 1
        pool.state, pool.etag, pool.operation = "Deleting", self._unique(), self._operation()
        self._later(pool, self.options.delete_seconds, partial(self._gone, pool))

    def stop(self) -> None:
        """`az aks stop`: every machine is deallocated."""
        self.stopped = True
        for pool in self.pools.values():
            pool.power, pool.etag = "Stopped", self._unique()
            self._switch_off(pool, self._clock.monotonic())

    def start(self) -> None:
        """`az aks start`: every pool gets its machines back."""
        self.stopped = False
        for pool in self.pools.values():
            pool.power, pool.etag = "Running", self._unique()
            if pool.state == "Succeeded":
                self._later(pool, self.options.boot_seconds, partial(self._on, pool))

    def used(self, family: str) -> int:
        """vCPUs of a family that pools hold now."""
        return sum(
            size.vcpus * pool.count
            for pool in self.pools.values()
            if pool.state != "Failed"
            and (size := size_of(pool.vm_size)) is not None
            and size.family == family
        )

    def _short_of_quota(self, size: Size, count: int) -> ArmError | None:
        limit = self.quotas.get(size.family)
        used = self.used(size.family)
        if limit is None or used + size.vcpus * count <= limit:
            return None
        if self.options.late_quota:
            return answers.compute_quota(size, limit, used, self.options.region)
        return answers.insufficient_quota(size, limit - used, self.options.region)

    def _begin(self, pool: Pool, failure: ArmError | None) -> None:
        pool.life += 1
        pool.state, pool.error = "Creating", None
        options = self.options
        if failure is not None:
            self._later(pool, options.fail_seconds, lambda _: self._finish(pool, "Failed", failure))
            return
        self._later(pool, options.boot_seconds, partial(self._on, pool))
        self._later(pool, options.create_seconds, lambda _: self._finish(pool, "Succeeded", None))

    def _later(self, pool: Pool, seconds: float, action: Callable[[float], None]) -> None:
        life = pool.life

        def act(at: float) -> None:
            if pool.life == life:
                action(at)

        self.timeline.after(seconds * (1 + self._random.random() * self.options.jitter), act)

    def _finish(self, pool: Pool, state: str, error: ArmError | None) -> None:
        pool.state, pool.error, pool.etag = state, error, self._unique()
        operation = pool.operation
        operation.status, operation.error = ("Failed" if error else "Succeeded"), error
        operation.end = rfc3339(self._clock.wall())
        self.timeline.touch()

    def _gone(self, pool: Pool, at: float) -> None:
        self._switch_off(pool, at)
        self._finish(pool, "Succeeded", None)
        self.pools.pop(pool.name, None)

    def _on(self, pool: Pool, at: float) -> None:
        pool.machines = [self._machine(pool, index) for index in range(pool.count)]
        for machine in pool.machines:
            self.meter.switched_on(machine.name, self.options.gpus(pool.vm_size), at)
        self.timeline.touch()

    def _switch_off(self, pool: Pool, at: float) -> None:
        for machine in pool.machines:
            self.meter.switched_off(machine.name, at)
        pool.machines = []
        self.timeline.touch()

    def _machine(self, pool: Pool, index: int) -> Machine:
        options, group = self.options, self.node_resource_group
        scale_set = f"aks-{pool.name}-{self._number}-vmss"
        return Machine(
            name=f"{scale_set}{_base36(index):0>6}",
            pool=pool.name,
            vm_size=pool.vm_size,
            provider_id=f"azure:///subscriptions/{options.subscription}/resourceGroups/"
            f"{group.lower()}/providers/Microsoft.Compute/virtualMachineScaleSets/{scale_set}"
            f"/virtualMachines/{index}",
            region=options.region,
            resource_group=group,
            image_version=image_version(pool.properties),
            created_at=self._clock.wall(),
            labels=self._labels(pool),
            taints=tuple(_taint(text) for text in pool.properties.get("nodeTaints") or ()),
            joins=pool.joins,
        )

    def _labels(self, pool: Pool) -> dict[str, str]:
        """What AKS makes the kubelet register with, beside the pool's own labels."""
        labels = {
            "agentpool": pool.name,
            "beta.kubernetes.io/instance-type": pool.vm_size,
            "kubernetes.azure.com/agentpool": pool.name,
            "kubernetes.azure.com/cluster": self.node_resource_group,
            "kubernetes.azure.com/mode": str(pool.properties.get("mode", "User")).lower(),
            "kubernetes.azure.com/node-image-version": image_version(pool.properties),
            "kubernetes.azure.com/os-sku": str(pool.properties.get("osSKU", "Ubuntu")),
            "node.kubernetes.io/instance-type": pool.vm_size,
            "topology.kubernetes.io/region": self.options.region,
            "topology.kubernetes.io/zone": "0",
            **pool.properties.get("nodeLabels", {}),
        }
        if pool.vm_size.lower().startswith("standard_n"):
            labels["accelerator"] = "nvidia"
        return labels

    def _operation(self) -> Operation:
        operation = Operation(id=self._unique(), start=rfc3339(self._clock.wall()))
        self.operations[operation.id] = operation
        return operation

    def _unique(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def image_version(properties: dict[str, Any]) -> str:
    """`nodeImageVersion` of a pool with these properties."""
    return IMAGE_VERSION.get(str(properties.get("osSKU")), IMAGE_VERSION["Ubuntu"])


def _taint(text: str) -> Taint:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return Taint(key=key, value=value, effect=effect)


def _base36(number: int) -> str:
    """Azure numbers the computers of a scale set so."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number or not text:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text
