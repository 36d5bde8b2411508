"""The machines that the simulated cloud runs; `simulator.nodes` makes each of them join."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from kaito.provisioner.cloud import Taint


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One virtual machine that is switched on. When it is deleted or stopped it is no longer
    among the current ones."""

    name: str
    """`aks-<pool>-<number>-vmss000000`: the name of its Node and its host name."""
    pool: str
    vm_size: str
    provider_id: str
    """`azure:///subscriptions/.../virtualMachineScaleSets/.../virtualMachines/0`."""
    region: str
    resource_group: str
    """Of the node resource group, `MC_...`."""
    image_version: str
    created_at: datetime
    """Power-on. The kubelet comes up some time after it."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """With which the kubelet registers: the pool's own and those that Azure adds."""
    taints: tuple[Taint, ...] = ()
    joins: bool = True
    """False for a machine whose kubelet never reaches the API server (a fault)."""


class MachineSource(Protocol):
    """The machines that are switched on, observable."""

    def current(self) -> tuple[Machine, ...]:
        """Now, ordered by name."""
        ...

    async def changed(self, seen: tuple[Machine, ...]) -> tuple[Machine, ...]:
        """Wait until the current machines differ from `seen`, and return them."""
        ...
