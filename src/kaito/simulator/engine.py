"""The inference engine that runs in every simulated GPU pod. It says that it is simulated.

An engine process is found by the pod it runs in: what it serves is read off the container's command
line, how long it has been up off the pod's status. So the engine needs no list of its own, and a
pod that restarts begins again with loading its model. Only counters are kept, per process.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, final

import msgspec

from kaito.kube.clock import Clock, parse_rfc3339
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response, Stream
from kaito.presets import catalog
from kaito.simulator import answers, exposition
from kaito.simulator.exposition import Counters
from kaito.simulator.images import GIB
from kaito.simulator.programs import Program, Serve, Train, program_of

Process = tuple[str, str, int]
"""(pod UID, container, restarts): one engine process."""


UNKNOWN_WEIGHTS = 8 * GIB
"""What a model weighs that is in no catalog."""


@cache
def weights_of_preset(model: str) -> int:
    """The weight files of a preset, by its name or Hugging Face id, in bytes."""
    preset = catalog.find(model)
    if isinstance(preset, catalog.UnknownPreset):
        return UNKNOWN_WEIGHTS
    return int(preset.size_gib * GIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How fast a simulated engine is. The defaults are of the order of a single A100 machine."""

    boot_seconds: float = 20.0
    """From the start of the container to the start of the download: imports, argument parsing."""
    download_bytes_per_second: float = 300e6
    """From Hugging Face, where the command line names a model id rather than a path."""
    load_bytes_per_second: float = 1.5e9
    """From disk into GPU memory."""
    warm_seconds: float = 30.0
    """Compilation and CUDA graphs."""
    weights_bytes: Callable[[str], int] = weights_of_preset
    """Size of a model by its id or served name."""
    first_token_seconds: float = 0.2
    token_seconds: float = 0.02
    capacity: int = 256
    """`max_num_seqs`: more requests than this wait, more than twice as many are refused."""
    blocks: int = 20_000
    """KV cache blocks of 16 tokens."""
    benchmark_seconds: float = 60.0


@final
class Engine:
    """Answers HTTP requests to the containers of simulated pods."""

    def __init__(self, clock: Clock, options: EngineOptions | None = None) -> None:
        self._clock = clock
        self.options = options or EngineOptions()
        self._counters: dict[Process, Counters] = {}
        self._sick: dict[str, int] = {}
        self._began: dict[Process, float] = {}

    # ---- what the kubelet asks

    def loading_seconds(self, program: Program) -> float:
        """From a container's start until it answers /health with 200."""
        if not isinstance(program, Serve):
            return 0.0
        options, size = self.options, self.options.weights_bytes(program.model)
        remote = bool(program.weights) and not program.weights.startswith("/")
        download = size / options.download_bytes_per_second if remote else 0.0
        load = size / options.load_bytes_per_second
        return options.boot_seconds + download + load + options.warm_seconds

    def sick(self, uid: str) -> int:
        """The status that this pod's engine answers to probes while it is made to be ill, or 0."""
        return self._sick.get(uid, 0)

    def infect(self, uid: str, status: int = 503) -> None:
        """Let the engine of a pod answer every request with `status` until it is cured."""
        self._sick[uid] = status

    def cure(self, uid: str) -> None:
        self._sick.pop(uid, None)

    def benchmark(self, at: float) -> tuple[str, ...]:
        """The lines that a benchmark which ended `at` (epoch seconds) leaves in the log."""
        concurrency = self.options.blocks // (2304 // 16)
        per_request = self.options.first_token_seconds + 256 * self.options.token_seconds
        minute = int(concurrency * (2048 + 256) * 60 / max(per_request, 0.001))
        config = {
            "duration_sec": self.options.benchmark_seconds,
            "input_tokens": 2048,
            "output_tokens": 256,
            "max_concurrency": concurrency,
        }
        result = {
            "vllm_total_tpm": minute,
            "ttft_avg_ms": self.options.first_token_seconds * 1000,
            "tpot_avg_ms": self.options.token_seconds * 1000,
        }
        return tuple(
            f"{name} {int(at)} {msgspec.json.encode(value).decode()}"
            for name, value in (
                ("KAITO_BENCHMARK_CONFIG", config),
                ("KAITO_BENCHMARK_RESULT", result),
            )
        )

    def began(self, uid: str, container: str, restarts: int, at: float) -> None:
        """When a process started (epoch seconds), more precisely than a status can say it."""
        self._began[uid, container, restarts] = at
        self._began.pop((uid, container, restarts - 1), None)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._sick.pop(uid, None)
        for process in [p for p in self._counters if p[0] == uid]:
            del self._counters[process]
        for process in [p for p in self._began if p[0] == uid]:
            del self._began[process]

    # ---- what clients ask

    async def handle(self, pod: Json, request: Request, *, port: int = 5000) -> Response | Stream:
        """The answer of whichever container of `pod` listens on `port`.

        Raises ConnectionRefusedError when none does (yet).
        """
        process = self._listener(pod, port)
        if process is None:
            raise ConnectionRefusedError(f"{pod['metadata']['name']}:{port}")
        if status := self.sick(pod["metadata"]["uid"]):
            return answers.detail(status, "made ill on purpose")
        return await process.answer(request)

    def listens(self, pod: Json, port: int) -> bool:
        """Whether a connection to that port of the pod is accepted now."""
        return self._listener(pod, port) is not None

    def _listener(self, pod: Json, port: int) -> "_Process | None":
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        running = {s["name"]: s for s in statuses if (s.get("state") or {}).get("running")}
        for container in pod["spec"]["containers"]:
            status = running.get(container["name"])
            program = program_of(pod, container)
            if status is None or getattr(program, "port", None) != port:
                continue
            key = (pod["metadata"]["uid"], container["name"], status.get("restartCount", 0))
            left = self.loading_seconds(program) - self._age(key, status)
            if left > 0 and not (isinstance(program, Serve) and program.runtime == "vllm"):
                return None
            counters = self._counters.setdefault(key, Counters())
            return _Process(self._clock, self.options, program, counters, left)
        return None

    def _age(self, key: Process, status: Json) -> float:
        """Seconds since the process started."""
        began = self._began.get(key)
        if began is None:
            began = parse_rfc3339(status["state"]["running"]["startedAt"]).timestamp()
        return self._clock.wall().timestamp() - began


@final
@dataclass(frozen=True, slots=True)
class _Process:
    """One running engine, for the length of one request."""

    clock: Clock
    options: EngineOptions
    program: Program
    counters: Counters = field(hash=False)
    loading: float
    """Seconds until the model is loaded; not positive: it is."""

    async def answer(self, request: Request) -> Response | Stream:
        if isinstance(self.program, Train):
            return self._training(request)
        if not isinstance(self.program, Serve):
            return answers.detail(404, "Not Found")
        if self.loading > 0:
            return self._preparing(request, self.program)
        return await self._serve(self.program, request)

    async def _serve(self, serve: Serve, request: Request) -> Response | Stream:
        match (request.method, request.path.rstrip("/")):
            case ("GET", "/health"):
                return self._health(serve)
            case ("GET", "/metrics"):
                return self._metrics(serve)
            case ("GET", "/version"):
                return answers.json_response({"version": "kaito-simulated-engine"})
            case ("GET", "/v1/models"):
                return self._models(serve)
            case ("POST", "/v1/chat/completions"):
                return await self._complete(serve, request, chatting=True)
            case ("POST", "/v1/completions") if serve.runtime == "vllm":
                return await self._complete(serve, request, chatting=False)
            case ("POST", "/chat") if serve.runtime == "transformers":
                return await self._old_chat(serve, request)
            case _:
                return self._no_route(request)

    def _no_route(self, request: Request) -> Response:
        known = {"/health", "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions"}
        if request.path.rstrip("/") in known:
            return answers.detail(405, "Method Not Allowed")
        return answers.detail(404, "Not Found")

    def _training(self, request: Request) -> Response:
        if (request.method, request.path) == ("GET", "/metrics"):
            return answers.json_response({"gpu_info": [], "simulated": True})
        return answers.detail(404, "Not Found")

    def _preparing(self, request: Request, serve: Serve) -> Response:
        if (request.method, request.path) != ("GET", "/metrics"):
            return answers.detail(404, "Not Found")
        speed = self.options.download_bytes_per_second
        series = exposition.downloading(serve.model, speed, round(self.loading, 1))
        return _exposed(series)

    def _health(self, serve: Serve) -> Response:
        if serve.runtime == "vllm":
            return Response(status=200)
        return answers.json_response({"status": "Healthy"})

    def _metrics(self, serve: Serve) -> Response:
        if serve.runtime != "vllm":
            return answers.json_response({"gpu_info": [], "simulated": True})
        options = self.options
        return _exposed(
            exposition.serving(
                serve.model, self.counters, capacity=options.capacity, blocks=options.blocks
            )
        )

    def _models(self, serve: Serve) -> Response:
        owner = "kaito" if serve.runtime == "transformers" else "vllm"
        created = int(self.clock.wall().timestamp())
        names = (serve.model, *serve.adapters)
        data = [
            {
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": owner,
                "root": serve.weights or name,
                "parent": serve.model if name in serve.adapters else None,
            }
            for name in names
        ]
        return answers.json_response({"object": "list", "data": data})

    async def _old_chat(self, serve: Serve, request: Request) -> Response:
        asked = _body(request)
        prompt = _chat_question(asked)
        if asked is None:
            return answers.detail(422, "the body is not a JSON object")
        if prompt is None:
            return answers.detail(400, "Text generation parameter prompt required")
        answer = self._answer(serve, serve.model, prompt, asked)
        await self._spend(answer, self.options.first_token_seconds)
        return answers.json_response({"Result": answer.text})

    async def _complete(
        self, serve: Serve, request: Request, *, chatting: bool
    ) -> Response | Stream:
        asked = _body(request)
        if asked is None:
            return answers.refusal(400, "BadRequestError", "the body is not a JSON object")
        question = (
            answers.question_of(asked.get("messages")) if chatting else _prompt(asked.get("prompt"))
        )
        if question is None:
            missing = "messages" if chatting else "prompt"
            return answers.refusal(400, "BadRequestError", f"{missing}: field required")
        model = asked.get("model") or serve.model
        if model not in (serve.model, *serve.adapters):
            message = f"The model `{model}` does not exist."
            return answers.refusal(404, "NotFoundError", message)
        if self.counters.in_flight >= 2 * self.options.capacity:
            self.counters.rejected += 1
            error = {"type": "requests", "code": "rate_limit_exceeded", "message": "too busy"}
            return answers.json_response({"error": error}, 429)
        answer = self._answer(serve, model, question, asked)
        if asked.get("stream"):
            wanted = (asked.get("stream_options") or {}).get("include_usage", False)
            chunks = self._stream(answer, chatting=chatting, with_usage=bool(wanted))
            headers = {"content-type": "text/event-stream; charset=utf-8"}
            return Stream(status=200, headers=headers, chunks=chunks)
        await self._spend(answer, self.options.first_token_seconds)
        shape = answers.chat if chatting else answers.text_completion
        return answers.json_response(shape(answer))

    def _answer(self, serve: Serve, model: str, question: str, asked: Json) -> answers.Completion:
        limit = asked.get("max_completion_tokens", asked.get("max_tokens"))
        return answers.complete(
            model,
            question,
            adapter_images=serve.adapter_images,
            limit=limit if isinstance(limit, int) else None,
            created=int(self.clock.wall().timestamp()),
        )

    async def _spend(self, answer: answers.Completion, first: float) -> None:
        """Take the time that generating would take, and count it."""
        seconds = first + len(answer.tokens) * self.options.token_seconds
        self.counters.in_flight += 1
        try:
            await self.clock.sleep(seconds)
        finally:
            self.counters.in_flight -= 1
        self._count(answer, seconds)

    def _count(self, answer: answers.Completion, seconds: float) -> None:
        counters = self.counters
        counters.prompt_tokens += answer.prompt_tokens
        counters.generation_tokens += len(answer.tokens)
        reason = answer.finish_reason
        counters.finished[reason] = counters.finished.get(reason, 0) + 1
        counters.seconds += seconds

    async def _stream(
        self, answer: answers.Completion, *, chatting: bool, with_usage: bool
    ) -> AsyncIterator[bytes]:
        start = self.clock.monotonic()
        self.counters.in_flight += 1
        try:
            await self.clock.sleep(self.options.first_token_seconds)
            for piece in answers.pieces(answer, chatting=chatting, with_usage=with_usage):
                yield answers.sent_event(piece)
                await self.clock.sleep(self.options.token_seconds)
            yield answers.DONE
        finally:
            self.counters.in_flight -= 1
        self._count(answer, self.clock.monotonic() - start)


def _exposed(series: list[exposition.Series]) -> Response:
    headers = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
    return Response(status=200, headers=headers, body=exposition.render(series))


def _body(request: Request) -> Json | None:
    try:
        value: Any = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def _prompt(value: Any) -> str | None:
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = value[0]
    return value if isinstance(value, str) and value else None


def _chat_question(asked: Json | None) -> str | None:
    """What `/chat` was asked, by prompt or by messages."""
    if asked is None:
        return None
    return _prompt(asked.get("prompt")) or answers.question_of(asked.get("messages"))
