"""The engine's metrics, in Prometheus' text format, under the names that vLLM gives them.

Autoscalers and dashboards read these names, so they are the contract; the numbers are counted from
the requests that the simulated engine has answered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

SIMULATED = "# Simulated by kaito: no model was used.\n"


@final
@dataclass(slots=True, kw_only=True)
class Counters:
    """What one engine process has done since it started."""

    in_flight: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    finished: dict[str, int] = field(default_factory=dict)
    """Successful requests by finish reason."""
    rejected: int = 0
    """Requests refused by the rate limit."""
    seconds: float = 0.0
    """Sum of the time that requests took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    name: str
    kind: str
    help: str
    samples: tuple[tuple[tuple[tuple[str, str], ...], float], ...]


def render(series: Iterable[Series]) -> bytes:
    """Prometheus' text exposition format, version 0.0.4."""
    lines = [SIMULATED]
    for one in series:
        lines.append(f"# HELP {one.name} {one.help}\n# TYPE {one.name} {one.kind}\n")
        for labels, value in one.samples:
            inside = ",".join(f'{name}="{_escape(text)}"' for name, text in labels)
            lines.append(f"{one.name}{{{inside}}} {float(value)}\n")
    return "".join(lines).encode()


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def serving(model: str, counters: Counters, *, capacity: int, blocks: int) -> list[Series]:
    """The series of an engine that has loaded its model.

    `capacity` is `max_num_seqs`: beyond it requests wait. `blocks` is the size of the KV cache.
    """
    labels = (("engine", "0"), ("model_name", model))
    running = min(counters.in_flight, capacity)

    def one(name: str, kind: str, text: str, value: float) -> Series:
        return Series(name=name, kind=kind, help=text, samples=((labels, value),))

    finished = tuple(
        ((*labels, ("finished_reason", reason)), float(counters.finished.get(reason, 0)))
        for reason in ("stop", "length", "abort")
    )
    cache = (
        *labels,
        ("block_size", "16"),
        ("cache_dtype", "auto"),
        ("num_gpu_blocks", str(blocks)),
    )
    requests = float(sum(counters.finished.values()))
    return [
        one("vllm:num_requests_running", "gauge", "Requests in execution.", running),
        one(
            "vllm:num_requests_waiting",
            "gauge",
            "Requests waiting to be processed.",
            counters.in_flight - running,
        ),
        one("vllm:kv_cache_usage_perc", "gauge", "KV cache in use, 0 to 1.", running / capacity),
        one(
            "vllm:prompt_tokens_total",
            "counter",
            "Prefill tokens processed.",
            counters.prompt_tokens,
        ),
        one(
            "vllm:generation_tokens_total",
            "counter",
            "Generation tokens processed.",
            counters.generation_tokens,
        ),
        Series(
            name="vllm:request_success_total",
            kind="counter",
            help="Requests processed successfully.",
            samples=finished,
        ),
        one("vllm:e2e_request_latency_seconds_sum", "counter", "Total time.", counters.seconds),
        one("vllm:e2e_request_latency_seconds_count", "counter", "Requests timed.", requests),
        Series(
            name="vllm:cache_config_info",
            kind="gauge",
            help="Information of the LLMEngine CacheConfig.",
            samples=((cache, 1.0),),
        ),
        one(
            "kaito_ratelimit_rejected_total",
            "counter",
            "Requests answered 429.",
            counters.rejected,
        ),
    ]


def downloading(model: str, speed: float, remaining: float) -> list[Series]:
    """What is served while the weights are being downloaded; -1: unknown."""
    labels = (("model_name", model),)
    return [
        Series(
            name="kaito_model_download_speed_bytes_per_second",
            kind="gauge",
            help="Speed of the download of the model.",
            samples=((labels, speed),),
        ),
        Series(
            name="kaito_model_download_remaining_seconds",
            kind="gauge",
            help="Estimated remaining time, -1 when unknown.",
            samples=((labels, remaining),),
        ),
    ]
