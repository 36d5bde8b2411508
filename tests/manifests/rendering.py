"""Workspaces through the whole pure middle: parse, plan, render."""

from datetime import date

import yaml

from kaito.api.validation import with_defaults
from kaito.api.workspace import parse
from kaito.kube.objects import record_of
from kaito.manifests.identity import Identity
from kaito.manifests.options import RenderOptions
from kaito.planning.plan import Facts, Plan, plan

TODAY = date(2026, 11, 1)
UID = "0b5c7a3e-0000-4000-8000-000000000001"


def planned(obj, config=None):
    """The Plan of a Workspace as it stands in a file."""
    workspace = parse(record_of(with_defaults(obj)))
    decided = plan(workspace, Facts(today=TODAY, config=config))
    assert isinstance(decided, Plan), decided
    return decided


def identity(obj):
    return Identity(namespace="default", name=obj["metadata"]["name"], uid=UID)


OPTIONS = RenderOptions()


def workspace(preset, instance_type, *, name="w", annotations=None):
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
        "resource": {
            "instanceType": instance_type,
            "labelSelector": {"matchLabels": {"apps": name}},
        },
        "inference": {"preset": {"name": preset}},
    }


def load(path):
    return yaml.safe_load(path.read_text())
