"""Planning a Workspace that fine-tunes a model."""

from typing import Final, Literal

import yaml

from kaito.api.names import Annotation, Reason
from kaito.api.workspace import TuningSpec
from kaito.planning import training
from kaito.planning.decision import Plan, TuningPlan
from kaito.planning.engine_config import ConfigProblem, TrainingConfig, training_config
from kaito.planning.refusing import Refused
from kaito.planning.situation import Situation, access_secret
from kaito.presets import runtimes
from kaito.presets.blueprint import Slot
from kaito.presets.catalog import all_presets
from kaito.presets.preset import Preset

NODE_DISK_GIB: Final = 1024
"""KAITO's disk of a tuning node, whatever the model."""

_CONFIG: Final = "tuning.config"


def plan(situation: Situation, spec: TuningSpec, notes: tuple[str, ...]) -> Plan:
    """Raises Refused."""
    preset, sku = situation.preset, situation.sku
    blueprint = runtimes.tuning(preset)
    settings = preset.tuning
    if blueprint is None or settings is None:
        raise Refused(Reason.PRESET_NOT_TUNABLE, _not_tunable(preset), "tuning.preset.name")
    method: training.Method = "qlora" if spec.method.lower() == "qlora" else "lora"
    need = training.need(preset, sku, method)
    bypass = Annotation.BYPASS_RESOURCE_CHECKS in situation.workspace.metadata.annotations
    if not need.fits and not bypass:
        message = f"{preset.name} cannot be tuned on {sku.name}: {'; '.join(need.lines)}"
        raise Refused(Reason.MODEL_TOO_LARGE, message, "resource.instanceType")
    dtype = situation.number_format("bfloat16")
    config = _config(situation, spec, method)
    slots = {Slot.GPUS: str(sku.gpus), Slot.DTYPE: dtype}
    warnings = (*_memory_warning(situation, method), *_format_warnings(situation, spec, config))
    return Plan(
        kind="tuning",
        runtime="transformers",
        preset=preset,
        blueprint=blueprint,
        argv=blueprint.argv(slots),
        sku=sku,
        nodes=1,
        gpus_per_node=sku.gpus,
        tensor_parallel=1,
        pipeline_parallel=1,
        data_parallel=sku.gpus,
        dtype=dtype,
        disk_gib=NODE_DISK_GIB,
        context=preset.context,
        max_model_len=None,
        node_labels=situation.node_labels,
        config_map="",
        access_secret=access_secret(spec.preset),
        load_balancer=situation.workspace.annotation(Annotation.ENABLE_LB) == "True",
        node_image_family=situation.node_image_family,
        benchmark=False,
        arithmetic=need.lines,
        warnings=(*notes, *situation.warnings, *warnings),
        tuning=_tuning_plan(situation, spec, method, dtype, config),
    )


def _not_tunable(preset: Preset) -> str:
    names = ", ".join(other.name for other in all_presets() if other.tuning is not None)
    return f"{preset.name} cannot be fine-tuned; these can: {names}"


def _tuning_plan(
    situation: Situation,
    spec: TuningSpec,
    method: Literal["lora", "qlora"],
    dtype: str,
    config: TrainingConfig,
) -> TuningPlan:
    server = None
    if situation.workspace.annotation(Annotation.SERVE_AFTER_TUNING) != "false":
        server = runtimes.adapter_server(situation.preset)
    template = ""
    if not spec.config:
        template = yaml.safe_dump(training.default_config(method, dtype), sort_keys=False)
    return TuningPlan(
        method=method,
        input=spec.input,
        output=spec.output,
        config_map=spec.config or f"{situation.workspace.metadata.name}-{method}-params",
        template=template,
        output_dir=config.output_dir,
        server=server,
        server_argv=server.argv({Slot.DTYPE: dtype}) if server else (),
    )


def _config(situation: Situation, spec: TuningSpec, method: str) -> TrainingConfig:
    data = situation.facts.config
    if not spec.config:
        return TrainingConfig(output_dir=training.OUTPUT_DIR)
    if data is None:
        return TrainingConfig(output_dir=training.OUTPUT_DIR)
    try:
        return training_config(data, method)
    except ConfigProblem as problem:
        reason = Reason.CONFIGMAP_KEY_MISSING if problem.missing else Reason.CONFIG_INVALID
        raise Refused(reason, f"ConfigMap {spec.config} {problem}", _CONFIG) from problem


def _memory_warning(situation: Situation, method: str) -> tuple[str, ...]:
    settings = situation.preset.tuning
    if settings is None:
        return ()
    listed = settings.gpu_memory_gib if method == "lora" else settings.qlora_gpu_memory_gib
    if listed is None or listed <= situation.sku.memory_gib:
        return ()
    sku, name = situation.sku, situation.preset.name
    has = f"{sku.name} has {sku.memory_gib} GiB: keep sequences short"
    return (f"KAITO lists {listed:g} GiB of GPU memory for {method} of {name}; {has}",)


def _format_warnings(
    situation: Situation, spec: TuningSpec, config: TrainingConfig
) -> tuple[str, ...]:
    """The user's config is not ours to change; say what its GPU cannot do."""
    if situation.sku.bfloat16:
        return ()
    named = (
        ("ModelConfig.torch_dtype", config.model_dtype),
        ("QuantizationConfig.bnb_4bit_compute_dtype", config.compute_dtype),
    )
    return tuple(
        f"{_CONFIG}: ConfigMap {spec.config} sets {name} to {value}, which {situation.sku.model} "
        "cannot compute in; use float16"
        for name, value in named
        if value.removeprefix("torch.") == "bfloat16"
    )
