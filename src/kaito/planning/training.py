"""Fine-tuning defaults, and what a run needs of a GPU."""

from dataclasses import dataclass
from typing import Any, Final, Literal, final

from kaito.planning.skus import Sku
from kaito.presets.preset import Preset

Method = Literal["lora", "qlora"]

OUTPUT_DIR: Final = "/mnt/results"
"""Where the defaults let training write (KAITO's templates)."""

QUANTIZED_SHARE: Final = 0.30
"""nf4 with double quantisation keeps 4.13 bits a parameter; embeddings and norms stay at 16. Of the
models that can be tuned none needs less than this share of its 16-bit size."""

WORKING_GIB: Final = 2.3
"""CUDA, the framework and the smallest batch: the least that training takes beside the weights."""


def default_config(method: Method, dtype: str) -> dict[str, Any]:
    """KAITO's default hyper-parameters for a method, in the number format the GPU computes in."""
    quantization: dict[str, Any] = {"load_in_4bit": method == "qlora"}
    if method == "qlora":
        quantization |= {
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": dtype,
            "bnb_4bit_use_double_quant": True,
        }
    return {
        "training_config": {
            "ModelConfig": {"torch_dtype": dtype, "local_files_only": True, "device_map": "auto"},
            "QuantizationConfig": quantization,
            "LoraConfig": {"r": 8, "lora_alpha": 8, "lora_dropout": 0.0},
            "TrainingArguments": {
                "output_dir": OUTPUT_DIR,
                "ddp_find_unused_parameters": False,
                "save_strategy": "no",
                "per_device_train_batch_size": 1,
            },
            "DataCollator": {"mlm": True},
            "DatasetConfig": {"shuffle_dataset": True, "train_test_split": 1},
        }
    }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The least GPU memory that a run can do with."""

    fits: bool
    lines: tuple[str, ...]


def need(preset: Preset, sku: Sku, method: Method) -> Need:
    """Whether every GPU can hold the model: each process of a run loads all of it."""
    share = QUANTIZED_SHARE if method == "qlora" else 1.0
    weights = preset.size_gib * share
    total = weights + WORKING_GIB
    fits = total <= sku.gpu_memory_gib
    sign = "<=" if fits else ">"
    return Need(
        fits=fits,
        lines=(
            f"weights for {method}: {preset.size_gib:g} GiB x {share:g} = {weights:.2f} GiB",
            f"at least: {weights:.2f} + {WORKING_GIB} = {total:.2f} GiB on every GPU",
            f"one {sku.model}: {total:.2f} GiB {sign} {sku.gpu_memory_gib:g} GiB",
        ),
    )
