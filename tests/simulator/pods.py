"""Builders of the pods that the tests of the simulated world speak about."""

from typing import Any

from kaito.kube.objects import Json

VLLM = (
    "python3 /workspace/vllm/inference_api.py --model=microsoft/phi-4-mini-instruct "
    "--served-model-name=phi-4-mini-instruct --download-dir=/workspace/weights"
)
TRANSFORMERS = (
    "accelerate launch --num_processes=1 /workspace/tfs/inference_api.py "
    "--served_model_name=phi-3 --pretrained_model_name_or_path=microsoft/Phi-3 --pipeline=chat"
)


def container(name: str = "main", **fields: Any) -> Json:
    return {"name": name, "image": "mcr.microsoft.com/aks/kaito/kaito-base:0.5.0", **fields}


def pod(*containers: Json, name: str = "w-0", started: str = "", **spec: Any) -> Json:
    """A pod; with `started` every container runs since then."""
    made: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"},
        "spec": {"containers": list(containers) or [container()], **spec},
    }
    if started:
        running = {"running": {"startedAt": started}}
        made["status"] = {
            "phase": "Running",
            "containerStatuses": [
                {"name": c["name"], "restartCount": 0, "state": running}
                for c in made["spec"]["containers"]
            ],
        }
    return made


def shell(text: str, name: str = "main", **fields: Any) -> Json:
    return container(name, command=["/bin/sh", "-c", text], **fields)
