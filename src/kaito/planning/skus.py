"""GPU machine sizes: how many GPUs, how much memory, what they can compute."""

from dataclasses import dataclass
from datetime import date
from typing import Literal, final

CloudName = Literal["azure", "aws", "arc"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sku:
    """One machine size. Memory in GiB as the vendor names it (an 80 GB A100 counts 80)."""

    name: str
    cloud: CloudName
    gpus: int
    memory_gib: int
    """Of all GPUs together."""
    model: str
    """The GPU, as KAITO spells it."""
    capability: float | None
    """CUDA compute capability; None for GPUs that are not NVIDIA's."""
    nvme: bool = False
    """Local NVMe disks that can hold the weights."""
    retired: date | None = None
    """The day the cloud stops, or stopped, running it."""
    successor: str = ""

    @property
    def gpu_memory_gib(self) -> float:
        """Of one GPU."""
        return self.memory_gib / self.gpus

    @property
    def bfloat16(self) -> bool:
        """NVIDIA GPUs compute in bfloat16 from capability 8.0 (Ampere) on."""
        return self.capability is not None and self.capability >= 8.0
