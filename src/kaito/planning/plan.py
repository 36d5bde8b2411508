"""The decision: a Workspace and what is known become a Plan, or a Refusal that says why not."""

from typing import Final

from kaito.api.names import RESERVED_LABELS, Annotation, Reason
from kaito.api.problems import Problem, did_you_mean
from kaito.api.validation import Provisioner, validate
from kaito.api.workspace import Workspace
from kaito.planning import inference, tuning
from kaito.planning.decision import Facts, Plan, Refusal, TuningPlan
from kaito.planning.refusing import Refused
from kaito.planning.situation import Situation
from kaito.planning.skus import Sku, find_sku, nearest
from kaito.presets.catalog import UnknownPreset, find
from kaito.presets.preset import Preset

__all__ = ("Facts", "Plan", "Provisioner", "Refusal", "TuningPlan", "plan")

FIRST_SUPPORTED_CAPABILITY: Final = 7.0
"""vLLM, and the kernels of the other runtimes, start at Volta."""

FIRST_TESTED_CAPABILITY: Final = 8.0
"""KAITO supports its image from Ampere on."""


def plan(workspace: Workspace, facts: Facts) -> Plan | Refusal:
    """Decide how to run a Workspace. Deterministic; asks nobody."""
    problems = validate(workspace, facts.provisioner)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        return _refusal_of(errors)
    try:
        situation = _situation(workspace, facts)
        notes = tuple(str(problem) for problem in problems)
        if workspace.tuning is not None:
            return tuning.plan(situation, workspace.tuning, notes)
        assert workspace.inference is not None  # noqa: S101 - validation saw to it
        return inference.plan(situation, workspace.inference, notes)
    except Refused as refused:
        return refused.refusal


def _refusal_of(errors: list[Problem]) -> Refusal:
    """One refusal for all errors, under the reason of the first; like reasons speak first."""
    first = errors[0]
    same = [problem for problem in errors if problem.reason == first.reason]
    others = [problem for problem in errors if problem.reason != first.reason]
    message = "; ".join(str(problem) for problem in (*same, *others))
    return Refusal(reason=first.reason, message=message, field=first.path)


def _situation(workspace: Workspace, facts: Facts) -> Situation:
    _served(workspace, facts)
    preset = _preset(workspace)
    sku = _sku(workspace, facts)
    labels = sorted(
        (key, value) for key, value in workspace.node_labels.items() if key not in RESERVED_LABELS
    )
    family = workspace.annotation(Annotation.NODE_IMAGE_FAMILY).strip().lower()
    return Situation(
        workspace=workspace,
        facts=facts,
        preset=preset,
        sku=sku,
        node_labels=tuple(labels),
        node_image_family="azurelinux" if family == "azurelinux" else "ubuntu",
        warnings=(*_preset_warnings(preset), *_sku_warnings(sku, facts)),
    )


def _served(workspace: Workspace, facts: Facts) -> None:
    """Refuse what KAITO's API has and this version does not act on."""
    inference_spec, tuning_spec, resource = (
        workspace.inference,
        workspace.tuning,
        workspace.resource,
    )
    absent = (
        (facts.provisioner == "karpenter", "resource", "the karpenter provisioner"),
        (bool(resource and resource.partition), "resource.partition", "GPU partitions"),
        (
            bool(inference_spec and inference_spec.template),
            "inference.template",
            "pod templates of your own",
        ),
        (bool(inference_spec and inference_spec.adapters), "inference.adapters", "adapters"),
        (
            bool(tuning_spec and tuning_spec.input.volume_source),
            "tuning.input.volumeSource",
            "volumes",
        ),
        (
            bool(tuning_spec and tuning_spec.output.volume_source),
            "tuning.output.volumeSource",
            "volumes",
        ),
        (
            workspace.annotation(Annotation.USE_LOCAL_WEIGHTS) == "true",
            f'metadata.annotations["{Annotation.USE_LOCAL_WEIGHTS}"]',
            "weights on the node",
        ),
    )
    for wanted, field, what in absent:
        if wanted:
            raise Refused(Reason.NOT_SERVED_YET, f"this version does not serve {what} yet", field)


def _preset(workspace: Workspace) -> Preset:
    field = "tuning.preset.name" if workspace.tuning else "inference.preset.name"
    found = find(workspace.preset_name)
    if isinstance(found, Preset):
        return found
    raise Refused(Reason.UNKNOWN_PRESET, unknown_preset(found), field)


def unknown_preset(unknown: UnknownPreset) -> str:
    """What to say about a name that is not in the catalog."""
    message = f"there is no preset {unknown.name}{did_you_mean(unknown.nearest)}"
    if "/" in unknown.name:
        message += " (this version serves only the Hugging Face models of its catalog)"
    return message if unknown.nearest else f"{message}; `kaito models` lists them"


def _sku(workspace: Workspace, facts: Facts) -> Sku:
    field = "resource.instanceType"
    if facts.provisioner == "byo":
        if facts.gpu is None:
            raise Refused(
                Reason.NO_MATCHING_NODES,
                "no ready node carries the labels of the selector and tells of its GPUs",
                "resource.labelSelector",
            )
        return facts.gpu
    name = workspace.instance_type
    sku = find_sku(name)
    if sku is None or sku.cloud != facts.cloud:
        near = nearest(name, facts.cloud)
        message = f"no GPU facts are known for {name} on {facts.cloud}{did_you_mean(near)}"
        hint = "" if near else "; `kaito skus` lists what is known"
        raise Refused(Reason.UNKNOWN_INSTANCE_TYPE, message + hint, field)
    _drivable(sku, field)
    return sku


def _drivable(sku: Sku, field: str) -> None:
    if sku.capability is None:
        message = f"{sku.name} has {sku.model}; the engine image drives NVIDIA GPUs only"
        raise Refused(Reason.INSTANCE_TYPE_NOT_SUPPORTED, message, field)
    if sku.capability < FIRST_SUPPORTED_CAPABILITY:
        message = (
            f"{sku.name} has {sku.model} of compute capability {sku.capability}; "
            f"the engines need {FIRST_SUPPORTED_CAPABILITY} or more"
        )
        retired = f"; use {sku.successor}" if sku.successor else ""
        raise Refused(Reason.INSTANCE_TYPE_NOT_SUPPORTED, message + retired, field)


def _sku_warnings(sku: Sku, facts: Facts) -> tuple[str, ...]:
    warnings = []
    retirement = sku.retirement(facts.today)
    if retirement:
        warnings.append(f"resource.instanceType: {retirement}")
    if sku.capability is not None and sku.capability < FIRST_TESTED_CAPABILITY:
        warnings.append(
            f"resource.instanceType: {sku.model} has compute capability {sku.capability}: it "
            f"computes in float16, and KAITO supports its image from {FIRST_TESTED_CAPABILITY} on"
        )
    return tuple(warnings)


def _preset_warnings(preset: Preset) -> tuple[str, ...]:
    if preset.era != "legacy":
        return ()
    return (f"preset {preset.name} is of an earlier KAITO; sizing uses what that listed for it",)
