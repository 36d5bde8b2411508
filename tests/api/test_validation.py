"""The rules: each one broken in turn, and the seed."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kaito.api.names import Reason
from kaito.api.problems import Problem
from kaito.api.references import image_fault, is_dns_subdomain, placeholders, url_fault
from kaito.api.validation import read, unfilled, validate, validate_object
from kaito.api.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED: dict[str, Any] = yaml.safe_load(
    (EXAMPLES / "fine-tuning" / "kaito_workspace_tuning_phi_3.yaml").read_text()
)

INFERENCE: dict[str, Any] = {
    "apiVersion": "kaito.sh/v1beta1",
    "kind": "Workspace",
    "metadata": {"name": "phi"},
    "resource": {
        "instanceType": "Standard_NC24ads_A100_v4",
        "labelSelector": {"matchLabels": {"apps": "phi"}},
    },
    "inference": {"preset": {"name": "phi-4"}},
}

TUNING: dict[str, Any] = {
    **INFERENCE,
    "tuning": {
        "preset": {"name": "phi-4"},
        "method": "qlora",
        "input": {"urls": ["https://huggingface.co/data.parquet"]},
        "output": {"image": "registry.io/adapter:1", "imagePushSecret": "push"},
    },
}
del TUNING["inference"]


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `base` with one field set; the value `...` removes it."""
    obj = copy.deepcopy(base)
    *parents, last = path.split("/")
    node = obj
    for step in parents:
        node = node.setdefault(step, {})
    if value is ...:
        node.pop(last, None)
    else:
        node[last] = value
    return obj


def problems(obj: dict[str, Any]) -> list[Problem]:
    return validate_object(obj)


def workspace(obj: dict[str, Any]) -> Workspace:
    found = read(obj)
    assert isinstance(found, Workspace)
    return found


@pytest.mark.parametrize("obj", [INFERENCE, TUNING])
def test_a_sound_workspace_has_no_problems(obj: dict[str, Any]) -> None:
    """The two samples pass."""
    assert problems(obj) == []


CASES = [
    (INFERENCE, "metadata/name", "a.b", "metadata.name", "63 lower-case"),
    (INFERENCE, "metadata/name", "a" * 64, "metadata.name", "63 lower-case"),
    (INFERENCE, "inference", ..., "inference", "needs inference or tuning"),
    (INFERENCE, "tuning", TUNING["tuning"], "tuning", "not both"),
    (INFERENCE, "resource", ..., "resource", "required"),
    (INFERENCE, "resource/instanceType", "", "resource.instanceType", "required"),
    (
        INFERENCE,
        "metadata/annotations",
        {"kaito.sh/performance-mode": "fast"},
        'metadata.annotations["kaito.sh/performance-mode"]',
        "balanced",
    ),
    (
        INFERENCE,
        "metadata/annotations",
        {"kaito.sh/node-image-family": "windows"},
        'metadata.annotations["kaito.sh/node-image-family"]',
        "azurelinux",
    ),
    (
        INFERENCE,
        "resource/labelSelector",
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]},
        "resource.labelSelector.matchExpressions[0]",
        "single value",
    ),
    (
        INFERENCE,
        "resource/labelSelector",
        {"matchLabels": {"kaito.sh/workspace": "x"}},
        "resource.labelSelector.matchLabels",
        "at least one",
    ),
    (INFERENCE, "resource/partition", {"mode": "mig"}, "resource.partition", "brought by you"),
    (INFERENCE, "inference/preset", ..., "inference.preset", "required"),
    (INFERENCE, "inference/template", {"spec": {}}, "inference.template", "exclude each other"),
    (INFERENCE, "inference/preset/name", " ", "inference.preset.name", "required"),
    (INFERENCE, "inference/config", "My_Config", "inference.config", "no ConfigMap"),
    (
        INFERENCE,
        "inference/preset/presetOptions",
        {"modelAccessSecret": "HF_SECRET"},
        "inference.preset.presetOptions.modelAccessSecret",
        "no Secret",
    ),
    (
        INFERENCE,
        "inference/adapters",
        [{"source": {"name": f"a{n}", "image": "r.io/a:1"}} for n in range(11)],
        "inference.adapters",
        "at most 10",
    ),
    (
        INFERENCE,
        "inference/adapters",
        [{"source": {"name": "a", "image": "r.io/a:1"}, "strength": "2"}],
        "inference.adapters[0].strength",
        "between 0 and 1",
    ),
    (
        INFERENCE,
        "inference/adapters",
        [{"source": {"name": "a", "urls": ["https://x.io"]}}],
        "inference.adapters[0].source.urls",
        "not URLs",
    ),
    (TUNING, "resource/count", 2, "resource.count", "one machine"),
    (TUNING, "tuning/method", "full", "tuning.method", "lora or qlora"),
    (TUNING, "tuning/preset", ..., "tuning.preset", "required"),
    (TUNING, "tuning/input", {}, "tuning.input", "exactly one"),
    (
        TUNING,
        "tuning/input",
        {"urls": ["http://169.254.169.254/latest"]},
        "tuning.input.urls[0]",
        "not a public address",
    ),
    (TUNING, "tuning/output", {}, "tuning.output", "exactly one"),
    (
        TUNING,
        "tuning/output",
        {"image": "r.io/a:1"},
        "tuning.output.imagePushSecret",
        "dockerconfigjson",
    ),
    (TUNING, "tuning/output/image", "r.io/Adapter:1", "tuning.output.image", "lower case"),
]


@pytest.mark.parametrize(("base", "path", "value", "where", "words"), CASES)
def test_a_broken_rule_is_named(
    base: dict[str, Any], path: str, value: Any, where: str, words: str
) -> None:
    """Each rule points at the field of the YAML and says what to do."""
    found = [p for p in problems(changed(base, path, value)) if p.severity == "error"]
    assert any(p.path == where and words in p.message for p in found), found


def test_the_seed_as_printed_cannot_be_pushed() -> None:
    """Both lines to edit are named, with the reason OutputNotPushable and nothing else."""
    found = problems(SEED)
    assert [p.path for p in found] == ["tuning.output.image", "tuning.output.imagePushSecret"]
    assert {p.reason for p in found} == {Reason.OUTPUT_NOT_PUSHABLE}
    assert "ACR_REPO_HERE and IMAGE_NAME_HERE" in found[0].message
    assert "ACR_REGISTRY_SECRET_HERE" in found[1].message


def test_the_seed_warns_once_per_placeholder() -> None:
    """Three words were left to be filled in."""
    found = unfilled(workspace(SEED))
    assert [(p.path, p.severity) for p in found] == [
        ("tuning.output.image", "warning"),
        ("tuning.output.image", "warning"),
        ("tuning.output.imagePushSecret", "warning"),
    ]


def test_the_seed_filled_in_is_sound() -> None:
    """With only those two values replaced nothing is left to complain about."""
    filled = {"image": "myregistry.azurecr.io/adapter:0.0.1", "imagePushSecret": "acr-push"}
    assert problems(changed(SEED, "tuning/output", filled)) == []


def test_a_method_may_be_written_in_capitals() -> None:
    """`LoRA` is lora."""
    assert problems(changed(TUNING, "tuning/method", "LoRA")) == []


def test_brought_nodes_need_no_instance_type() -> None:
    """Where nodes are brought, instanceType must be empty."""
    ours = workspace(INFERENCE)
    assert [p.path for p in validate(ours, "byo")] == ["resource.instanceType"]
    theirs = workspace(changed(INFERENCE, "resource/instanceType", ""))
    assert validate(theirs, "byo") == []


def test_a_reserved_label_beside_another_is_a_warning() -> None:
    """KAITO ignores its own labels in a selector; so do we, but not silently."""
    labels = {"kaito.sh/workspace": "x", "app": "y"}
    (found,) = problems(changed(INFERENCE, "resource/labelSelector/matchLabels", labels))
    assert found.severity == "warning"


def test_unknown_fields_come_with_the_nearest() -> None:
    """A typo at any depth is found, with what was probably meant."""
    obj = changed(TUNING, "tuning/input/url", ["https://x.io"])
    obj = changed(obj, "resources", {})
    found = {p.path: p.message for p in problems(obj)}
    assert found["tuning.input.url"] == "there is no such field; did you mean urls?"
    assert found["resources"] == "there is no such field; did you mean resource?"


def test_what_a_template_holds_is_not_ours_to_know() -> None:
    """Fields inside a pod template or volume are left alone."""
    obj = changed(INFERENCE, "inference", {"template": {"spec": {"anything": 1}}})
    assert problems(obj) == []


def test_a_spec_at_the_root_is_explained() -> None:
    """Everybody writes spec once."""
    (found,) = [p for p in problems(changed(INFERENCE, "spec", {})) if p.path == "spec"]
    assert "sit at the root" in found.message


def test_wrong_types_are_problems_with_a_path() -> None:
    """An object that does not fit the types is explained, not thrown back."""
    (found,) = problems(changed(TUNING, "tuning/input/urls", "https://x.io"))
    assert found.path == "tuning.input.urls"
    (missing,) = problems(changed(TUNING, "tuning/output", ...))
    assert (missing.path, missing.message) == ("tuning.output", "it is required")


def test_other_kinds_and_versions_are_refused() -> None:
    """Only Workspaces of the two served versions are read."""
    assert problems(changed(INFERENCE, "kind", "Pod"))[0].path == "kind"
    assert problems(changed(INFERENCE, "apiVersion", "kaito.sh/v2"))[0].path == "apiVersion"


def test_v1alpha1_without_a_machine_gets_its_default() -> None:
    """Only v1alpha1 has a default machine."""
    alpha = changed(INFERENCE, "apiVersion", "kaito.sh/v1alpha1")
    assert problems(changed(alpha, "resource/instanceType", ...)) == []
    assert problems(changed(INFERENCE, "resource/instanceType", ...)) != []


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "nginx:1.27",
        "myregistry.azurecr.io/a/b-c_d.e:0.0.1",
        "localhost:5000/a",
        "MyRegistry.azurecr.io/a:1",
        "r.io/a@sha256:" + "0" * 64,
    ],
)
def test_images_that_can_exist(image: str) -> None:
    """What registries accept is accepted."""
    assert image_fault(image) == ""


@pytest.mark.parametrize(
    "image",
    ["", "r.io/", "r.io/A:1", "under_score.io/a", "r.io/a:", "r.io/a b", "r.io:x/a", "r.io/a@md5"],
)
def test_images_that_cannot_exist(image: str) -> None:
    """What no registry accepts is explained."""
    assert image_fault(image) != ""


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.io/a",
        "https:///a",
        "http://localhost/a",
        "http://a.localhost",
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://metadata.google.internal/",
        "http://[bad",
    ],
)
def test_urls_that_lead_inside_are_refused(url: str) -> None:
    """A download from inside the cluster must not reach what only the inside can."""
    assert url_fault(url) != ""


def test_names_and_placeholders() -> None:
    """Object names follow RFC 1123; words left to be filled in are recognised."""
    assert is_dns_subdomain("a.b-c")
    assert not is_dns_subdomain("A")
    assert not is_dns_subdomain("")
    assert placeholders("<registry>/IMAGE_NAME:1") == ("<registry>", "IMAGE_NAME")
    assert placeholders("registry.io/name:V1") == ()
