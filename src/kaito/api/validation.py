"""The rules a Workspace must keep, beyond what its schema says. Pure; no cluster is asked.

The rules are KAITO's admission rules for the fields we serve, in our words and with the paths of
the YAML. What needs the catalog or the GPU table (presets, machine sizes, memory) is judged by
`kaito.planning`; what needs the cluster (Secrets, ConfigMaps) by the controller.
"""

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import ValidationError

from kaito.api.names import RESERVED_LABELS, Annotation, Reason
from kaito.api.problems import Problem
from kaito.api.references import (
    image_fault,
    is_dns_label,
    object_name_fault,
    placeholders,
    url_fault,
)
from kaito.api.resources import GROUP
from kaito.api.unknown import unknown_fields
from kaito.api.workspace import (
    AdapterSpec,
    DataDestination,
    DataSource,
    InferenceSpec,
    PresetSpec,
    ResourceSpec,
    TuningSpec,
    Workspace,
)
from kaito.kube.objects import Json, record_of

MAX_ADAPTERS: Final = 10
METHODS: Final = ("lora", "qlora")

_CHOICES: Final = {
    Annotation.NODE_IMAGE_FAMILY: ("ubuntu", "azurelinux"),
    Annotation.PERFORMANCE_MODE: ("balanced", "interactivity", "throughput"),
    Annotation.USE_LOCAL_WEIGHTS: ("true", "false"),
    Annotation.SERVE_AFTER_TUNING: ("true", "false"),
}

Provisioner = Literal["azure-gpu-provisioner", "karpenter", "byo"]


def validate(
    workspace: Workspace, provisioner: Provisioner = "azure-gpu-provisioner"
) -> list[Problem]:
    """Everything that is wrong with a Workspace by itself, errors and warnings, in order."""
    return [
        *_name(workspace),
        *_annotations(workspace),
        *_one_job(workspace),
        *_resource(workspace, provisioner),
        *(_inference(workspace.inference, workspace) if workspace.inference else ()),
        *(_tuning(workspace.tuning) if workspace.tuning else ()),
    ]


def _name(workspace: Workspace) -> Iterator[Problem]:
    name = workspace.metadata.name
    if name and not is_dns_label(name):
        yield Problem(
            "metadata.name",
            f"{name} must be at most 63 lower-case letters, digits and '-', and begin and end with "
            "a letter or digit, because pods and Services are named after it",
        )


def _annotations(workspace: Workspace) -> Iterator[Problem]:
    for key, choices in _CHOICES.items():
        value = workspace.annotation(key)
        # KAITO trims and lower-cases the image family, and only that.
        shown = value.strip().lower() if key == Annotation.NODE_IMAGE_FAMILY else value
        if value and shown not in choices:
            path = f'metadata.annotations["{key}"]'
            yield Problem(path, f'"{value}" must be one of {", ".join(choices)}')


def _one_job(workspace: Workspace) -> Iterator[Problem]:
    if workspace.inference and workspace.tuning:
        yield Problem("tuning", "a Workspace has inference or tuning, not both: remove one")
    if not workspace.inference and not workspace.tuning:
        yield Problem("inference", "a Workspace needs inference or tuning: add one")


def _resource(workspace: Workspace, provisioner: Provisioner) -> Iterator[Problem]:
    resource = workspace.resource
    if resource is None:
        yield Problem("resource", "it is required: instanceType and labelSelector go there")
        return
    yield from _instance_type(resource, provisioner)
    yield from _selector(resource)
    if resource.partition and provisioner != "byo":
        yield Problem("resource.partition", "only nodes brought by you can be partitioned")
    if workspace.tuning and (resource.count or 1) > 1:
        yield Problem("resource.count", "fine-tuning runs on one machine: set it to 1")


def _instance_type(resource: ResourceSpec, provisioner: Provisioner) -> Iterator[Problem]:
    path = "resource.instanceType"
    if provisioner == "byo" and resource.instance_type:
        yield Problem(path, "it must be empty, because this installation makes no nodes")
    if provisioner != "byo" and not resource.instance_type:
        yield Problem(path, "it is required, such as Standard_NC24ads_A100_v4")


def _selector(resource: ResourceSpec) -> Iterator[Problem]:
    path = "resource.labelSelector"
    for index, item in enumerate(resource.label_selector.match_expressions or ()):
        if item.operator != "In" or len(item.values or ()) != 1:
            yield Problem(
                f"{path}.matchExpressions[{index}]",
                "only matchLabels, and In with a single value, can choose nodes",
            )
    labels = resource.label_selector.labels()
    reserved = sorted(key for key in labels if key in RESERVED_LABELS)
    if labels and len(reserved) == len(labels):
        yield Problem(
            f"{path}.matchLabels", "at least one label must not be one that KAITO sets itself"
        )
    elif reserved:
        yield Problem(
            f"{path}.matchLabels",
            f"{', '.join(reserved)} is set by KAITO itself and ignored here",
            "warning",
        )


def _preset(preset: PresetSpec, path: str) -> Iterator[Problem]:
    if not preset.name.strip():
        yield Problem(f"{path}.name", "it is required; `kaito models` lists the names")
    secret = preset.preset_options.model_access_secret
    if secret:
        yield from _object_name(secret, f"{path}.presetOptions.modelAccessSecret", "Secret")


def _object_name(
    name: str, path: str, kind: str, reason: str = Reason.INVALID
) -> Iterator[Problem]:
    fault = object_name_fault(name)
    if fault:
        yield Problem(
            path, f'no {kind} can be called "{name}": {fault}{_unfilled(name)}', reason=reason
        )


def _unfilled(text: str) -> str:
    found = placeholders(text)
    if not found:
        return ""
    verb = "looks like a placeholder that was" if len(found) == 1 else "look like placeholders that"
    tail = "never filled in" if len(found) == 1 else "were never filled in"
    return f" ({' and '.join(found)} {verb} {tail})"


def _inference(spec: InferenceSpec, workspace: Workspace) -> Iterator[Problem]:
    if spec.preset is None and spec.template is None:
        yield Problem("inference.preset", "it is required (or a template)")
    if spec.preset is not None and spec.template is not None:
        yield Problem("inference.template", "preset and template exclude each other: remove one")
    if spec.preset is not None:
        yield from _preset(spec.preset, "inference.preset")
    if spec.config:
        yield from _object_name(spec.config, "inference.config", "ConfigMap")
    yield from _adapters(spec.adapters or (), workspace)


def _adapters(adapters: tuple[AdapterSpec, ...], workspace: Workspace) -> Iterator[Problem]:
    if len(adapters) > MAX_ADAPTERS:
        yield Problem("inference.adapters", f"at most {MAX_ADAPTERS} adapters can be served")
    seen: set[str] = set()
    vllm = workspace.annotation(Annotation.RUNTIME) != "transformers"
    for index, adapter in enumerate(adapters):
        path = f"inference.adapters[{index}]"
        name = adapter.source.name if adapter.source else ""
        if name and name in seen:
            yield Problem(f"{path}.source.name", f"{name} is used twice")
        seen.add(name)
        yield from _adapter(adapter, path, vllm=vllm)


def _adapter(adapter: AdapterSpec, path: str, *, vllm: bool) -> Iterator[Problem]:
    source = adapter.source
    if source is None:
        yield Problem(f"{path}.source", "it is required")
        return
    if object_name_fault(source.name):
        yield Problem(f"{path}.source.name", "it must be a lower-case DNS name")
    if source.urls:
        yield Problem(f"{path}.source.urls", "adapters come from an image or a volume, not URLs")
    elif bool(source.image) == (source.volume_source is not None):
        yield Problem(f"{path}.source", "exactly one of image and volumeSource is needed")
    if source.image and image_fault(source.image):
        yield Problem(f"{path}.source.image", image_fault(source.image) + _unfilled(source.image))
    if adapter.strength is not None:
        yield from _strength(adapter.strength, f"{path}.strength", vllm=vllm)


def _strength(text: str, path: str, *, vllm: bool) -> Iterator[Problem]:
    try:
        value = float(text)
    except ValueError:
        yield Problem(path, f"{text} is not a number")
        return
    if not 0 <= value <= 1:
        yield Problem(path, f"{text} must be between 0 and 1")
    if vllm:
        yield Problem(path, "vLLM knows no adapter strength; the transformers runtime does")


def _tuning(spec: TuningSpec) -> Iterator[Problem]:
    if spec.preset is None:
        yield Problem("tuning.preset", "it is required")
    else:
        yield from _preset(spec.preset, "tuning.preset")
    if spec.method.lower() not in METHODS:
        shown = f'"{spec.method}" is not a method: ' if spec.method else ""
        yield Problem("tuning.method", f"{shown}it must be lora or qlora")
    if spec.config:
        yield from _object_name(spec.config, "tuning.config", "ConfigMap")
    yield from _input(spec.input)
    yield from _output(spec.output)


def _input(source: DataSource) -> Iterator[Problem]:
    path = "tuning.input"
    given = [bool(source.urls), bool(source.image), source.volume_source is not None]
    if sum(given) != 1:
        yield Problem(path, "exactly one of urls, image and volumeSource is needed")
    for index, url in enumerate(source.urls or ()):
        fault = url_fault(url)
        if fault:
            yield Problem(f"{path}.urls[{index}]", f"{url} cannot be downloaded: {fault}")
    if source.image and image_fault(source.image):
        fault = image_fault(source.image)
        yield Problem(f"{path}.image", f"cannot be pulled: {fault}{_unfilled(source.image)}")
    for index, name in enumerate(source.image_pull_secrets or ()):
        yield from _object_name(name, f"{path}.imagePullSecrets[{index}]", "Secret")


def _output(output: DataDestination) -> Iterator[Problem]:
    path, reason = "tuning.output", Reason.OUTPUT_NOT_PUSHABLE
    if bool(output.image) == (output.volume_source is not None):
        yield Problem(path, "exactly one of image and volumeSource is needed")
    if not output.image:
        return
    fault = image_fault(output.image)
    if fault:
        message = f'nothing can be pushed to "{output.image}": {fault}{_unfilled(output.image)}'
        yield Problem(f"{path}.image", message, reason=reason)
    secret = f"{path}.imagePushSecret"
    if output.image_push_secret:
        yield from _object_name(output.image_push_secret, secret, "Secret", reason)
    else:
        message = "a Secret of type kubernetes.io/dockerconfigjson is needed to push the image"
        yield Problem(secret, message, reason=reason)


def unfilled(workspace: Workspace) -> list[Problem]:
    """One warning for every placeholder left in what a tuning Workspace refers to."""
    if workspace.tuning is None:
        return []
    output = workspace.tuning.output
    return [
        Problem(path, f"{word} looks like a placeholder: put your own value there", "warning")
        for path, text in (
            ("tuning.output.image", output.image),
            ("tuning.output.imagePushSecret", output.image_push_secret),
        )
        for word in placeholders(text)
    ]


def read(obj: Json) -> Workspace | list[Problem]:
    """A Workspace from a file, defaults of its version filled in; or what its types do not fit."""
    if obj.get("kind") != "Workspace" or not str(obj.get("apiVersion", "")).startswith(f"{GROUP}/"):
        kind = f"{obj.get('apiVersion')} {obj.get('kind')}"
        return [Problem("kind", f"{kind} is not a Workspace of {GROUP}")]
    if obj["apiVersion"] not in (f"{GROUP}/v1alpha1", f"{GROUP}/v1beta1"):
        return [Problem("apiVersion", f"{obj['apiVersion']} is not served; use {GROUP}/v1beta1")]
    defaulted = with_defaults(obj)
    record = record_of(defaulted)
    fields = {name: defaulted[name] for name in ("resource", "inference", "tuning") if name in obj}
    try:
        return Workspace(metadata=record.meta, **fields)
    except ValidationError as error:
        return [_type_problem(detail["loc"], detail["msg"]) for detail in error.errors()]


def _type_problem(location: tuple[str | int, ...], message: str) -> Problem:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    words = "it is required" if message == "Field required" else message[0].lower() + message[1:]
    return Problem(path, words)


V1ALPHA1_INSTANCE_TYPE: Final = "Standard_NC24ads_A100_v4"
"""KAITO: what v1alpha1, and only v1alpha1, takes when there is no instanceType."""


def with_defaults(obj: Json) -> Json:
    """A copy with what the API server would fill in for the object's version."""
    resource = obj.get("resource")
    if obj.get("apiVersion") != f"{GROUP}/v1alpha1" or not isinstance(resource, dict):
        return dict(obj)
    return {**obj, "resource": {"instanceType": V1ALPHA1_INSTANCE_TYPE, **resource}}


def validate_object(obj: Json, provisioner: Provisioner = "azure-gpu-provisioner") -> list[Problem]:
    """Everything wrong with an object from a file: unknown fields, types, then the rules."""
    workspace = read(obj)
    unknown = unknown_fields(obj)
    if isinstance(workspace, list):
        return [*unknown, *workspace]
    return [*unknown, *validate(workspace, provisioner)]
