"""The inference engine of simulated pods."""

import json

import pytest

from kaito.kube.clock import LoopClock, rfc3339
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response, Stream
from kaito.simulator.engine import Engine, EngineOptions
from kaito.simulator.programs import program_of
from tests.simulator.pods import TRANSFORMERS, VLLM, container, pod, shell


def _post(path: str, body: object) -> Request:
    return Request(method="POST", path=path, body=json.dumps(body).encode())


def _get(path: str) -> Request:
    return Request(method="GET", path=path)


async def _loaded(command: str = VLLM, **spec: object) -> tuple[Engine, Json]:
    """An engine, and a pod whose server has loaded its model."""
    clock = LoopClock()
    engine = Engine(clock)
    made = pod(shell(command), started=rfc3339(clock.wall()), **spec)
    loading = engine.loading_seconds(program_of(made, made["spec"]["containers"][0]))
    await clock.sleep(loading + 1)
    return engine, made


async def _json(engine: Engine, made: Json, request: Request, status: int = 200) -> Json:
    answer = await engine.handle(made, request)
    assert isinstance(answer, Response)
    assert answer.status == status, answer.body
    value: Json = json.loads(answer.body)
    return value


async def test_an_answer_says_that_no_model_was_used():
    """A chat completion has OpenAI's shape, repeats the question, and says it is simulated."""
    engine, made = await _loaded()
    request = {"messages": [{"role": "user", "content": "What is a node pool?"}]}

    body = await _json(engine, made, _post("/v1/chat/completions", request))

    text = body["choices"][0]["message"]["content"]
    assert "simulated" in text
    assert "no model was used" in text
    assert "What is a node pool?" in text
    assert body["model"] == "phi-4-mini-instruct"
    assert body["usage"]["completion_tokens"] == len(text.split())
    again = await _json(engine, made, _post("/v1/chat/completions", request))
    assert again["choices"] == body["choices"]


async def test_a_stream_carries_the_same_words_piece_by_piece():
    """With `stream` the answer arrives as server-sent events that end with [DONE]."""
    engine, made = await _loaded()
    asked = {"messages": [{"role": "user", "content": "Hello"}]}
    whole = await _json(engine, made, _post("/v1/chat/completions", asked))
    wanted = {**asked, "stream": True, "stream_options": {"include_usage": True}}

    answer = await engine.handle(made, _post("/v1/chat/completions", wanted))

    assert isinstance(answer, Stream)
    lines = b"".join([chunk async for chunk in answer.chunks]).decode().strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    pieces = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    text = "".join(p["choices"][0]["delta"].get("content", "") for p in pieces if p["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert pieces[-1]["usage"] == whole["usage"]


async def test_a_limit_of_tokens_is_kept():
    """`max_tokens` cuts the answer and the finish reason says so."""
    engine, made = await _loaded()

    body = await _json(engine, made, _post("/v1/completions", {"prompt": "Hello", "max_tokens": 3}))

    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", {"messages": []}, 400),
        ("/v1/chat/completions", {"messages": "x", "model": "phi-4-mini-instruct"}, 400),
        ("/v1/completions", {"prompt": "x", "model": "other"}, 404),
        ("/chat", {"prompt": "x"}, 404),
    ],
)
async def test_vllm_refuses_what_it_cannot_answer(path: str, body: object, status: int):
    """A request without a question, for another model, or for another API is refused."""
    engine, made = await _loaded()
    await _json(engine, made, _post(path, body), status)


async def test_while_the_model_loads_only_metrics_answer():
    """vLLM's server answers /metrics during the download and 404 to everything else."""
    clock = LoopClock()
    engine = Engine(clock)
    made = pod(shell(VLLM), started=rfc3339(clock.wall()))

    health = await engine.handle(made, _get("/health"))
    metrics = await engine.handle(made, _get("/metrics"))

    assert health.status == 404
    assert isinstance(metrics, Response)
    assert b"kaito_model_download_remaining_seconds{" in metrics.body


async def test_metrics_count_tokens_under_vllms_names():
    """The series that autoscalers and dashboards read exist and count."""
    engine, made = await _loaded()
    body = await _json(engine, made, _post("/v1/completions", {"prompt": "one two three"}))

    answer = await engine.handle(made, _get("/metrics"))

    assert isinstance(answer, Response)
    values = {
        line.rsplit(" ", 1)[0].partition("{")[0]: float(line.rsplit(" ", 1)[1])
        for line in answer.body.decode().splitlines()
        if not line.startswith("#")
    }
    assert values["vllm:num_requests_waiting"] == 0
    assert values["vllm:num_requests_running"] == 0
    assert values["vllm:prompt_tokens_total"] == 3
    assert values["vllm:generation_tokens_total"] == body["usage"]["completion_tokens"]


async def test_too_many_requests_are_refused():
    """Beyond twice its capacity the engine answers 429 with the wrapper's error."""
    clock = LoopClock()
    engine = Engine(clock, EngineOptions(capacity=0))
    made = pod(shell(VLLM), started=rfc3339(clock.wall()))
    await clock.sleep(3600)

    body = await _json(engine, made, _post("/v1/completions", {"prompt": "x"}), 429)

    assert body["error"]["code"] == "rate_limit_exceeded"


async def test_models_are_listed_by_served_name():
    """/v1/models names the served model and its adapters."""
    engine, made = await _loaded(f"{VLLM} --lora-modules tuned=/mnt/adapter/tuned")

    body = await _json(engine, made, _get("/v1/models"))

    assert [model["id"] for model in body["data"]] == ["phi-4-mini-instruct", "tuned"]


async def test_the_old_chat_endpoint_answers_with_a_result():
    """The transformers server keeps `/chat`: {"prompt"} to {"Result"}, 400 without a prompt."""
    engine, made = await _loaded(TRANSFORMERS)

    good = await _json(engine, made, _post("/chat", {"prompt": "YOUR QUESTION HERE"}))
    bad = await _json(engine, made, _post("/chat", {"generate_kwargs": {}}), 400)

    assert "YOUR QUESTION HERE" in good["Result"]
    assert bad["detail"]


def _tuned() -> Json:
    weights = container(
        "weights", command=["oras", "pull", "mcr.microsoft.com/aks/kaito/kaito-phi-3:0.2.0"]
    )
    puller = container(
        "adapter-puller",
        image="mcr.microsoft.com/aks/skopeo:1.14.4-6",
        command=["/bin/sh", "-c", "skopeo copy"],
        env=[
            {"name": "IMAGE", "value": "acr.azurecr.io/adapter:0.0.1"},
            {"name": "TARGET_DIR", "value": "/mnt/adapter/tuned"},
        ],
    )
    clock = LoopClock()
    served = TRANSFORMERS.replace("microsoft/Phi-3", "/workspace/weights")
    served = served.replace("--served_model_name=phi-3 ", "")
    return pod(shell(served), initContainers=[weights, puller], started=rfc3339(clock.wall()))


async def test_a_served_adapter_is_named_in_the_answer():
    """`/chat` names the model by the image its weights come from, and the adapter's image."""
    clock = LoopClock()
    engine = Engine(clock)
    made = _tuned()
    await clock.sleep(3600)

    body = await _json(engine, made, _post("/chat", {"prompt": "Hello"}))

    assert "phi-3 with the adapter acr.azurecr.io/adapter:0.0.1" in body["Result"]


async def test_a_port_without_a_listener_refuses():
    """Connections to other ports, or to containers that do not run, are refused."""
    engine, made = await _loaded()

    with pytest.raises(ConnectionRefusedError):
        await engine.handle(made, _get("/health"), port=5001)
    made["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    with pytest.raises(ConnectionRefusedError):
        await engine.handle(made, _get("/health"))
