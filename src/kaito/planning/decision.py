"""What a decision is: a Plan, which rendering needs nothing else beside, or a Refusal.

`kaito.planning.plan.plan` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, final

from kaito.api.validation import Provisioner
from kaito.api.workspace import DataDestination, DataSource
from kaito.planning.skus import CloudName, Sku
from kaito.presets.blueprint import Blueprint, Probe
from kaito.presets.preset import Preset


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the plan depends on beside the Workspace."""

    today: date
    provisioner: Provisioner = "azure-gpu-provisioner"
    cloud: CloudName = "azure"
    config: Mapping[str, str] | None = None
    """`data` of the ConfigMap the Workspace names; None when it names none or it was not read."""
    gpu: Sku | None = None
    """Bring-your-own nodes only: the GPUs their labels tell of."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """The part of a Plan that only fine-tuning has."""

    method: Literal["lora", "qlora"]
    input: DataSource
    output: DataDestination
    config_map: str
    """The ConfigMap with `training_config.yaml`: the user's, or the one named after `template`."""
    template: str
    """YAML of `training_config.yaml` to put into `config_map`; empty when that is the user's."""
    output_dir: str
    """Where training writes, an absolute path under /mnt."""
    server: Blueprint | None
    """How the tuned adapter is served afterwards; None when it is not to be served."""
    server_argv: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that rendering needs to know."""

    kind: Literal["inference", "tuning"]
    runtime: Literal["vllm", "transformers"]
    preset: Preset
    blueprint: Blueprint
    argv: tuple[str, ...]
    """The engine's command with every slot filled, one word per element."""
    sku: Sku
    nodes: int
    gpus_per_node: int
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    dtype: str
    disk_gib: int
    """What a node's disk must hold."""
    context: int
    """Tokens of context the sizing assumed."""
    max_model_len: int | None
    """What the user set; None lets the engine choose the longest that fits."""
    node_labels: tuple[tuple[str, str], ...]
    """Labels a node must carry, sorted, reserved keys left out."""
    config_map: str
    """Inference: the user's ConfigMap to mount; empty when none."""
    access_secret: str
    """A Secret with HF_TOKEN; empty when none."""
    load_balancer: bool
    node_image_family: Literal["ubuntu", "azurelinux"]
    benchmark: bool
    """The start-up probe runs the benchmark."""
    arithmetic: tuple[str, ...]
    """How the numbers came about, line by line."""
    warnings: tuple[str, ...] = ()
    tuning: TuningPlan | None = None

    @property
    def startup(self) -> Probe | None:
        """The start-up probe: the benchmark, or the plain one."""
        chosen = self.blueprint.benchmark if self.benchmark else None
        return chosen or self.blueprint.startup


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why there is no plan."""

    reason: str
    """One of `kaito.api.names.Reason`."""
    message: str
    """What is wrong, the arithmetic where there is any, and what to do."""
    field: str
    """The path of the field to change, such as `resource.instanceType`."""
