"""Workspaces to plan, and what is planned of them."""

import copy
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from kaito.api.validation import read
from kaito.api.workspace import Workspace
from kaito.planning.plan import Facts, Plan, Refusal, plan

TODAY = date(2026, 11, 23)
FACTS = Facts(today=TODAY)
EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = yaml.safe_load((EXAMPLES / "fine-tuning/kaito_workspace_tuning_phi_3.yaml").read_text())
A100 = "Standard_NC24ads_A100_v4"


def serving(
    model: str = "phi-4-mini-instruct",
    machine: str = A100,
    *,
    annotations: dict[str, str] | None = None,
    **inference: Any,
) -> Workspace:
    found = read(
        {
            "apiVersion": "kaito.sh/v1beta1",
            "kind": "Workspace",
            "metadata": {"name": "ws", "annotations": annotations or {}},
            "resource": {
                "instanceType": machine,
                "labelSelector": {"matchLabels": {"apps": "x", "kaito.sh/workspace": "no"}},
            },
            "inference": {
                name: value
                for name, value in {"preset": {"name": model}, **inference}.items()
                if value is not None
            },
        }
    )
    assert isinstance(found, Workspace)
    return found


def tuning(
    preset: str = "phi-3-mini-128k-instruct",
    machine: str = "Standard_NC6s_v3",
    *,
    annotations: dict[str, str] | None = None,
    **changes: Any,
) -> Workspace:
    obj = copy.deepcopy(SEED)
    obj["metadata"]["annotations"] = annotations or {}
    obj["resource"]["instanceType"] = machine
    obj["tuning"]["preset"]["name"] = preset
    obj["tuning"]["output"] = {"image": "r.azurecr.io/a:1", "imagePushSecret": "push"}
    obj["tuning"].update(changes)
    found = read(obj)
    assert isinstance(found, Workspace)
    return found


def planned(workspace: Workspace, facts: Facts = FACTS) -> Plan:
    found = plan(workspace, facts)
    assert isinstance(found, Plan), found
    return found


def refused(workspace: Workspace, facts: Facts = FACTS) -> Refusal:
    found = plan(workspace, facts)
    assert isinstance(found, Refusal), found
    return found


def engine_settings(**flags: Any) -> Facts:
    text = yaml.safe_dump({"vllm": {name.replace("_", "-"): v for name, v in flags.items()}})
    return Facts(today=TODAY, config={"inference_config.yaml": text})
