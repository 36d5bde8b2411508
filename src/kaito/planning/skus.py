"""GPU machine sizes: how many GPUs, how much memory, what they can compute.

The current ones are KAITO v0.12.0's tables. KAITO dropped older Azure sizes as their GPUs fell
behind; they are here with their true facts, because people still have YAML that names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Literal, final

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
    """CUDA compute capability; None for accelerators that are not NVIDIA's."""
    nvme: bool = False
    """Local NVMe disks that can hold the weights."""
    retired: date | None = None
    """The day the cloud stops, or stopped, running it; None when no day is known."""
    successor: str = ""
    """What to use instead; empty when it is not retired."""

    @property
    def gpu_memory_gib(self) -> float:
        """Of one GPU."""
        return self.memory_gib / self.gpus

    @property
    def bfloat16(self) -> bool:
        """NVIDIA GPUs compute in bfloat16 from capability 8.0 (Ampere) on."""
        return self.capability is not None and self.capability >= 8.0

    def retirement(self, today: date) -> str:
        """A sentence about its retirement; empty when none is known or it is over a year away."""
        if self.retired is None or (self.retired - today).days > 365:
            return ""
        verb = "retired" if self.retired <= today else "will retire"
        return f"Azure {verb} {self.name} on {self.retired.isoformat()}; use {self.successor}"


_Gpu = tuple[str, float | None]

_A2: Final[_Gpu] = ("NVIDIA A2", 8.6)
_A10: Final[_Gpu] = ("NVIDIA A10", 8.6)
_A10G: Final[_Gpu] = ("NVIDIA A10G", 8.6)
_A16: Final[_Gpu] = ("NVIDIA A16", 8.6)
_A100: Final[_Gpu] = ("NVIDIA A100", 8.0)
_H100: Final[_Gpu] = ("NVIDIA H100", 9.0)
_H200: Final[_Gpu] = ("NVIDIA H200", 9.0)
_L4: Final[_Gpu] = ("NVIDIA L4", 8.9)
_T4: Final[_Gpu] = ("NVIDIA T4", 7.5)
_V100: Final[_Gpu] = ("NVIDIA V100", 7.0)
_P40: Final[_Gpu] = ("NVIDIA P40", 6.1)
_P100: Final[_Gpu] = ("NVIDIA P100", 6.0)
_M60: Final[_Gpu] = ("NVIDIA M60", 5.2)
_K80: Final[_Gpu] = ("NVIDIA K80", 3.7)
_V520: Final[_Gpu] = ("AMD Radeon Pro V520", None)
_V620: Final[_Gpu] = ("AMD Radeon PRO V620", None)
_TRAINIUM: Final[_Gpu] = ("AWS Trainium accelerators", None)
_INFERENTIA: Final[_Gpu] = ("AWS Inferentia2 accelerators", None)

_Row = tuple[str, int, int, _Gpu, bool]


def _sku(name: str, gpus: int, memory_gib: int, gpu: _Gpu, *, nvme: bool = False) -> _Row:
    return (name, gpus, memory_gib, gpu, nvme)


def _cloud(cloud: CloudName, *rows: _Row) -> tuple[Sku, ...]:
    return tuple(
        Sku(
            name=name,
            cloud=cloud,
            gpus=gpus,
            memory_gib=memory_gib,
            model=gpu[0],
            capability=gpu[1],
            nvme=nvme,
        )
        for name, gpus, memory_gib, gpu, nvme in rows
    )


def _retired(day: date | None, *rows: tuple[str, int, int, _Gpu, str]) -> tuple[Sku, ...]:
    return tuple(
        Sku(
            name=name,
            cloud="azure",
            gpus=gpus,
            memory_gib=memory_gib,
            model=gpu[0],
            capability=gpu[1],
            retired=day,
            successor=successor,
        )
        for name, gpus, memory_gib, gpu, successor in rows
    )


_AZURE = _cloud(
    "azure",
    _sku("Standard_NV36ads_A10_v5", 1, 24, _A10),
    _sku("Standard_NV72ads_A10_v5", 2, 48, _A10),
    _sku("Standard_NC24ads_A100_v4", 1, 80, _A100, nvme=True),
    _sku("Standard_NC48ads_A100_v4", 2, 160, _A100, nvme=True),
    _sku("Standard_NC96ads_A100_v4", 4, 320, _A100, nvme=True),
    _sku("Standard_ND96asr_A100_v4", 8, 320, _A100),
    _sku("Standard_ND96amsr_A100_v4", 8, 640, _A100, nvme=True),
    _sku("Standard_NC40ads_H100_v5", 1, 94, _H100, nvme=True),
    _sku("Standard_NC80adis_H100_v5", 2, 188, _H100, nvme=True),
    _sku("Standard_ND96isr_H100_v5", 8, 640, _H100, nvme=True),
    _sku("Standard_NCC40ads_H100_v5", 1, 94, _H100),
    _sku("Standard_ND96isr_H200_v5", 8, 1128, _H200, nvme=True),
    _sku("Standard_NG32ads_V620_v1", 1, 32, _V620),
    _sku("Standard_NG32adms_V620_v1", 1, 32, _V620),
)

_AWS = _cloud(
    "aws",
    _sku("p4d.24xlarge", 8, 320, _A100, nvme=True),
    _sku("p4de.24xlarge", 8, 640, _A100, nvme=True),
    _sku("p5.48xlarge", 8, 640, _H100, nvme=True),
    _sku("p5e.48xlarge", 8, 1128, _H200, nvme=True),
    _sku("p5en.48xlarge", 8, 1128, _H200, nvme=True),
    _sku("g6.xlarge", 1, 24, _L4, nvme=True),
    _sku("g6.2xlarge", 1, 24, _L4, nvme=True),
    _sku("g6.4xlarge", 1, 24, _L4, nvme=True),
    _sku("g6.8xlarge", 1, 24, _L4, nvme=True),
    _sku("g6.16xlarge", 1, 24, _L4, nvme=True),
    _sku("gr6.4xlarge", 1, 24, _L4, nvme=True),
    _sku("gr6.8xlarge", 1, 24, _L4, nvme=True),
    _sku("g6.12xlarge", 4, 96, _L4, nvme=True),
    _sku("g6.24xlarge", 4, 96, _L4, nvme=True),
    _sku("g6.48xlarge", 8, 192, _L4, nvme=True),
    _sku("g5.xlarge", 1, 24, _A10G, nvme=True),
    _sku("g5.2xlarge", 1, 24, _A10G, nvme=True),
    _sku("g5.4xlarge", 1, 24, _A10G, nvme=True),
    _sku("g5.8xlarge", 1, 24, _A10G, nvme=True),
    _sku("g5.12xlarge", 4, 96, _A10G, nvme=True),
    _sku("g5.16xlarge", 1, 24, _A10G, nvme=True),
    _sku("g5.24xlarge", 4, 96, _A10G, nvme=True),
    _sku("g5.48xlarge", 8, 192, _A10G, nvme=True),
    _sku("g4ad.xlarge", 1, 8, _V520, nvme=True),
    _sku("g4ad.2xlarge", 1, 8, _V520, nvme=True),
    _sku("g4ad.4xlarge", 1, 8, _V520, nvme=True),
    _sku("g4ad.8xlarge", 2, 16, _V520, nvme=True),
    _sku("g4ad.16xlarge", 4, 32, _V520, nvme=True),
    _sku("trn1.2xlarge", 1, 32, _TRAINIUM, nvme=True),
    _sku("trn1.32xlarge", 16, 512, _TRAINIUM, nvme=True),
    _sku("trn1n.32xlarge", 16, 512, _TRAINIUM, nvme=True),
    _sku("inf2.xlarge", 1, 32, _INFERENTIA),
    _sku("inf2.8xlarge", 1, 32, _INFERENTIA),
    _sku("inf2.24xlarge", 6, 192, _INFERENTIA),
    _sku("inf2.48xlarge", 12, 384, _INFERENTIA),
)

_ARC = _cloud(
    "arc",
    _sku("Standard_NC4_A2", 1, 16, _A2),
    _sku("Standard_NC8_A2", 1, 16, _A2),
    _sku("Standard_NC16_A2", 2, 32, _A2),
    _sku("Standard_NC32_A2", 2, 32, _A2),
    _sku("Standard_NC4_A16", 1, 16, _A16),
    _sku("Standard_NC8_A16", 1, 16, _A16),
    _sku("Standard_NC16_A16", 2, 32, _A16),
    _sku("Standard_NC32_A16", 2, 32, _A16),
)

_AZURE_EARLIER = (
    # No longer in KAITO's table, still sold.
    *_cloud(
        "azure",
        _sku("Standard_NC4as_T4_v3", 1, 16, _T4),
        _sku("Standard_NC8as_T4_v3", 1, 16, _T4),
        _sku("Standard_NC16as_T4_v3", 1, 16, _T4),
        _sku("Standard_NC64as_T4_v3", 4, 64, _T4),
        _sku("Standard_ND40rs_v2", 8, 256, _V100),
    ),
    *_retired(
        date(2026, 9, 30),
        ("Standard_NV12s_v3", 1, 8, _M60, "Standard_NV36ads_A10_v5"),
        ("Standard_NV24s_v3", 2, 16, _M60, "Standard_NV36ads_A10_v5"),
        ("Standard_NV48s_v3", 4, 32, _M60, "Standard_NV72ads_A10_v5"),
    ),
    *_retired(
        date(2025, 9, 30),
        ("Standard_NC6s_v3", 1, 16, _V100, "Standard_NC24ads_A100_v4"),
        ("Standard_NC12s_v3", 2, 32, _V100, "Standard_NC24ads_A100_v4"),
        ("Standard_NC24s_v3", 4, 64, _V100, "Standard_NC48ads_A100_v4"),
        ("Standard_NC24rs_v3", 4, 64, _V100, "Standard_NC48ads_A100_v4"),
    ),
    *_retired(
        date(2023, 9, 6),
        ("Standard_NC6", 1, 12, _K80, "Standard_NC4as_T4_v3"),
        ("Standard_NC12", 2, 24, _K80, "Standard_NV36ads_A10_v5"),
        ("Standard_NC24", 4, 48, _K80, "Standard_NV72ads_A10_v5"),
        ("Standard_NC24r", 4, 48, _K80, "Standard_NV72ads_A10_v5"),
        ("Standard_NC6s_v2", 1, 16, _P100, "Standard_NC24ads_A100_v4"),
        ("Standard_NC12s_v2", 2, 32, _P100, "Standard_NC24ads_A100_v4"),
        ("Standard_NC24s_v2", 4, 64, _P100, "Standard_NC48ads_A100_v4"),
        ("Standard_NC24rs_v2", 4, 64, _P100, "Standard_NC48ads_A100_v4"),
        ("Standard_ND6s", 1, 24, _P40, "Standard_NV36ads_A10_v5"),
        ("Standard_ND12s", 2, 48, _P40, "Standard_NV72ads_A10_v5"),
        ("Standard_ND24s", 4, 96, _P40, "Standard_NC48ads_A100_v4"),
        ("Standard_ND24rs", 4, 96, _P40, "Standard_NC48ads_A100_v4"),
        ("Standard_NV6", 1, 8, _M60, "Standard_NV36ads_A10_v5"),
        ("Standard_NV12", 2, 16, _M60, "Standard_NV36ads_A10_v5"),
        ("Standard_NV24", 4, 32, _M60, "Standard_NV72ads_A10_v5"),
    ),
)

SKUS: Final[tuple[Sku, ...]] = (*_AZURE, *_AZURE_EARLIER, *_AWS, *_ARC)

_BY_NAME: Final[Mapping[str, Sku]] = MappingProxyType({sku.name.lower(): sku for sku in SKUS})


def find_sku(name: str) -> Sku | None:
    """The machine size of that name; case does not matter."""
    return _BY_NAME.get(name.strip().lower())


def nearest(name: str, cloud: CloudName) -> tuple[str, ...]:
    """Up to three names in that cloud that look like `name`, the likeliest first."""
    known = {word: sku.name for word, sku in _BY_NAME.items() if sku.cloud == cloud}
    close = get_close_matches(name.strip().lower(), known, n=3, cutoff=0.6)
    return tuple(known[word] for word in close)
