"""models.yaml, written by people, becomes _compiled.py, imported by programs.

So the catalog is checked once, when it is edited, and costs no parsing at start.
"""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kaito.presets.preset import (
    Attention,
    Preset,
    TransformersSettings,
    TuningSettings,
    VllmSettings,
)

SOURCE = Path(__file__).with_name("models.yaml")
TARGET = Path(__file__).with_name("_compiled.py")

_HEADER = '''"""Generated from models.yaml by `kaito.presets.compiler`; do not edit."""
# ruff: noqa: E501 - generated: one preset per line
# fmt: off

from kaito.presets.preset import (
    Attention,
    Preset,
    TransformersSettings,
    TuningSettings,
    VllmSettings,
)

PRESETS: tuple[Preset, ...] = (
'''


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Size(_Strict):
    weights_gib: float | None = Field(gt=0)
    gpu_memory_gib: float | None = Field(default=None, gt=0)
    context: int = Field(gt=0)


class _Attention(_Strict):
    kind: Literal["MHA", "GQA", "MQA", "MLA"]
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    latent_dim: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _latent(self) -> "_Attention":
        if (self.kind == "MLA") != (self.latent_dim > 0):
            raise ValueError("latent_dim belongs to MLA, and to MLA only")
        return self


class _Vllm(_Strict):
    load_format: str = "auto"
    config_format: str = "auto"
    tokenizer_mode: str = "auto"
    tool_call_parser: str = ""
    reasoning_parser: str = ""
    chat_template: str = ""
    extra: dict[str, str] = {}
    cpu_kv_offload: bool = True
    deep_gemm: bool = False
    cuda_toolkit: bool = False
    tensor_parallel: bool = True
    lora: bool = True
    float16: bool = True


class _Transformers(_Strict):
    torch_dtype: Literal["auto", "bfloat16", "float16"]
    chat_template: str = ""
    trust_remote_code: bool = False


class _Tuning(_Strict):
    gpu_memory_gib: float = Field(gt=0)
    qlora_gpu_memory_gib: float | None = Field(default=None, gt=0)
    disk_gib: int = Field(gt=0)
    image: str
    tag: str
    target_modules: tuple[str, ...] = ()


class Entry(_Strict):
    """One model as people write it."""

    id: str = Field(pattern=r"^[^/]+/[^/]+$")
    aliases: tuple[str, ...] = ()
    license: str = ""
    architectures: tuple[str, ...] = Field(min_length=1)
    size: _Size
    attention: _Attention
    quantization: str = ""
    dtype: Literal["", "bfloat16", "float16", "auto"] = ""
    vllm: _Vllm = _Vllm()
    transformers: _Transformers | None = None
    tuning: _Tuning | None = None
    gated: bool = False


def preset_of(entry: Entry, *, legacy: bool) -> Preset:
    """The preset that an entry describes."""
    vllm = entry.vllm.model_dump()
    extra = tuple(sorted(vllm.pop("extra").items()))
    transformers = entry.transformers
    return Preset(
        name=entry.id.split("/")[1].lower(),
        repository=entry.id,
        aliases=entry.aliases,
        era="legacy" if legacy else "current",
        license=entry.license,
        architectures=entry.architectures,
        weights_gib=entry.size.weights_gib,
        listed_gpu_memory_gib=entry.size.gpu_memory_gib,
        context=entry.size.context,
        attention=Attention(**entry.attention.model_dump()),
        quantization=entry.quantization,
        dtype=entry.dtype or ("auto" if entry.quantization else "bfloat16"),
        gated=entry.gated,
        vllm=VllmSettings(**vllm, extra=extra),
        transformers=TransformersSettings(**transformers.model_dump()) if transformers else None,
        tuning=TuningSettings(**entry.tuning.model_dump()) if entry.tuning else None,
    )


def compile_source(text: str) -> tuple[Preset, ...]:
    """Every preset of a models.yaml, in its order.

    Raises pydantic.ValidationError for an entry that does not fit, and ValueError for two models
    that claim one name.
    """
    document = yaml.safe_load(text)
    entries = [
        preset_of(Entry.model_validate(raw), legacy=legacy)
        for section, legacy in (("models", False), ("legacy", True))
        for raw in document.get(section) or ()
    ]
    seen: dict[str, str] = {}
    for preset in entries:
        for name in {preset.name, preset.model_id, *preset.aliases}:
            if name in seen:
                raise ValueError(f"{preset.repository} and {seen[name]} both claim {name}")
            seen[name] = preset.repository
    return tuple(entries)


def _source_of(value: Any) -> str:
    """The constructor call of a frozen value, fields at their defaults left out."""
    if not is_dataclass(value):
        return repr(value)
    words = []
    for spec in fields(value):
        found = getattr(value, spec.name)
        if spec.default is not MISSING and found == spec.default:
            continue
        words.append(f"{spec.name}={_source_of(found)}")
    return f"{type(value).__name__}({', '.join(words)})"


def generate(text: str) -> str:
    """The text of _compiled.py for the text of models.yaml."""
    lines = [f"    {_source_of(preset)}," for preset in compile_source(text)]
    return _HEADER + "\n".join(lines) + "\n)\n"
