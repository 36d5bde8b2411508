"""Workspace: what a user asks for. Fields sit at the root of the object; there is no `spec`.

v1alpha1 and v1beta1 share these types. They differ in one default and in printer columns, which
`kaito.api.crds` adds; nothing here knows which version an object was written in.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kaito.kube.objects import Meta, ObjectKey, Record

_ATOMIC = {"x-kubernetes-map-type": "atomic"}
_OPAQUE = {"x-kubernetes-preserve-unknown-fields": True}


class _Model(BaseModel):
    """Frozen, camelCase on the wire, tolerant of fields that later versions add."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore"
    )


class SelectorRequirement(_Model):
    """One requirement on a label."""

    key: str = Field(description="The label this requirement is about.")
    operator: str = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: Annotated[
        tuple[str, ...] | None, Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default=None, description="The values In and NotIn compare with.")


class Selector(_Model):
    """A label selector. Only matchLabels, and matchExpressions with one value, choose nodes."""

    match_labels: dict[str, str] | None = Field(
        default=None, description="Labels a node must carry, key by key."
    )
    match_expressions: Annotated[
        tuple[SelectorRequirement, ...] | None,
        Field(json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(
        default=None,
        description="Further requirements. Only In with a single value is accepted.",
    )

    def labels(self) -> dict[str, str]:
        """The labels a node must carry, single-value In expressions included."""
        found = dict(self.match_labels or {})
        for item in self.match_expressions or ():
            if item.operator == "In" and item.values is not None and len(item.values) == 1:
                found[item.key] = item.values[0]
        return found


class Partition(_Model):
    """A share of a GPU machine; bring-your-own nodes only."""

    mode: Literal["mig", "accelerator"] = Field(
        description="mig: one hardware slice of a GPU. accelerator: some whole GPUs of a machine."
    )
    profile: str = Field(default="", description="The MIG profile, such as 1g.10gb; mode mig only.")
    count: int | None = Field(
        default=None, ge=1, description="How many whole GPUs; mode accelerator only."
    )


class ResourceSpec(_Model):
    """The machines a Workspace runs on."""

    count: int | None = Field(
        default=1,
        description=(
            "Deprecated. How many machines. For vLLM presets the number is computed from the "
            "model and the machine, and this value is ignored. Cannot be changed."
        ),
    )
    instance_type: str = Field(
        default="",
        description=(
            "The GPU machine size, such as Standard_NC24ads_A100_v4. Required unless nodes are "
            "brought by you, where it must be empty. Cannot be changed."
        ),
    )
    label_selector: Annotated[Selector, Field(json_schema_extra=_ATOMIC)] = Field(
        description=(
            "Labels of the nodes to run on. New machines are given these labels. Cannot be changed."
        )
    )
    preferred_nodes: tuple[str, ...] | None = Field(
        default=None, description="Deprecated and without effect."
    )
    partition: Partition | None = Field(
        default=None,
        description="A share of a GPU machine; bring-your-own nodes only. Cannot be changed.",
    )


class PresetOptions(_Model):
    """Options of a preset."""

    image: str = Field(default="", description="Deprecated and without effect.")
    image_pull_secrets: tuple[str, ...] | None = Field(
        default=None, description="Deprecated and without effect."
    )
    model_access_secret: str = Field(
        default="",
        description=(
            "A Secret of this namespace whose key HF_TOKEN is the Hugging Face token the "
            "weights are downloaded with."
        ),
    )


class PresetSpec(_Model):
    """A model of the catalog."""

    name: str = Field(
        description=(
            "A short name such as phi-4-mini-instruct, or a Hugging Face id such as "
            "microsoft/Phi-4-mini-instruct. `kaito models` lists them."
        )
    )
    access_mode: Literal["public", "private"] = Field(
        default="public", description="Deprecated and without effect."
    )
    preset_options: PresetOptions = Field(
        default_factory=PresetOptions, description="Options of the preset."
    )


class DataSource(_Model):
    """Where data comes from: exactly one of urls, image and volumeSource."""

    name: str = Field(default="", description="A name for the data; adapters are addressed by it.")
    urls: tuple[str, ...] | None = Field(
        default=None, description="Files to download, http or https."
    )
    volume_source: Annotated[dict[str, Any] | None, Field(json_schema_extra=_OPAQUE)] = Field(
        default=None, description="A volume, written as in a pod."
    )
    image: str = Field(default="", description="An image that holds the data under /data.")
    image_pull_secrets: tuple[str, ...] | None = Field(
        default=None, description="Secrets to pull that image with."
    )


class DataDestination(_Model):
    """Where the tuned adapter goes: exactly one of image and volumeSource."""

    volume_source: Annotated[dict[str, Any] | None, Field(json_schema_extra=_OPAQUE)] = Field(
        default=None, description="A volume, written as in a pod."
    )
    image: str = Field(
        default="",
        description="The image to push, such as myregistry.azurecr.io/my-adapter:0.0.1.",
    )
    image_push_secret: str = Field(
        default="",
        description=(
            "A Secret of this namespace, type kubernetes.io/dockerconfigjson, to push with."
        ),
    )


class AdapterSpec(_Model):
    """A LoRA adapter to serve beside the model."""

    source: DataSource | None = Field(
        default=None, description="Where the adapter comes from: image or volumeSource."
    )
    strength: str | None = Field(
        default=None,
        description="Its weight, a number from 0 to 1; the transformers runtime only.",
    )


class InferenceSpec(_Model):
    """What to serve: exactly one of preset and template."""

    preset: PresetSpec | None = Field(default=None, description="A model of the catalog.")
    template: Annotated[dict[str, Any] | None, Field(json_schema_extra=_OPAQUE)] = Field(
        default=None, description="A pod template of your own instead of a preset."
    )
    config: str = Field(
        default="",
        description=(
            "A ConfigMap of this namespace whose key inference_config.yaml has engine settings."
        ),
    )
    adapters: tuple[AdapterSpec, ...] | None = Field(
        default=None, description="LoRA adapters to serve beside the model, at most 10."
    )


class TuningSpec(_Model):
    """What to fine-tune, on what, and where the result goes."""

    preset: PresetSpec | None = Field(default=None, description="A tunable model of the catalog.")
    method: str = Field(default="", description="lora or qlora.")
    config: str = Field(
        default="",
        description=(
            "A ConfigMap of this namespace whose key training_config.yaml has the "
            "hyper-parameters. Without it, defaults for the method are used."
        ),
    )
    input: DataSource = Field(description="The training data.")
    output: DataDestination = Field(description="Where the tuned adapter goes.")


class Condition(_Model):
    """One observation about the Workspace."""

    type: str = Field(
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        description="What is observed, such as Ready.",
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        json_schema_extra={"format": "int64"},
        description="The metadata.generation this was observed at.",
    )
    last_transition_time: str = Field(
        json_schema_extra={"format": "date-time"}, description="When the status last changed."
    )
    reason: str = Field(
        max_length=1024,
        min_length=1,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, in one CamelCase word for programs.",
    )
    message: str = Field(
        max_length=32768, description="Why, in a sentence for people, and what to do next."
    )


class MetricConfig(_Model):
    """How a benchmark was run."""

    duration_sec: int | None = Field(default=None, description="Length of the run in seconds.")
    input_tokens: int | None = Field(default=None, description="Prompt tokens per request.")
    output_tokens: int | None = Field(default=None, description="Generated tokens per request.")
    max_concurrency: int | None = Field(default=None, description="Requests at a time.")
    engine: str = Field(default="", description="The engine.")
    engine_version: str = Field(default="", description="The engine's version.")
    quantization: str = Field(default="", description="How the weights are quantised.")


class Metric(_Model):
    """One number of a benchmark."""

    description: str = Field(description="What was measured.")
    value: str = Field(description="The number.")
    unit: str = Field(default="", description="Its unit.")
    config: MetricConfig | None = Field(default=None, description="How it was measured.")


class Performance(_Model):
    """What the start-up benchmark found."""

    metrics: dict[str, Metric] | None = Field(default=None, description="Numbers by name.")


class Status(_Model):
    """What was observed. Written by the operator only."""

    observed_generation: int | None = Field(
        default=None,
        json_schema_extra={"format": "int64"},
        description="The metadata.generation all of this is about.",
    )
    state: str = Field(
        default="",
        description="One word: Pending, Ready, NotReady, Running, Succeeded or Failed.",
    )
    target_node_count: int | None = Field(
        default=None,
        json_schema_extra={"format": "int32"},
        description="How many machines the plan needs.",
    )
    worker_nodes: tuple[str, ...] | None = Field(
        default=None, description="The nodes that work for this Workspace, sorted."
    )
    endpoint: str = Field(
        default="", description="Where the model answers inside the cluster, as a URL."
    )
    engine: str = Field(
        default="", description="What runs the model: vllm, transformers or tuning."
    )
    performance: Performance | None = Field(
        default=None, description="What the start-up benchmark found."
    )
    conditions: Annotated[
        tuple[Condition, ...] | None,
        Field(
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            }
        ),
    ] = Field(default=None, description="Observations, one per type.")

    def condition(self, type: str) -> Condition | None:  # noqa: A002 - the field's own name
        """The condition of that type."""
        return next((item for item in self.conditions or () if item.type == type), None)


class Content(_Model):
    """A Workspace runs a model (`inference`) or fine-tunes one (`tuning`) on GPU machines."""

    resource: ResourceSpec | None = Field(
        default=None, description="The machines this Workspace runs on."
    )
    inference: InferenceSpec | None = Field(
        default=None, description="What to serve. Either this or tuning."
    )
    tuning: TuningSpec | None = Field(
        default=None, description="What to fine-tune. Either this or inference."
    )
    status: Status | None = Field(default=None, description="What was observed.")


class Workspace(Content):
    """One Workspace as it was read."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    metadata: Meta

    @property
    def key(self) -> ObjectKey:
        return self.metadata.key

    @property
    def preset_name(self) -> str:
        """The preset as the user wrote it; empty when there is none."""
        spec = self.tuning or self.inference
        return spec.preset.name if spec is not None and spec.preset is not None else ""

    @property
    def instance_type(self) -> str:
        return self.resource.instance_type if self.resource else ""

    @property
    def node_labels(self) -> dict[str, str]:
        """Labels a node must carry, as the user wrote them (reserved keys included)."""
        return self.resource.label_selector.labels() if self.resource else {}

    def annotation(self, key: str) -> str:
        """The value of an annotation; empty when absent."""
        return self.metadata.annotations.get(key, "")


_FIELDS = ("resource", "inference", "tuning", "status")


def parse(record: Record) -> Workspace:
    """Read a Workspace of either version.

    Raises pydantic.ValidationError (a ValueError) when the object does not fit the types, which
    the API server rules out for everything it stores.
    """
    present = {name: record.get(name) for name in _FIELDS if record.raw(name) is not None}
    return Workspace(metadata=record.meta, **present)
