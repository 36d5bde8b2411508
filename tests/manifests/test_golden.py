"""What Workspaces become, object by object. `make golden` rewrites the files; review the diff."""

import os
from pathlib import Path

import pytest
import yaml

from kaito.api.workspace import parse
from kaito.cli.output import yaml_text
from kaito.kube.objects import record_of
from kaito.manifests.render import render_all
from kaito.planning.plan import Facts, Plan, plan
from kaito.planning.skus import SKUS
from kaito.presets.catalog import all_presets
from tests.manifests.rendering import OPTIONS, TODAY, identity, load, planned, workspace

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[2] / "examples"


def seed():
    obj = load(EXAMPLES / "fine-tuning/kaito_workspace_tuning_phi_3.yaml")
    obj["tuning"]["output"] = {
        "image": "myregistry.azurecr.io/phi-3-dolly:0.0.1",
        "imagePushSecret": "my-registry",
    }
    return obj


def lora_on_a100():
    obj = seed()
    obj["resource"]["instanceType"] = "Standard_NC24ads_A100_v4"
    obj["tuning"]["method"] = "lora"
    obj["metadata"]["annotations"] = {"kaito.sh/serve-after-tuning": "false"}
    return obj


CASES = {
    "seed-filled-in": seed,
    "lora-without-serving": lora_on_a100,
    "inference-phi-4-mini": lambda: load(EXAMPLES / "inference/kaito_workspace_phi_4_mini.yaml"),
    "inference-on-v100": lambda: workspace("phi-4-mini-instruct", "Standard_NC6s_v3"),
    "inference-transformers": lambda: workspace(
        "gemma-3-4b-instruct",
        "Standard_NC24ads_A100_v4",
        annotations={"kaito.sh/runtime": "transformers"},
    ),
    "inference-cuda-toolkit": lambda: workspace(
        "mistralai/Mistral-Small-4-119B-2603", "Standard_ND96isr_H100_v5"
    ),
    "inference-load-balancer": lambda: workspace(
        "qwen2.5-coder-7b-instruct",
        "Standard_NC48ads_A100_v4",
        annotations={"kaito.sh/enablelb": "True", "kaito.sh/disable-benchmark": "true"},
    ),
}


def check(name, text):
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("KAITO_WRITE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("name", CASES)
def test_objects(name):
    """Every object of these Workspaces is exactly the recorded one."""
    obj = CASES[name]()

    objects = render_all(planned(obj), identity(obj), OPTIONS)

    check(name, "---\n".join(yaml_text(item) for item in objects))


def smallest(preset, runtime):
    """The cheapest plan of a preset: the first size, by memory, that one node of suffices."""
    annotations = {"kaito.sh/runtime": runtime}
    for sku in sorted(SKUS, key=lambda s: (s.memory_gib, s.name)):
        if sku.cloud != "azure" or sku.retired is not None:
            continue
        obj = workspace(preset.repository, sku.name, annotations=annotations)
        decided = plan(parse(record_of(obj)), Facts(today=TODAY))
        if isinstance(decided, Plan) and decided.nodes == 1:
            return decided
    return None


def test_the_whole_catalog():
    """Every preset on every runtime it has: machine, parallelism and the whole command line."""
    rows = {}
    for preset in all_presets():
        for runtime in ("vllm", "transformers"):
            decided = smallest(preset, runtime)
            if decided is None:
                rows[f"{preset.name} {runtime}"] = None
                continue
            rows[f"{preset.name} {runtime}"] = {
                "machine": f"{decided.nodes} x {decided.sku.name}",
                "parallel": f"tensor {decided.tensor_parallel}, data {decided.data_parallel}",
                "disk": f"{decided.disk_gib}Gi",
                "command": " ".join(decided.argv),
                "env": dict(decided.blueprint.env),
            }

    check("catalog", yaml_text(rows))


def test_pods_never_ask_old_gpus_for_bfloat16():
    """On a GPU of compute capability below 8.0 nothing that is rendered says bfloat16."""
    for make in (CASES["seed-filled-in"], CASES["inference-on-v100"]):
        obj = make()

        text = yaml.safe_dump(render_all(planned(obj), identity(obj), OPTIONS))

        assert "bfloat16" not in text
        assert "float16" in text


def test_rendering_is_deterministic():
    """The same Workspace gives the same objects, in the same order, every time."""
    obj = seed()

    assert render_all(planned(obj), identity(obj), OPTIONS) == render_all(
        planned(seed()), identity(seed()), OPTIONS
    )


def test_no_ray_port_is_exposed():
    """No Service has Ray's ports, and a LoadBalancer has nothing but the API."""
    for make in CASES.values():
        obj = make()
        services = [
            o for o in render_all(planned(obj), identity(obj), OPTIONS) if o["kind"] == "Service"
        ]
        for service in services:
            ports = [p["port"] for p in service["spec"].get("ports", ())]
            assert not {6379, 8265} & set(ports)
            if service["spec"]["type"] == "LoadBalancer":
                assert ports == [80]
