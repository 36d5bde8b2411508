"""Planning a Workspace that serves a model."""

from dataclasses import dataclass
from typing import Final, final

from kaito.api.names import INFERENCE_CONFIG_KEY, Annotation, Reason
from kaito.api.workspace import InferenceSpec
from kaito.planning.decision import Plan
from kaito.planning.engine_config import ConfigProblem, EngineConfig, engine_config
from kaito.planning.estimate import DEFAULT_CONTEXT, Estimate, estimate, utilization
from kaito.planning.parallelism import Parallelism, split
from kaito.planning.refusing import Refused
from kaito.planning.situation import Situation, access_secret
from kaito.planning.skus import SKUS, Sku
from kaito.presets import runtimes
from kaito.presets.blueprint import Blueprint, Flag, Slot
from kaito.presets.preset import Preset

BENCHMARK_TOKENS: Final = 2304
"""2048 in and 256 out: what one request of the start-up benchmark needs."""

TURING: Final = 7.5
_VOLTA_FORMATS: Final = ("", "gptq")
"""Weights that vLLM has kernels for below Turing (its table of quantisation and hardware)."""

_SUGGESTIONS: Final = 3
_INSTANCE_TYPE: Final = "resource.instanceType"


def plan(situation: Situation, spec: InferenceSpec, notes: tuple[str, ...]) -> Plan:
    """Raises Refused."""
    if situation.workspace.annotation(Annotation.RUNTIME) == "transformers":
        return _finish(situation, spec, _transformers(situation), notes)
    return _finish(situation, spec, _vllm(situation, spec), notes)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What a runtime decided."""

    blueprint: Blueprint
    flags: tuple[Flag, ...]
    nodes: int
    parallel: Parallelism
    dtype: str
    context: int
    config: EngineConfig
    benchmark: bool
    arithmetic: tuple[str, ...]
    warnings: tuple[str, ...]


def _finish(
    situation: Situation, spec: InferenceSpec, choice: _Choice, notes: tuple[str, ...]
) -> Plan:
    preset, sku, parallel = situation.preset, situation.sku, choice.parallel
    share = choice.config.memory_utilization
    slots = {
        Slot.DTYPE: choice.dtype,
        Slot.MEMORY_UTILIZATION: f"{utilization(sku) if share is None else share:g}",
        Slot.TENSOR_PARALLEL: str(parallel.tensor),
        Slot.GPUS: str(sku.gpus),
    }
    secret = access_secret(spec.preset)
    gated = _gated(preset, secret)
    vllm = choice.blueprint.runtime == "vllm"
    return Plan(
        kind="inference",
        runtime="vllm" if vllm else "transformers",
        preset=preset,
        blueprint=choice.blueprint,
        argv=choice.blueprint.argv(slots, choice.flags),
        sku=sku,
        nodes=choice.nodes,
        gpus_per_node=sku.gpus,
        tensor_parallel=parallel.tensor,
        pipeline_parallel=parallel.pipeline,
        data_parallel=parallel.data,
        dtype=choice.dtype,
        disk_gib=preset.disk_gib,
        context=choice.context,
        max_model_len=choice.config.max_model_len,
        node_labels=situation.node_labels,
        config_map=spec.config if vllm else "",
        access_secret=secret,
        load_balancer=situation.workspace.annotation(Annotation.ENABLE_LB) == "True",
        node_image_family=situation.node_image_family,
        benchmark=choice.benchmark,
        arithmetic=choice.arithmetic,
        warnings=(*notes, *situation.warnings, *gated, *choice.config.warnings, *choice.warnings),
    )


def _gated(preset: Preset, secret: str) -> tuple[str, ...]:
    if not preset.gated or secret:
        return ()
    where = "inference.preset.presetOptions.modelAccessSecret"
    return (f"{where}: {preset.repository} is gated; without a Secret the download is refused",)


def _vllm(situation: Situation, spec: InferenceSpec) -> _Choice:
    preset, sku = situation.preset, situation.sku
    blueprint = runtimes.vllm(preset)
    if blueprint is None:
        raise Refused(
            Reason.RUNTIME_NOT_SUPPORTED, f"{preset.name} does not run on vLLM", "inference.preset"
        )
    _computable(preset, sku)
    config = _config(situation, spec)
    context = config.max_model_len or DEFAULT_CONTEXT
    sized = estimate(preset, sku, context=context, share=config.memory_utilization)
    if sized.nodes != 1:
        raise _too_large(situation, sized, context)
    parallel = split(preset, sku, sized.nodes)
    _holds_copies(situation, parallel, sized)
    long_enough = config.max_model_len is None or config.max_model_len >= BENCHMARK_TOKENS
    wanted = situation.workspace.annotation(Annotation.DISABLE_BENCHMARK) != "true"
    short = f"the benchmark is off: it needs a max-model-len of {BENCHMARK_TOKENS} or more"
    return _Choice(
        blueprint=blueprint,
        flags=_flags(situation, spec, parallel),
        nodes=sized.nodes,
        parallel=parallel,
        dtype=situation.number_format(preset.dtype),
        context=context,
        config=config,
        benchmark=wanted and long_enough,
        arithmetic=sized.lines,
        warnings=(short,) if wanted and not long_enough else (),
    )


def _computable(preset: Preset, sku: Sku) -> None:
    """Refuse number formats that vLLM has no kernels for on this GPU."""
    if preset.vllm is not None and not preset.vllm.float16 and not sku.bfloat16:
        why = f"{preset.name} overflows in float16, and {sku.model} has no bfloat16"
    elif preset.quantization not in _VOLTA_FORMATS and (sku.capability or 0) < TURING:
        why = (
            f"{preset.name} has {preset.quantization} weights, which {sku.model} cannot compute in"
        )
    else:
        return
    advice = _advice(preset, sku, DEFAULT_CONTEXT)
    raise Refused(Reason.INSTANCE_TYPE_NOT_SUPPORTED, why + advice, _INSTANCE_TYPE)


def _config(situation: Situation, spec: InferenceSpec) -> EngineConfig:
    data = situation.facts.config
    if not spec.config or data is None:
        return EngineConfig()
    field = "inference.config"
    try:
        config = engine_config(data)
    except ConfigProblem as problem:
        reason = Reason.CONFIGMAP_KEY_MISSING if problem.missing else Reason.CONFIG_INVALID
        raise Refused(reason, f"ConfigMap {spec.config} {problem}", field) from problem
    limit = situation.preset.context
    if config.max_model_len is not None and config.max_model_len > limit:
        raise Refused(
            Reason.CONTEXT_TOO_LONG,
            f"vllm.max-model-len in {INFERENCE_CONFIG_KEY} of ConfigMap {spec.config} is "
            f"{config.max_model_len}; {situation.preset.name} can do {limit}",
            field,
        )
    return config


def _flags(situation: Situation, spec: InferenceSpec, parallel: Parallelism) -> tuple[Flag, ...]:
    flags = []
    if parallel.data > 1:
        flags += [Flag("data-parallel-size", str(parallel.data)), runtimes.NO_CPU_KV_OFFLOAD]
    if spec.config:
        flags.append(Flag("kaito-config-file", f"{runtimes.CONFIG_DIR}/{INFERENCE_CONFIG_KEY}"))
    mode = situation.workspace.annotation(Annotation.PERFORMANCE_MODE)
    if mode in ("interactivity", "throughput"):
        flags.append(Flag("performance-mode", mode))
    return tuple(flags)


def _holds_copies(situation: Situation, parallel: Parallelism, sized: Estimate) -> None:
    """With fewer GPUs per copy than GPUs in the node, each copy must still fit its own."""
    sku = situation.sku
    if parallel.data == 1 or sized.gpus <= parallel.tensor:
        return
    heads = situation.preset.attention.heads
    raise Refused(
        Reason.MODEL_TOO_LARGE,
        f"{situation.preset.name} needs {sized.gpus} GPUs of {sku.name}, and its {heads} attention "
        f"heads can be divided among {parallel.tensor} of the {sku.gpus}: {'; '.join(sized.lines)}",
        _INSTANCE_TYPE,
    )


def _too_large(situation: Situation, sized: Estimate, context: int) -> Refused:
    preset, sku = situation.preset, situation.sku
    arithmetic = "; ".join(sized.lines)
    advice = _advice(preset, sku, context)
    if not sized.fits:
        message = f"{preset.name} does not fit {sku.name}: {arithmetic}{advice}"
        return Refused(Reason.MODEL_TOO_LARGE, message, _INSTANCE_TYPE)
    message = (
        f"{preset.name} needs {sized.nodes} nodes of {sku.name}, and this version serves a model "
        f"from one node: {arithmetic}{advice}"
    )
    return Refused(Reason.MULTI_NODE_NOT_SERVED, message, _INSTANCE_TYPE)


def _advice(preset: Preset, sku: Sku, context: int) -> str:
    found = sufficient(preset, sku, context)
    if not found:
        return "; no known machine of this cloud holds it on one node"
    return f"; one node is enough with {', '.join(item.name for item in found)}"


def sufficient(preset: Preset, sku: Sku, context: int = DEFAULT_CONTEXT) -> tuple[Sku, ...]:
    """The smallest machines of the same cloud that hold the model on one node."""
    fitting = [
        other
        for other in SKUS
        if other.cloud == sku.cloud
        and other.bfloat16
        and other.retired is None
        and estimate(preset, other, context=context).nodes == 1
        and _copies_fit(preset, other, context)
    ]
    return tuple(sorted(fitting, key=lambda other: other.memory_gib)[:_SUGGESTIONS])


def _copies_fit(preset: Preset, sku: Sku, context: int) -> bool:
    parallel = split(preset, sku, 1)
    needed = estimate(preset, sku, context=context).gpus
    return parallel.data == 1 or needed <= parallel.tensor


def _transformers(situation: Situation) -> _Choice:
    preset, sku = situation.preset, situation.sku
    blueprint = runtimes.transformers(preset)
    settings = preset.transformers
    if blueprint is None or settings is None:
        raise Refused(
            Reason.RUNTIME_NOT_SUPPORTED,
            f"{preset.name} does not run on the transformers runtime; leave the annotation out",
            f'metadata.annotations["{Annotation.RUNTIME}"]',
        )
    line = f"weights: {preset.size_gib:g} GiB; {sku.name}: {sku.memory_gib} GiB GPU memory"
    warnings: tuple[str, ...] = ()
    if preset.size_gib > sku.memory_gib:
        message = f"{preset.name} does not fit {sku.name}, and this runtime uses one node: {line}"
        if Annotation.BYPASS_RESOURCE_CHECKS not in situation.workspace.metadata.annotations:
            advice = _advice(preset, sku, DEFAULT_CONTEXT)
            raise Refused(Reason.MODEL_TOO_LARGE, message + advice, _INSTANCE_TYPE)
        warnings = (message,)
    return _Choice(
        blueprint=blueprint,
        flags=(),
        nodes=1,
        parallel=Parallelism(tensor=1, pipeline=1, data=1),
        dtype=situation.number_format(settings.torch_dtype),
        context=preset.context,
        config=EngineConfig(),
        benchmark=False,
        arithmetic=(line,),
        warnings=warnings,
    )
