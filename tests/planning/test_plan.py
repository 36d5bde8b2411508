"""The decision: plans and refusals."""

from datetime import date

import pytest

from kaito.api.names import Annotation, Reason
from kaito.api.workspace import Workspace
from kaito.planning.plan import Facts, Plan, Refusal, plan
from kaito.planning.skus import find_sku
from kaito.presets.catalog import all_presets
from tests.planning.asking import (
    A100,
    FACTS,
    TODAY,
    engine_settings,
    planned,
    refused,
    serving,
    tuning,
)


def test_the_sample_runs_on_one_gpu() -> None:
    """phi-4-mini on one A100: one node, one GPU, bfloat16, 87 GiB of disk."""
    found = planned(serving())
    assert (found.nodes, found.gpus_per_node, found.tensor_parallel) == (1, 1, 1)
    assert (found.dtype, found.disk_gib, found.runtime) == ("bfloat16", 87, "vllm")
    assert found.node_labels == (("apps", "x"),)
    assert "--dtype=bfloat16" in found.argv
    assert found.startup is not None
    assert found.startup.command == ("python3", "/workspace/vllm/benchmark_entrypoint.py")


def test_the_same_inputs_give_the_same_plan() -> None:
    """A plan has no chance and no time in it."""
    assert planned(serving()) == planned(serving())


@pytest.mark.parametrize("preset", [p.name for p in all_presets()])
def test_every_preset_has_an_answer(preset: str) -> None:
    """Each model is either planned or refused by name, on small and on the largest machine."""
    largest = plan(serving(preset, "Standard_ND96isr_H200_v5"), FACTS)
    assert isinstance(largest, Plan) or largest.reason == Reason.MULTI_NODE_NOT_SERVED
    assert isinstance(plan(serving(preset, "Standard_NC4as_T4_v3"), FACTS), Plan | Refusal)


@pytest.mark.parametrize("machine", ["Standard_NC6s_v3", "Standard_NC4as_T4_v3"])
def test_gpus_without_bfloat16_compute_in_float16(machine: str) -> None:
    """No command for a GPU below capability 8.0 asks for bfloat16."""
    for runtime in ("vllm", "transformers"):
        workspace = serving(
            "phi-3-mini-4k-instruct", machine, annotations={Annotation.RUNTIME: runtime}
        )
        found = planned(workspace)
        assert found.dtype == "float16"
        assert any("dtype=float16" in word for word in found.argv)
        assert not any("bfloat16" in word for word in found.argv)


def test_unknown_presets_come_with_the_nearest() -> None:
    """The message has the likeliest names."""
    found = refused(serving("phi-4-mini-instrct"))
    assert (found.reason, found.field) == (Reason.UNKNOWN_PRESET, "inference.preset.name")
    assert "did you mean phi-4-mini-instruct" in found.message


def test_unknown_machines_come_with_the_nearest() -> None:
    """Also when the name exists, but in another cloud."""
    found = refused(serving(machine="Standard_NC24ads_A100_v5"))
    assert (found.reason, found.field) == (Reason.UNKNOWN_INSTANCE_TYPE, "resource.instanceType")
    assert "did you mean Standard_NC24ads_A100_v4" in found.message
    assert refused(serving(machine="g5.xlarge")).reason == Reason.UNKNOWN_INSTANCE_TYPE
    assert planned(serving(machine="g5.xlarge"), Facts(today=TODAY, cloud="aws")).nodes == 1


def test_machine_names_ignore_case() -> None:
    """A lower-case name plans like the real one and is rendered in the cloud's spelling."""
    assert planned(serving(machine=A100.lower())).sku.name == A100


def test_a_model_for_several_nodes_is_refused_with_the_arithmetic() -> None:
    """The count, the sum, and machines on which one node is enough."""
    found = refused(serving("llama-3.3-70b-instruct"))
    assert found.reason == Reason.MULTI_NODE_NOT_SERVED
    assert "needs 3 nodes of Standard_NC24ads_A100_v4" in found.message
    assert "131.42 GiB x 1.02" in found.message
    assert "one node is enough with Standard_NC80adis_H100_v5" in found.message


def test_the_suggested_machines_do_hold_the_model() -> None:
    """Advice that does not work is worse than none."""
    message = refused(serving("qwen2.5-coder-32b-instruct")).message
    for name in message.split("one node is enough with ")[1].split(", "):
        assert planned(serving("qwen2.5-coder-32b-instruct", name)).nodes == 1


def test_a_model_whose_cache_fills_the_gpu_does_not_fit() -> None:
    """A context the GPU cannot hold is refused with the sum."""
    workspace = serving("phi-3-mini-128k-instruct", "Standard_NC4as_T4_v3", config="c")
    found = refused(workspace, engine_settings(max_model_len=131072))
    assert found.reason == Reason.MODEL_TOO_LARGE
    assert "nothing is left for the weights" in found.message


@pytest.mark.parametrize("machine", ["Standard_NC6", "Standard_NV12s_v3", "Standard_ND6s"])
def test_gpus_too_old_for_the_engines_are_refused(machine: str) -> None:
    """Kepler, Maxwell and Pascal cannot be driven; the successor is named."""
    found = refused(serving(machine=machine))
    assert found.reason == Reason.INSTANCE_TYPE_NOT_SUPPORTED
    sku = find_sku(machine)
    assert sku is not None
    assert sku.successor in found.message


@pytest.mark.parametrize(
    ("model", "machine", "words"),
    [
        ("gemma-3-4b-it", "Standard_NC4as_T4_v3", "overflows in float16"),
        ("Qwen/Qwen3-8B-AWQ", "Standard_NC6s_v3", "awq weights"),
    ],
)
def test_number_formats_without_kernels_are_refused(model: str, machine: str, words: str) -> None:
    """What the engine would refuse at its start is refused before the machine is paid for."""
    found = refused(serving(model, machine))
    assert found.reason == Reason.INSTANCE_TYPE_NOT_SUPPORTED
    assert words in found.message
    assert "one node is enough with" in found.message


def test_gpus_of_other_makers_are_refused() -> None:
    """The image drives NVIDIA GPUs only."""
    found = refused(serving(machine="Standard_NG32ads_V620_v1"))
    assert found.reason == Reason.INSTANCE_TYPE_NOT_SUPPORTED


def test_small_models_run_once_per_gpu() -> None:
    """A model under half a GPU is served by every GPU on its own, without CPU offload."""
    found = planned(serving(machine="Standard_NC96ads_A100_v4"))
    assert (found.tensor_parallel, found.data_parallel) == (1, 4)
    assert "--data-parallel-size=4" in found.argv
    assert "--kaito-kv-cache-cpu-memory-utilization=0" in found.argv


def test_large_models_use_all_gpus_together() -> None:
    """70B on four A100s: one copy over four GPUs."""
    found = planned(serving("llama-3.3-70b-instruct", "Standard_NC96ads_A100_v4"))
    assert (found.tensor_parallel, found.data_parallel) == (4, 1)
    assert "--tensor-parallel-size=4" in found.argv


def test_heads_are_never_divided_unevenly() -> None:
    """28 heads on 8 GPUs: 4 GPUs a copy, two copies, where 8 would not start."""
    facts = Facts(today=TODAY, cloud="aws")
    found = planned(serving("qwen2.5-coder-7b-instruct", "g6.48xlarge"), facts)
    assert (found.tensor_parallel, found.data_parallel) == (4, 2)


def test_settings_of_the_engine_count() -> None:
    """The user's context and memory share are what is sized with."""
    workspace = serving("granite-4.1-8b", "Standard_NV36ads_A10_v5", config="settings")
    assert refused(workspace).reason == Reason.MULTI_NODE_NOT_SERVED
    found = planned(workspace, engine_settings(gpu_memory_utilization=0.9, max_model_len=4096))
    assert (found.context, found.max_model_len) == (4096, 4096)
    assert "--gpu-memory-utilization=0.9" in found.argv
    assert "--kaito-config-file=/mnt/config/inference_config.yaml" in found.argv
    assert found.config_map == "settings"


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("vllm: [", Reason.CONFIG_INVALID, "not YAML"),
        ("- a", Reason.CONFIG_INVALID, "must be a mapping"),
        ("vllm: 3", Reason.CONFIG_INVALID, "mapping of flag to value"),
        ("vllm: {max-model-len: 32k}", Reason.CONFIG_INVALID, "positive integer"),
        ("vllm: {max-model-len: 0}", Reason.CONFIG_INVALID, "positive integer"),
        ("vllm: {a: {b: c}}", Reason.CONFIG_INVALID, "single value"),
        ("vllm: {gpu-memory-utilization: 2}", Reason.CONFIG_INVALID, "between 0 and 1"),
        ("vllm: {max-model-len: 9999999}", Reason.CONTEXT_TOO_LONG, "can do 131072"),
        (None, Reason.CONFIGMAP_KEY_MISSING, "has no key inference_config.yaml"),
    ],
)
def test_engine_settings_that_cannot_work(text: str | None, reason: str, words: str) -> None:
    """A ConfigMap is read before a machine is paid for."""
    config = {} if text is None else {"inference_config.yaml": text}
    found = refused(serving(config="c"), Facts(today=TODAY, config=config))
    assert (found.reason, found.field) == (reason, "inference.config")
    assert words in found.message


def test_auto_is_a_context() -> None:
    """`max-model-len: auto` means what leaving it out means."""
    found = planned(serving(config="c"), engine_settings(max_model_len="auto"))
    assert found.max_model_len is None


def test_booleans_in_engine_settings_are_warned_about() -> None:
    """The image passes `false` on as a flag that is on."""
    found = planned(serving(config="c"), engine_settings(enable_chunked_prefill=False))
    assert any("enable-chunked-prefill" in warning for warning in found.warnings)


def test_a_context_too_short_for_the_benchmark_switches_it_off() -> None:
    """Otherwise the pod would never become ready."""
    found = planned(serving(config="c"), engine_settings(max_model_len=1024))
    assert not found.benchmark
    assert found.startup is not None
    assert found.startup.path == "/health"
    assert any("benchmark is off" in warning for warning in found.warnings)


def test_the_benchmark_can_be_switched_off() -> None:
    """Only the exact word `true` does, as in KAITO."""
    assert not planned(serving(annotations={Annotation.DISABLE_BENCHMARK: "true"})).benchmark
    assert planned(serving(annotations={Annotation.DISABLE_BENCHMARK: "yes"})).benchmark


def test_annotations_reach_the_plan() -> None:
    """Performance mode, load balancer and image family."""
    found = planned(
        serving(
            annotations={
                Annotation.PERFORMANCE_MODE: "throughput",
                Annotation.ENABLE_LB: "True",
                Annotation.NODE_IMAGE_FAMILY: " AzureLinux",
            }
        )
    )
    assert "--performance-mode=throughput" in found.argv
    assert found.load_balancer
    assert found.node_image_family == "azurelinux"
    assert not planned(serving(annotations={Annotation.ENABLE_LB: "true"})).load_balancer


def test_the_transformers_runtime() -> None:
    """Chosen by annotation; refused for presets KAITO has no parameters for, or too large."""
    annotations = {Annotation.RUNTIME: "transformers"}
    found = planned(serving("phi-4", annotations=annotations))
    assert (found.runtime, found.benchmark) == ("transformers", False)
    missing = refused(serving(annotations=annotations))
    assert missing.reason == Reason.RUNTIME_NOT_SUPPORTED
    large = serving("llama-3.3-70b-instruct", annotations=annotations)
    assert refused(large).reason == Reason.MODEL_TOO_LARGE
    annotations = {**annotations, Annotation.BYPASS_RESOURCE_CHECKS: ""}
    assert planned(serving("llama-3.3-70b-instruct", annotations=annotations)).nodes == 1


def test_gated_models_need_a_token() -> None:
    """A gated model without a Secret is warned about."""
    assert any("gated" in w for w in planned(serving("llama-3.1-8b-instruct")).warnings)
    preset = {"name": "llama-3.1-8b-instruct", "presetOptions": {"modelAccessSecret": "hf"}}
    found = planned(serving(preset=preset))
    assert found.access_secret == "hf"
    assert not any("gated" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "workspace",
    [
        serving(preset=None, template={"spec": {}}),
        serving(adapters=[{"source": {"name": "a", "image": "r.io/a:1"}}]),
        serving(annotations={Annotation.USE_LOCAL_WEIGHTS: "true"}),
        tuning(input={"volumeSource": {"emptyDir": {}}}),
        tuning(output={"volumeSource": {"emptyDir": {}}}),
    ],
)
def test_what_is_not_served_yet_says_so(workspace: Workspace) -> None:
    """Nothing of KAITO's API is ignored silently."""
    assert refused(workspace).reason == Reason.NOT_SERVED_YET


def test_brought_nodes_are_planned_by_what_they_tell() -> None:
    """Without node facts there is no plan; with them there is."""
    workspace = serving(machine="")
    facts = Facts(today=TODAY, provisioner="byo")
    assert refused(workspace, facts).reason == Reason.NO_MATCHING_NODES
    facts = Facts(today=TODAY, provisioner="byo", gpu=find_sku(A100))
    assert planned(workspace, facts).nodes == 1


def test_a_retirement_far_away_is_not_mentioned() -> None:
    """A year ahead is time enough to be told."""
    machine = find_sku("Standard_NC6s_v3")
    assert machine is not None
    assert machine.retirement(date(2024, 1, 1)) == ""
    assert "will retire" in machine.retirement(date(2025, 1, 1))
    assert "Azure retired" in machine.retirement(date(2025, 9, 30))


def test_several_mistakes_are_told_at_once() -> None:
    """One round trip for all of them."""
    found = refused(serving(" ", config="Bad_Name"))
    assert "inference.preset.name" in found.message
    assert "inference.config" in found.message


def test_legacy_presets_are_sized_by_what_was_listed() -> None:
    """falcon-7b still plans, with a warning, and is not split over its 71 heads."""
    found = planned(serving("falcon-7b"))
    assert found.dtype == "float16"
    assert any("earlier KAITO" in warning for warning in found.warnings)
    assert refused(serving("falcon-7b", "Standard_NC12s_v3")).reason == Reason.MODEL_TOO_LARGE
