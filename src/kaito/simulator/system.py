"""The machine that is there from the start: a system node without GPUs, for everything else."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import final

from kaito.simulator.arm.machines import Machine, MachineSource
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.nodes.options import NodeOptions

NAME = "aks-system-00000000-vmss000000"
VM_SIZE = "Standard_D4s_v5"


def system_machine(arm: ArmOptions, nodes: NodeOptions, now: datetime) -> Machine:
    """Switched on so long ago that its Node is Ready as soon as it registers."""
    group = f"MC_{arm.resource_group}_{arm.cluster}_{arm.region}"
    return Machine(
        name=NAME,
        pool="system",
        vm_size=VM_SIZE,
        provider_id=(
            f"azure:///subscriptions/{arm.subscription}/resourceGroups/{group.lower()}"
            "/providers/Microsoft.Compute/virtualMachineScaleSets/aks-system-00000000-vmss"
            "/virtualMachines/0"
        ),
        region=arm.region,
        resource_group=group,
        image_version="AKSUbuntu-2204gen2containerd-simulated",
        created_at=now - timedelta(seconds=nodes.boot + nodes.ready + nodes.gpu + 1),
        labels={
            "agentpool": "system",
            "kubernetes.azure.com/agentpool": "system",
            "kubernetes.azure.com/mode": "system",
            "node.kubernetes.io/instance-type": VM_SIZE,
            "topology.kubernetes.io/region": arm.region,
        },
    )


@final
class WithMachines:
    """Another source's machines, and some that are always there."""

    def __init__(self, inner: MachineSource, always: Iterable[Machine]) -> None:
        self._inner = inner
        self._always = tuple(always)
        self._names = frozenset(machine.name for machine in self._always)

    def current(self) -> tuple[Machine, ...]:
        return self._all(self._inner.current())

    async def changed(self, seen: tuple[Machine, ...]) -> tuple[Machine, ...]:
        others = tuple(machine for machine in seen if machine.name not in self._names)
        return self._all(await self._inner.changed(others))

    def _all(self, others: tuple[Machine, ...]) -> tuple[Machine, ...]:
        return tuple(sorted((*self._always, *others), key=lambda machine: machine.name))
