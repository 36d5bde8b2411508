"""A source of machines that tests switch on and off by hand."""

import asyncio

from kaito.kube.clock import Clock
from kaito.provisioner.cloud import Taint
from kaito.simulator.arm.machines import Machine

A100 = "Standard_NC24ads_A100_v4"


class Switchboard:
    """The machines that are on."""

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}
        self._changed = asyncio.Event()

    def add(self, machine: Machine) -> None:
        self._machines[machine.name] = machine
        self._tell()

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


class GpuMachines(Switchboard):
    """GPU machines, as the node provisioner asks for them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

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
        self.add(machine)
        return machine
