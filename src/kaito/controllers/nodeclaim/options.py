"""How the node provisioner paces itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClaimOptions:
    """Durations in seconds of the operator's clock."""

    poll: float = 12.0
    """Between two looks at a machine that is being made or deleted. AKS takes minutes."""
    drain_poll: float = 5.0
    """Between two looks at the pods of a Node that is drained."""
    launch_timeout: float = 900.0
    """After which a launch is reported as late. Nothing is cancelled: slow is not failed."""
    retry_first: float = 30.0
    """Before a refused launch is tried again; doubles with every refusal."""
    retry_longest: float = 300.0
    repair_after: float = 600.0
    """A Node that is not ready for so long is replaced; gpu-provisioner's tolerance."""
    repair_unregistered_after: float = 1800.0
    """A machine whose Node has not joined for so long is replaced."""
    repair: bool = True
    repair_share: float = 0.2
    """Of the managed Nodes; with more of them unhealthy at once nothing is repaired. One always
    may be."""
    sweep: float = 300.0
    """Between two comparisons of the cloud's list with the claims."""
    orphan_grace: float = 600.0
    """A machine younger than this is no orphan."""
    brake: int = 2
    """Machines or claims that one sweep may end, however many seem to be lost."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """For every machine, for instance those that a policy of the subscription demands."""

    def faster(self, speed: float) -> Self:
        """The same in a world whose clock runs `speed` times as fast as the operator's."""
        durations = {
            entry.name: getattr(self, entry.name) / speed
            for entry in fields(self)
            if isinstance(getattr(self, entry.name), float) and entry.name != "repair_share"
        }
        return replace(self, **durations)
