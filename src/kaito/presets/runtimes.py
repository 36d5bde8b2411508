"""How presets run on each runtime: a Preset becomes a Blueprint. Pure, and computed once each.

Program paths, flags, probes and environment are those of KAITO's image `kaito-base`, which this
project uses as it is.
"""

from functools import cache
from typing import Final

from kaito.presets.blueprint import Blueprint, Flag, Image, Mount, Port, Probe, Slot
from kaito.presets.preset import Preset, VllmSettings

BASE_IMAGE: Final = Image("kaito-base", "0.5.0")
"""vLLM 0.25.1 and transformers 5.14.1; one image for every model."""

CHAT_IMAGE: Final = Image("kaito-base", "0.0.8")
"""The last generation whose transformers server answers `POST /chat` and loads LoRA adapters from
/mnt/adapter; KAITO removed `/chat` in v0.9. It serves tuned adapters."""

HTTP_PORT: Final = 5000
KV_EVENTS_PORT: Final = 5557

WEIGHTS_DIR: Final = "/workspace/weights"
ADAPTER_DIR: Final = "/mnt/adapter"
CONFIG_DIR: Final = "/mnt/config"
DATA_DIR: Final = "/mnt/data"
CUDA_HOME: Final = "/opt/kaito/cuda/129"
"""Where the image's cuda-provision.sh puts the toolkit, on the node."""

NO_CPU_KV_OFFLOAD: Final = Flag("kaito-kv-cache-cpu-memory-utilization", "0")
"""Keeps KV cache on the GPU only; also needed with data or pipeline parallelism."""

_TEMPLATES: Final = "/workspace/chat_templates"
_SHM: Final = Mount("dshm", "/dev/shm", "memory")  # noqa: S108 - the pod's own shared memory
_WEIGHTS: Final = Mount("model-weights-volume", WEIGHTS_DIR)
_LIVENESS: Final = Probe(path="/health", port=HTTP_PORT)
_READINESS: Final = Probe(path="/health", port=HTTP_PORT, initial_delay=30)

_BENCHMARK_SECONDS: Final = 600
"""60 s of load plus up to 300 s of draining, with a margin; one attempt of the probe."""


def _startup(preset: Preset) -> Probe:
    return Probe(path="/health", port=HTTP_PORT, failures=-(-preset.startup_seconds // 10))


def _benchmark(preset: Preset) -> Probe:
    return Probe(
        command=("python3", "/workspace/vllm/benchmark_entrypoint.py"),
        timeout=_BENCHMARK_SECONDS,
        failures=-(-preset.startup_seconds // 10),
    )


def _sorted(*flags: Flag | None) -> tuple[Flag, ...]:
    return tuple(sorted((flag for flag in flags if flag is not None), key=lambda flag: flag.name))


def _optional(name: str, value: str) -> Flag | None:
    return Flag(name, value) if value else None


def _tool_flags(settings: VllmSettings) -> tuple[Flag | None, ...]:
    template = settings.chat_template
    return (
        Flag("enable-auto-tool-choice") if settings.tool_call_parser else None,
        _optional("tool-call-parser", settings.tool_call_parser),
        _optional("reasoning-parser", settings.reasoning_parser),
        Flag("chat-template", f"{_TEMPLATES}/{template}") if template else None,
    )


@cache
def vllm(preset: Preset) -> Blueprint | None:
    """The OpenAI-compatible server, the default runtime. None when the preset has no settings."""
    settings = preset.vllm
    if settings is None:
        return None
    env = {
        "VLLM_USE_DEEP_GEMM": "1" if settings.deep_gemm else "0",
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
    }
    if settings.cuda_toolkit:
        env["CUDA_HOME"] = CUDA_HOME
    return Blueprint(
        runtime="vllm",
        preset=preset.name,
        served_model_name=preset.name,
        image=BASE_IMAGE,
        program=("python3", "/workspace/vllm/inference_api.py"),
        flags=_sorted(
            Flag("model", preset.model_id),
            Flag("download-dir", WEIGHTS_DIR),
            Flag("served-model-name", preset.name),
            Flag("trust-remote-code"),
            Flag("dtype", Slot.DTYPE),
            Flag("load_format", settings.load_format),
            Flag("config_format", settings.config_format),
            Flag("tokenizer_mode", settings.tokenizer_mode),
            Flag("gpu-memory-utilization", Slot.MEMORY_UTILIZATION),
            Flag("max-model-len", "auto"),
            Flag("tensor-parallel-size", Slot.TENSOR_PARALLEL),
            Flag("kv-events-config", '{"enable_kv_cache_events":true}'),
            # The image has no nvcc, which this fusion would need.
            Flag("compilation-config.pass_config.fuse_allreduce_rms", "False"),
            None if settings.cpu_kv_offload else NO_CPU_KV_OFFLOAD,
            *_tool_flags(settings),
            *(Flag(name, value or None) for name, value in settings.extra),
        ),
        env=tuple(sorted(env.items())),
        ports=(Port(HTTP_PORT, "http"), Port(KV_EVENTS_PORT, "kv-events")),
        mounts=(_SHM, _WEIGHTS),
        startup=_startup(preset),
        benchmark=_benchmark(preset),
        liveness=_LIVENESS,
        readiness=_READINESS,
        cuda_toolkit=settings.cuda_toolkit,
    )


def _launcher(processes: str | Slot) -> tuple[Flag, ...]:
    return (
        Flag("num_processes", processes),
        Flag("num_machines", "1"),
        Flag("machine_rank", "0"),
        Flag("gpu_ids", "all"),
    )


@cache
def transformers(preset: Preset) -> Blueprint | None:
    """The transformers server. None when KAITO has no parameters for the preset."""
    settings = preset.transformers
    if settings is None:
        return None
    template = settings.chat_template
    return Blueprint(
        runtime="transformers",
        preset=preset.name,
        served_model_name=preset.name,
        image=BASE_IMAGE,
        program=("accelerate", "launch"),
        launcher_flags=_launcher("1"),
        script="/workspace/tfs/inference_api.py",
        flags=_sorted(
            Flag("pretrained_model_name_or_path", preset.model_id),
            Flag("served_model_name", preset.name),
            Flag("allow_remote_files"),
            Flag("pipeline", "text-generation"),
            Flag("torch_dtype", Slot.DTYPE),
            Flag("chat_template", f"{_TEMPLATES}/{template}") if template else None,
            Flag("trust_remote_code") if settings.trust_remote_code else None,
        ),
        ports=(Port(HTTP_PORT, "http"),),
        mounts=(_SHM, _WEIGHTS),
        startup=_startup(preset),
        liveness=_LIVENESS,
        readiness=_READINESS,
    )


@cache
def tuning(preset: Preset) -> Blueprint | None:
    """The fine-tuning run. None when the preset cannot be tuned."""
    settings = preset.tuning
    if settings is None:
        return None
    env = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    if settings.target_modules:
        env["DEFAULT_TARGET_MODULES"] = ",".join(settings.target_modules)
    return Blueprint(
        runtime="tuning",
        preset=preset.name,
        served_model_name=preset.name,
        image=BASE_IMAGE,
        # The metrics server runs beside the training, both from the image's own folder.
        prelude="cd /workspace/tfs/ && python3 metrics_server.py & ",
        program=("accelerate", "launch"),
        launcher_flags=(Flag("num_processes", Slot.GPUS),),
        script="/workspace/tfs/fine_tuning.py",
        env=tuple(sorted(env.items())),
        ports=(Port(HTTP_PORT),),
        mounts=(_SHM, _WEIGHTS, Mount("data-volume", DATA_DIR)),
        weights=Image(settings.image, settings.tag),
    )


@cache
def adapter_server(preset: Preset) -> Blueprint | None:
    """The server of a tuned adapter, with `/chat`. None when the preset cannot be tuned.

    It reads the base weights from the weights volume, filled from the same image as for tuning,
    and every folder of the adapter volume that holds an adapter_config.json.
    """
    settings = preset.tuning
    if settings is None:
        return None
    remote_code = preset.transformers is not None and preset.transformers.trust_remote_code
    return Blueprint(
        runtime="transformers",
        preset=preset.name,
        served_model_name=preset.name,
        image=CHAT_IMAGE,
        program=("accelerate", "launch"),
        launcher_flags=_launcher("1"),
        script="/workspace/tfs/inference_api.py",
        flags=_sorted(
            Flag("pipeline", "text-generation"),
            Flag("pretrained_model_name_or_path", WEIGHTS_DIR),
            Flag("torch_dtype", Slot.DTYPE),
            Flag("trust_remote_code") if remote_code else None,
        ),
        ports=(Port(HTTP_PORT, "http"),),
        mounts=(_SHM, _WEIGHTS, Mount("adapter-volume", ADAPTER_DIR)),
        startup=_startup(preset),
        liveness=_LIVENESS,
        readiness=_READINESS,
        weights=Image(settings.image, settings.tag),
    )
