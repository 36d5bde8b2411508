"""Blueprints: every preset on every runtime."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import yaml

from kaito.presets import runtimes
from kaito.presets.blueprint import Flag, Slot
from kaito.presets.catalog import all_presets, find
from kaito.presets.preset import Preset

SEEN = yaml.safe_load(Path(__file__).with_name("kaito_flags.yaml").read_text())

SLOTS = {
    Slot.DTYPE: "bfloat16",
    Slot.MEMORY_UTILIZATION: "0.84",
    Slot.TENSOR_PARALLEL: "1",
    Slot.GPUS: "1",
}


def preset(name: str) -> Preset:
    found = find(name)
    assert isinstance(found, Preset)
    return found


CASES = {
    "phi-4-mini-instruct": ((), {"--tool-call-parser=phi4_mini_json", "--enable-auto-tool-choice"}),
    "phi-3-mini-128k-instruct": ((Flag("enable-lora"),), set()),
    "deepseek-r1-distill-qwen-14b": (
        (Flag("kaito-config-file", "/mnt/config/inference_config.yaml"),),
        set(),
    ),
    "deepseek-v3-0324": (
        (
            Flag("tensor-parallel-size", "2"),
            Flag("pipeline-parallel-size", "5"),
            Flag("distributed-executor-backend", "ray"),
            Flag("dtype", "auto"),
            runtimes.NO_CPU_KV_OFFLOAD,
        ),
        set(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_vllm_flags_are_those_kaito_renders(name: str) -> None:
    """Flag for flag what KAITO v0.12.0 was seen to render; additions are listed here."""
    extra, added = CASES[name]
    blueprint = runtimes.vllm(preset(name))
    assert blueprint is not None
    argv = blueprint.argv(SLOTS, extra)
    assert argv[:2] == ("python3", "/workspace/vllm/inference_api.py")
    assert set(argv[2:]) == set(SEEN[name]) | added
    assert len(argv[2:]) == len(set(argv[2:]))


def test_flags_are_in_one_order() -> None:
    """The same plan renders the same command, byte for byte."""
    for found in all_presets():
        blueprint = runtimes.vllm(found)
        assert blueprint is not None
        names = [word.partition("=")[0] for word in blueprint.argv(SLOTS)[2:]]
        assert names == sorted(names)


def test_a_blueprint_cannot_be_changed() -> None:
    """A blueprint that can be changed is a bug."""
    blueprint = runtimes.vllm(preset("phi-4"))
    assert blueprint is not None
    with pytest.raises(FrozenInstanceError):
        blueprint.served_model_name = "other"  # type: ignore[misc]  # the point
    assert hash(blueprint) == hash(runtimes.vllm(preset("phi-4")))


def test_a_slot_that_nobody_filled_is_an_error() -> None:
    """A command is never rendered with a hole in it."""
    blueprint = runtimes.vllm(preset("phi-4"))
    assert blueprint is not None
    with pytest.raises(KeyError):
        blueprint.argv({})


def test_the_startup_budget_grows_with_the_model() -> None:
    """15 minutes and 18 s a GiB, at least 30 minutes, at most 3 hours; a try every 10 s."""
    for name, failures in (("phi-4-mini-instruct", 180), ("deepseek-v3-0324", 1080)):
        blueprint = runtimes.vllm(preset(name))
        assert blueprint is not None
        assert blueprint.benchmark is not None
        assert blueprint.benchmark.failures == failures
        assert blueprint.benchmark.timeout == 600


def test_twenty_current_models_run_on_transformers() -> None:
    """The presets KAITO has parameters for, less the one whose key matches nothing."""
    current = [p for p in all_presets() if p.era == "current"]
    assert sum(runtimes.transformers(p) is not None for p in current) == 20
    blueprint = runtimes.transformers(preset("llama-3.1-8b-instruct"))
    assert blueprint is not None
    assert blueprint.argv(SLOTS) == (
        "accelerate",
        "launch",
        "--num_processes=1",
        "--num_machines=1",
        "--machine_rank=0",
        "--gpu_ids=all",
        "/workspace/tfs/inference_api.py",
        "--allow_remote_files",
        "--chat_template=/workspace/chat_templates/llama-3-instruct.jinja",
        "--pipeline=text-generation",
        "--pretrained_model_name_or_path=meta-llama/llama-3.1-8b-instruct",
        "--served_model_name=llama-3.1-8b-instruct",
        "--torch_dtype=bfloat16",
    )


def test_tuning_runs_as_kaito_runs_it() -> None:
    """Command, environment and weights of a fine-tuning run are KAITO's."""
    blueprint = runtimes.tuning(preset("phi-3-mini-128k-instruct"))
    assert blueprint is not None
    assert blueprint.prelude + " ".join(blueprint.argv(SLOTS)) == (
        "cd /workspace/tfs/ && python3 metrics_server.py & "
        "accelerate launch --num_processes=1 /workspace/tfs/fine_tuning.py"
    )
    assert dict(blueprint.env) == {
        "DEFAULT_TARGET_MODULES": "k_proj,q_proj,v_proj,o_proj,gate_proj,down_proj,up_proj",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
    assert blueprint.weights is not None
    assert blueprint.weights.reference("mcr.microsoft.com/aks/kaito") == (
        "mcr.microsoft.com/aks/kaito/kaito-phi-3-mini-128k-instruct:0.2.0"
    )


def test_what_can_be_tuned_can_be_served_afterwards() -> None:
    """Each tunable preset has a server for its adapter; no other preset has."""
    for found in all_presets():
        assert (runtimes.tuning(found) is None) == (runtimes.adapter_server(found) is None)
    assert sum(p.tuning is not None and p.era == "current" for p in all_presets()) == 10
