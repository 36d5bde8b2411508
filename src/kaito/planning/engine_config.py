"""What the user's ConfigMaps say, as far as planning has to know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import yaml

from kaito.api.names import INFERENCE_CONFIG_KEY, TRAINING_CONFIG_KEY

TRAINING_SECTIONS: Final = (
    "ModelConfig",
    "QuantizationConfig",
    "LoraConfig",
    "TrainingArguments",
    "DatasetConfig",
    "DataCollator",
)
"""The sections of `training_config` that the image's fine_tuning.py knows."""


class ConfigProblem(Exception):
    """The content cannot work. `missing` when the key itself is absent."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """`inference_config.yaml`."""

    max_model_len: int | None = None
    memory_utilization: float | None = None
    warnings: tuple[str, ...] = ()


def _mapping(data: Mapping[str, str], key: str) -> dict[str, Any]:
    text = data.get(key)
    if text is None:
        raise ConfigProblem(f"has no key {key}", missing=True)
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigProblem(f"{key} is not YAML{where}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigProblem(f"{key} must be a mapping")
    return found


def engine_config(data: Mapping[str, str]) -> EngineConfig:
    """Read the `data` of the ConfigMap of `inference.config`. Raises ConfigProblem."""
    section = _mapping(data, INFERENCE_CONFIG_KEY).get("vllm") or {}
    if not isinstance(section, dict):
        raise ConfigProblem(f"vllm in {INFERENCE_CONFIG_KEY} must be a mapping of flag to value")
    warnings = []
    for flag, value in section.items():
        if isinstance(value, (dict, list)):
            raise ConfigProblem(f"vllm.{flag} must be a single value, not a {type(value).__name__}")
        if isinstance(value, bool):
            # The image's wrapper writes `--flag False`, which argparse reads as the bare flag.
            warnings.append(
                f"vllm.{flag}: {str(value).lower()} is passed on as `--{flag} {value}`, which "
                "switches the flag on whatever the value; use its --no- form, or leave it out"
            )
    return EngineConfig(
        max_model_len=_max_model_len(section.get("max-model-len")),
        memory_utilization=_utilization(section.get("gpu-memory-utilization")),
        warnings=tuple(warnings),
    )


def _max_model_len(value: Any) -> int | None:
    if value is None or value == "auto":
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ConfigProblem(f"vllm.max-model-len must be a positive integer or auto, not {value}")
    return int(text)


def _utilization(value: Any) -> float | None:
    if value is None:
        return None
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigProblem(f"vllm.gpu-memory-utilization must be between 0 and 1, not {value}")
    return share


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """`training_config.yaml`."""

    output_dir: str
    """Absolute, below /mnt."""
    model_dtype: str = ""
    compute_dtype: str = ""
    quantized: bool = False


def training_config(data: Mapping[str, str], method: str) -> TrainingConfig:
    """Read the `data` of the ConfigMap of `tuning.config`. Raises ConfigProblem."""
    sections = _mapping(data, TRAINING_CONFIG_KEY).get("training_config")
    if not isinstance(sections, dict):
        raise ConfigProblem(f"{TRAINING_CONFIG_KEY} must have a mapping called training_config")
    for name, content in sections.items():
        if name not in TRAINING_SECTIONS:
            known = ", ".join(TRAINING_SECTIONS)
            raise ConfigProblem(f"training_config.{name} is not a section; known are {known}")
        if content is not None and not isinstance(content, dict):
            raise ConfigProblem(f"training_config.{name} must be a mapping")
    quantized = _quantized(sections.get("QuantizationConfig") or {}, method)
    arguments = sections.get("TrainingArguments") or {}
    return TrainingConfig(
        output_dir=output_dir(arguments.get("output_dir", "")),
        model_dtype=str((sections.get("ModelConfig") or {}).get("torch_dtype") or ""),
        compute_dtype=str(
            (sections.get("QuantizationConfig") or {}).get("bnb_4bit_compute_dtype") or ""
        ),
        quantized=quantized,
    )


def _quantized(section: dict[str, Any], method: str) -> bool:
    four, eight = section.get("load_in_4bit"), section.get("load_in_8bit")
    for name, value in (("load_in_4bit", four), ("load_in_8bit", eight)):
        if value is not None and not isinstance(value, bool):
            raise ConfigProblem(f"QuantizationConfig.{name} must be true or false, not {value}")
    if four and eight:
        raise ConfigProblem("QuantizationConfig cannot set both load_in_4bit and load_in_8bit")
    if method == "lora" and (four or eight):
        raise ConfigProblem("method lora trains unquantised weights: set no load_in_4bit or 8bit")
    if method == "qlora" and not (four or eight):
        raise ConfigProblem("method qlora needs load_in_4bit or load_in_8bit in QuantizationConfig")
    return bool(four or eight)


DEFAULT_OUTPUT_DIR: Final = "/mnt/output"
"""Where training writes when the config does not say (KAITO)."""


def output_dir(value: Any) -> str:
    """The absolute path below /mnt that `TrainingArguments.output_dir` means.

    Raises ConfigProblem for one that is /mnt itself or leaves it.
    """
    if not value:
        return DEFAULT_OUTPUT_DIR
    if not isinstance(value, str):
        raise ConfigProblem(f"TrainingArguments.output_dir must be a path, not {value}")
    inside = value.removeprefix("/mnt") if value == "/mnt" or value.startswith("/mnt/") else value
    parts: list[str] = []
    for part in inside.split("/"):
        if part == ".." and not parts:
            raise ConfigProblem(f"TrainingArguments.output_dir {value} leaves /mnt")
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise ConfigProblem("TrainingArguments.output_dir must be a folder below /mnt")
    return "/mnt/" + "/".join(parts)
