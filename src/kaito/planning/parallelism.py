"""How the GPUs of a node share the work."""

from dataclasses import dataclass
from typing import final

from kaito.planning.skus import Sku
from kaito.presets.preset import Preset


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelism:
    """tensor x data = GPUs of a node; pipeline = nodes."""

    tensor: int
    pipeline: int
    data: int


def split(preset: Preset, sku: Sku, nodes: int) -> Parallelism:
    """Divide the work of one replica.

    A model that needs less than half of one GPU runs once per GPU (KAITO's rule). Otherwise the
    GPUs of a node hold one copy together, as far as its attention heads can be divided among
    them: vLLM refuses to start with a tensor parallelism that does not divide the heads.
    """
    if nodes == 1 and sku.gpus > 1 and preset.size_gib * 2 < sku.gpu_memory_gib:
        return Parallelism(tensor=1, pipeline=1, data=sku.gpus)
    tensor = _tensor(preset, sku.gpus)
    data = sku.gpus // tensor if nodes == 1 else 1
    return Parallelism(tensor=tensor, pipeline=nodes, data=data)


def _tensor(preset: Preset, gpus: int) -> int:
    if preset.vllm is not None and not preset.vllm.tensor_parallel:
        return 1
    heads = preset.attention.heads
    return max(n for n in range(1, gpus + 1) if gpus % n == 0 and heads % n == 0)
