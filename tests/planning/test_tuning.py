"""Plans of trainings: what they need, and when they are refused."""

import pytest
import yaml

from kaito.api.names import Annotation, Reason
from kaito.api.validation import read
from kaito.api.workspace import Workspace
from kaito.planning.plan import Facts
from tests.planning.asking import A100, SEED, TODAY, planned, refused, tuning


def test_the_seed_as_printed_is_refused_before_any_money() -> None:
    """One refusal, OutputNotPushable, names both lines to edit."""
    workspace = read(SEED)
    assert isinstance(workspace, Workspace)
    found = refused(workspace)
    assert found.reason == Reason.OUTPUT_NOT_PUSHABLE
    assert "tuning.output.image:" in found.message
    assert "tuning.output.imagePushSecret:" in found.message


def test_the_seed_filled_in_is_planned() -> None:
    """QLoRA in float16 on the V100, adapter served afterwards, retirement told, path goes on."""
    found = planned(tuning())
    assert (found.kind, found.nodes, found.dtype, found.disk_gib) == ("tuning", 1, "float16", 1024)
    assert found.argv[2:] == ("--num_processes=1", "/workspace/tfs/fine_tuning.py")
    part = found.tuning
    assert part is not None
    config = yaml.safe_load(part.template)["training_config"]
    assert config["ModelConfig"]["torch_dtype"] == "float16"
    assert config["QuantizationConfig"] == {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": "float16",
        "bnb_4bit_use_double_quant": True,
    }
    assert part.output_dir == "/mnt/results"
    assert part.server is not None
    assert "--torch_dtype=float16" in part.server_argv
    assert any("retired Standard_NC6s_v3 on 2025-09-30" in warning for warning in found.warnings)


def test_on_an_a100_the_defaults_are_kaitos() -> None:
    """Where the GPU has bfloat16 the template equals the one KAITO ships."""
    part = planned(tuning(machine=A100)).tuning
    assert part is not None
    assert yaml.safe_load(part.template) == {
        "training_config": {
            "ModelConfig": {
                "torch_dtype": "bfloat16",
                "local_files_only": True,
                "device_map": "auto",
            },
            "QuantizationConfig": {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_compute_dtype": "bfloat16",
                "bnb_4bit_use_double_quant": True,
            },
            "LoraConfig": {"r": 8, "lora_alpha": 8, "lora_dropout": 0.0},
            "TrainingArguments": {
                "output_dir": "/mnt/results",
                "ddp_find_unused_parameters": False,
                "save_strategy": "no",
                "per_device_train_batch_size": 1,
            },
            "DataCollator": {"mlm": True},
            "DatasetConfig": {"shuffle_dataset": True, "train_test_split": 1},
        }
    }


def test_serving_after_tuning_can_be_switched_off() -> None:
    """The annotation `false` ends the Workspace with its Job."""
    part = planned(tuning(annotations={Annotation.SERVE_AFTER_TUNING: "false"})).tuning
    assert part is not None
    assert part.server is None


def test_a_method_in_capitals_still_gets_its_defaults() -> None:
    """`LoRA` is planned as lora."""
    part = planned(tuning(machine=A100, method="LoRA")).tuning
    assert part is not None
    assert part.method == "lora"


def test_presets_that_cannot_be_tuned_are_refused() -> None:
    """The message lists those that can."""
    found = refused(tuning("llama-3.1-8b-instruct"))
    assert found.reason == Reason.PRESET_NOT_TUNABLE
    assert "phi-4-mini-instruct" in found.message


def test_tuning_that_cannot_fit_is_refused() -> None:
    """32B in 16 bits does not fit a 24 GiB GPU; in 4 bits it does."""
    machine = "Standard_NV36ads_A10_v5"
    found = refused(tuning("qwen2.5-coder-32b-instruct", machine, method="lora"))
    assert found.reason == Reason.MODEL_TOO_LARGE
    assert "61.03 GiB x 1 = 61.03 GiB" in found.message
    assert planned(tuning("qwen2.5-coder-32b-instruct", machine, method="qlora")).nodes == 1


def test_tuning_below_what_kaito_lists_is_warned_about() -> None:
    """The listed memory is advice, not a wall."""
    found = planned(tuning(machine="Standard_NV36ads_A10_v5", method="lora"))
    assert any("lists 72 GiB" in warning for warning in found.warnings)


def test_every_gpu_of_a_tuning_node_trains() -> None:
    """One process per GPU."""
    assert "--num_processes=4" in planned(tuning(machine="Standard_NC96ads_A100_v4")).argv


TRAINING = """
training_config:
  ModelConfig: {torch_dtype: bfloat16}
  QuantizationConfig: {load_in_4bit: true, bnb_4bit_compute_dtype: bfloat16}
  TrainingArguments: {output_dir: mine}
"""


def test_the_users_training_config_is_read() -> None:
    """Its output folder is used, and a number format the GPU lacks is warned about."""
    facts = Facts(today=TODAY, config={"training_config.yaml": TRAINING})
    found = planned(tuning(config="mine"), facts)
    assert found.tuning is not None
    assert (found.tuning.output_dir, found.tuning.template) == ("/mnt/mine", "")
    assert found.tuning.config_map == "mine"
    assert sum("bfloat16" in warning for warning in found.warnings) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training_config: []", "mapping called training_config"),
        ("training_config: {Other: {}}", "Other is not a section"),
        ("training_config: {LoraConfig: 3}", "LoraConfig must be a mapping"),
        ("training_config: {}", "qlora needs load_in_4bit"),
        (
            "training_config: {QuantizationConfig: {load_in_4bit: true, load_in_8bit: true}}",
            "both",
        ),
        ("training_config: {QuantizationConfig: {load_in_4bit: 'yes'}}", "true or false"),
        (TRAINING.replace("mine", "/mnt"), "below /mnt"),
        (TRAINING.replace("mine", "../etc"), "leaves /mnt"),
    ],
)
def test_training_configs_that_cannot_work(text: str, words: str) -> None:
    """Sections, quantisation and output folder are checked before a machine is paid for."""
    facts = Facts(today=TODAY, config={"training_config.yaml": text})
    found = refused(tuning(config="c"), facts)
    assert (found.reason, found.field) == (Reason.CONFIG_INVALID, "tuning.config")
    assert words in found.message


def test_lora_does_not_quantise() -> None:
    """Method lora with 4-bit weights is a contradiction."""
    facts = Facts(today=TODAY, config={"training_config.yaml": TRAINING})
    found = refused(tuning(machine=A100, config="c", method="lora"), facts)
    assert "unquantised" in found.message
