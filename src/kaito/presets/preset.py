"""Preset: what is known about one model. A frozen value; nothing here decides anything."""

from dataclasses import dataclass
from math import ceil
from typing import Literal, final

Era = Literal["current", "legacy"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """The geometry of attention, from the model's `config.json`; it sizes the KV cache."""

    kind: Literal["MHA", "GQA", "MQA", "MLA"]
    layers: int
    kv_heads: int
    head_dim: int
    latent_dim: int = 0
    """MLA only: kv_lora_rank + qk_rope_head_dim, what one token keeps per layer."""
    heads: int = 0
    """Attention heads; tensor parallelism must divide them. 0 when unknown."""

    @property
    def bytes_per_token(self) -> int:
        """KV cache bytes of one token at 16 bits, whatever the cache's real type (as KAITO)."""
        elements = self.latent_dim if self.kind == "MLA" else 2 * self.kv_heads * self.head_dim
        return elements * self.layers * 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSettings:
    """How vLLM is started for this model."""

    load_format: str = "auto"
    config_format: str = "auto"
    tokenizer_mode: str = "auto"
    tool_call_parser: str = ""
    reasoning_parser: str = ""
    chat_template: str = ""
    """File name under /workspace/chat_templates."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further flags, name and value; an empty value is a bare flag."""
    cpu_kv_offload: bool = True
    """False where the engine cannot keep KV cache in host memory."""
    deep_gemm: bool = False
    cuda_toolkit: bool = False
    """The engine compiles kernels at start and needs a CUDA toolkit on the node."""
    tensor_parallel: bool = True
    """False where the number of heads cannot be divided among GPUs."""
    lora: bool = True
    float16: bool = True
    """False where vLLM refuses float16 because the model overflows in it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersSettings:
    """How the transformers server is started for this model."""

    torch_dtype: str
    chat_template: str = ""
    """File name under /workspace/chat_templates."""
    trust_remote_code: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSettings:
    """What fine-tuning this model needs."""

    gpu_memory_gib: float
    """What KAITO lists as the GPU memory tuning needs; measured for lora at 16 bits."""
    qlora_gpu_memory_gib: float | None = None
    """What KAITO lists for qlora, where it lists it."""
    disk_gib: int
    image: str
    """The image with the weights, `kaito-<name>`."""
    tag: str
    target_modules: tuple[str, ...] = ()
    """Modules that are adapted unless the user's config names some; empty: peft decides."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One model of the catalog."""

    name: str
    """The canonical name, and the name the model is served under."""
    repository: str
    """The Hugging Face id, in its own spelling."""
    aliases: tuple[str, ...] = ()
    era: Era = "current"
    """`legacy`: served by earlier KAITO releases, not by v0.12."""
    license: str = ""
    architectures: tuple[str, ...] = ()
    weights_gib: float | None
    """The weight files' size; None where it was never listed (legacy only)."""
    listed_gpu_memory_gib: float | None = None
    """Legacy only: the total GPU memory earlier KAITO releases asked for."""
    context: int
    """The longest context the model can do, in tokens."""
    attention: Attention
    quantization: str = ""
    """How the weights are quantised; empty for plain 16-bit weights."""
    dtype: str
    """What the engine is told: `bfloat16`, `float16`, or `auto` for quantised weights."""
    gated: bool = False
    """The weights can only be downloaded with a token whose account accepted a licence."""
    vllm: VllmSettings | None = None
    transformers: TransformersSettings | None = None
    tuning: TuningSettings | None = None

    @property
    def model_id(self) -> str:
        """The id engines are given: KAITO lower-cases it, and Hugging Face accepts that."""
        return self.repository.lower()

    @property
    def size_gib(self) -> float:
        """What sizing takes for the weights: their size, or what stands in for it."""
        size = self.weights_gib if self.weights_gib is not None else self.listed_gpu_memory_gib
        if size is None:
            raise ValueError(f"preset {self.name} has no size")
        return size

    @property
    def disk_gib(self) -> int:
        """Disk of an inference node: weights, and 80 GiB for image and system (KAITO's rule)."""
        return int(self.size_gib + 80)

    @property
    def startup_seconds(self) -> int:
        """How long the engine may take to start: 15 min + 18 s a GiB, within 30 to 180 min."""
        return ceil(min(max(900 + 18 * self.size_gib, 1800), 10800))
