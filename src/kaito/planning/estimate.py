"""How many GPUs a model needs: the arithmetic, and the same arithmetic in words.

The formula is KAITO v0.12.0's node estimator for vLLM:

    available = memory of one GPU x utilization
    fixed     = 2.3 GiB + context x bytes per token / GPUs of a node
    for weights = (available - fixed) / 1.05
    GPUs      = floor(weights x 1.02 / for weights) + 1
    nodes     = ceil(GPUs / GPUs of a node)

2.3 GiB is what the engine, CUDA graphs and activations take; 1.05 and 1.02 are margins for
fragmentation and for what loads beside the weight files.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final, final

from kaito.planning.skus import Sku
from kaito.presets.preset import Preset

GIB: Final = 2**30
DEFAULT_CONTEXT: Final = 2048
"""Tokens of context to size for when the user sets no max-model-len."""

ENGINE_GIB: Final = 2.3
FRAGMENTATION: Final = 1.05
LOADING: Final = 1.02

UTILIZATION: Final = 0.84
UTILIZATION_A10: Final = 0.82
"""KAITO starts vLLM with less on an A10, which shows 22.5 of its 24 GiB, and sizes with 0.84 all
the same. We size with what the engine is given."""


def utilization(sku: Sku) -> float:
    """The share of GPU memory the engine is told to use."""
    return UTILIZATION_A10 if sku.model == "NVIDIA A10" else UTILIZATION


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a model needs on one machine size."""

    nodes: int
    """0 when not even an empty engine fits one GPU."""
    gpus: int
    lines: tuple[str, ...]
    """The arithmetic."""

    @property
    def fits(self) -> bool:
        return self.nodes > 0


def estimate(
    preset: Preset,
    sku: Sku,
    *,
    context: int = DEFAULT_CONTEXT,
    share: float | None = None,
) -> Estimate:
    """Size `preset` on `sku` for `context` tokens; `share` overrides the memory utilization."""
    share = utilization(sku) if share is None else share
    weights = preset.size_gib * LOADING
    available = sku.gpu_memory_gib * share
    per_token = preset.attention.bytes_per_token
    cache = context * per_token / sku.gpus / GIB
    fixed = ENGINE_GIB + cache
    what = "weights" if preset.weights_gib is not None else "GPU memory (as KAITO listed it)"
    lines = [
        f"{what}: {preset.size_gib:g} GiB x {LOADING} = {weights:.2f} GiB",
        f"one {sku.model}: {sku.gpu_memory_gib:g} GiB x {share:g} = {available:.2f} GiB usable",
        f"KV cache: {context} tokens x {per_token} B / {sku.gpus} = {cache:.2f} GiB",
        f"engine and KV cache: {ENGINE_GIB} + {cache:.2f} = {fixed:.2f} GiB",
    ]
    if available <= fixed:
        lines.append(f"{available:.2f} GiB <= {fixed:.2f} GiB: nothing is left for the weights")
        return Estimate(nodes=0, gpus=0, lines=tuple(lines))
    room = (available - fixed) / FRAGMENTATION
    gpus = int(weights / room) + 1
    nodes = ceil(gpus / sku.gpus)
    lines += [
        f"left: ({available:.2f} - {fixed:.2f}) / {FRAGMENTATION} = {room:.2f} GiB per GPU",
        f"GPUs: floor({weights:.2f} / {room:.2f}) + 1 = {gpus}",
        f"nodes: ceil({gpus} / {sku.gpus} per {sku.name}) = {nodes}",
    ]
    return Estimate(nodes=nodes, gpus=gpus, lines=tuple(lines))
