"""What a container would do, read off its image and command line."""

import pytest

from kaito.kube.objects import Json
from kaito.simulator import images
from kaito.simulator.programs import (
    Curl,
    Exit,
    Fetch,
    Idle,
    Pause,
    Program,
    Push,
    Serve,
    Train,
    program_of,
)
from tests.simulator.pods import TRANSFORMERS, container, pod, shell


def _of(made: Json, **spec: object) -> Program:
    return program_of(pod(made, **spec), made)


def test_a_server_is_read_off_its_flags():
    """Served name, port and model come from the command line; the last of two flags wins."""
    made = container(
        command=["python3", "/workspace/vllm/inference_api.py"],
        args=["--model", "microsoft/phi-4", "--port=5000", "--port", "5001"],
    )

    program = _of(made)

    assert isinstance(program, Serve)
    assert (program.runtime, program.model, program.port) == ("vllm", "phi-4", 5001)
    assert program.weights == "microsoft/phi-4"
    older = _of(shell(TRANSFORMERS))
    assert isinstance(older, Serve)
    assert (older.runtime, older.model) == ("transformers", "phi-3")


CURL = {"image": "curlimages/curl"}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (shell("cd /workspace/tfs && accelerate launch fine_tuning.py"), Train()),
        (
            container(command=["oras", "pull", "mcr.microsoft.com/a/b:1", "-o", "/w"]),
            Fetch(what="weights", sources=("mcr.microsoft.com/a/b:1",)),
        ),
        (
            shell("...", image="curlimages/curl", env=[{"name": "DATA_URLS", "value": "u v"}]),
            Fetch(what="data", sources=("u", "v")),
        ),
        (
            shell('oras push "$IMAGE" x', env=[{"name": "IMAGE", "value": "a.azurecr.io/b:1"}]),
            Push(image="a.azurecr.io/b:1"),
        ),
        (
            shell("IMG_REF='a.azurecr.io/b:1'\nSENTINEL_PATH=x\noras cp a b"),
            Push(image="a.azurecr.io/b:1", waits=True),
        ),
        (container(image="registry.k8s.io/pause:latest"), Pause()),
        (container(args=["curl", "-s", "http://x"], **CURL), Curl(argv=("-s", "http://x"))),
        (container(args=["-s", "http://x"], **CURL), Curl(argv=("-s", "http://x"))),
        (shell("curl -d '{\"a\": 1}' x", **CURL), Curl(argv=("-d", '{"a": 1}', "x"))),
        (container(command=["sleep", "5"]), Exit(after=5.0)),
        (shell("sleep 2; exit 3"), Exit(code=3, after=2.0)),
        (container(command=["sleep", "2m"]), Exit(after=120.0)),
        (shell("echo hello; sleep inf"), Idle(first=("hello",))),
        (
            shell("echo 'one, two'; sleep 1; echo three; exit 4"),
            Exit(code=4, after=1.0, first=("one, two",), last=("three",)),
        ),
        (container(args=["echo", "a", "b"]), Exit(after=0.0, first=("a b",))),
        (container(), Idle()),
    ],
)
def test_known_commands(made: Json, expected: Program):
    """Every kind of container that an operator renders is recognised."""
    assert _of(made) == expected


def test_an_unknown_task_ends_well():
    """In a pod that does not restart, an unknown command succeeds instead of running for ever."""
    assert _of(container(), restartPolicy="Never") == Exit()


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("curlimages/curl", "docker.io/curlimages/curl:latest"),
        ("mcr.microsoft.com/aks/kaito/kaito-base:0.5.0",) * 2,
        ("localhost:5000/a/b@sha256:" + "a" * 64,) * 2,
    ],
)
def test_references_are_completed(text: str, complete: str):
    """Registry and tag are filled in as container runtimes do."""
    assert str(images.parse(text)) == complete


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a b", "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1", "a:b:c", "x/-y"]
)
def test_bad_references_are_refused(text: str):
    """What no container runtime accepts is not a reference."""
    with pytest.raises(images.InvalidReference):
        images.parse(text)


def test_a_push_needs_credentials_for_its_registry():
    """Only who can log in to a registry can push there, and unknown registries do not exist."""
    registries = images.Registries()
    image = images.parse("acr.azurecr.io/adapter:1")

    assert "401" in registries.push_problem(image, frozenset({"other.azurecr.io"}))
    assert registries.push_problem(image, frozenset({"acr.azurecr.io"})) == ""
    unknown = images.parse("registry.example/x")
    assert "no such host" in registries.problem(unknown)
