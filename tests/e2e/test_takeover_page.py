"""The commands by which docs/operations.md takes a KAITO installation over, and gives it back."""

import json
import os
import subprocess

import pytest

from tests.docs.reading import ROOT, blocks
from tests.e2e.test_coexistence import run
from tests.e2e.test_takeover import INFERENCE, installed, picture

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

WEBHOOK = "validation.workspace.kaito.sh"
DEPLOYMENTS = {"kaito-workspace": "workspace", "gpu-provisioner": "gpu-provisioner"}
"""Names, which are those of their namespaces too, and what their charts label them with."""
MODEL = "workspace-phi-4-mini"
REVISION = r"{.metadata.annotations.workspace\.kaito\.io/revision}"


def commands(word):
    """The blocks of the section that are marked with this word."""
    found = [one for one in blocks(ROOT / "docs/operations.md") if one.words == (word,)]
    assert found, word
    return "".join(one.text for one in found)


class Shell:
    """Somebody at a terminal, in the repository, with the administrator's kubeconfig."""

    def __init__(self, kubectl):
        path = f"{kubectl.program.parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubectl.kubeconfig),
            "HOME": str(kubectl.kubeconfig.parent),
            "PATH": path,
        }

    def __call__(self, text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            cwd=ROOT,
            env=self._environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def kaito(kubectl, world):
    """KAITO's and gpu-provisioner's Deployments in name alone, and KAITO's webhook."""
    for name, label in DEPLOYMENTS.items():
        kubectl("create", "namespace", name)
        there = kubectl.within(name)
        image = f"--image=mcr.microsoft.com/aks/{name}:0"
        document = there("create", "deployment", name, image, "--dry-run=client", "-o", "yaml").out
        document = there(
            *("label", "--local", "-f", "-", f"app.kubernetes.io/name={label}", "-o", "yaml"),
            stdin=document,
        ).out
        there("apply", "-f", "-", stdin=document)
        there.wait("--for=condition=Available", f"deployment/{name}", seconds=120)
    yield kubectl
    kubectl("delete", "validatingwebhookconfiguration", WEBHOOK, "--ignore-not-found")
    for name in DEPLOYMENTS:
        kubectl.within(name)("delete", "deployment", name)
    kubectl("delete", "namespace", *DEPLOYMENTS, "--wait=false")
    kubectl("delete", "deployment", "-n", "kaito-system", "kaito", "--ignore-not-found")


def webhook():
    """As KAITO's chart has it; nobody answers it here, as when KAITO is stopped."""
    service = {"namespace": "kaito-workspace", "name": "kaito-workspace", "port": 9443}
    rule = {
        "apiGroups": ["kaito.sh"],
        "apiVersions": ["v1beta1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["workspaces", "workspaces/status"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK},
        "webhooks": [
            {
                "name": WEBHOOK,
                "clientConfig": {"service": service},
                "rules": [rule],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


def policy(kubectl):
    path = "{.webhooks[0].failurePolicy}"
    return kubectl("get", "validatingwebhookconfiguration", WEBHOOK, "-o", f"jsonpath={path}").out


def replicas(kubectl):
    found = kubectl.json("deployments", "-A")["items"]
    return {one["metadata"]["name"]: one["spec"]["replicas"] for one in found}


def test_every_command_of_the_page(kaito, kubectl, room, account, idle, world):
    """Beside KAITO the operator refuses; after the page's commands the Workspace changes hands;
    after those that go back, it is KAITO's again, its pods still the same."""
    shell = Shell(kubectl)
    found = installed(room, world, INFERENCE)
    kubectl("create", "-f", "-", stdin=json.dumps(webhook()))
    before = picture(room, found)
    refused = run("--kubeconfig", account)
    assert refused.returncode == 1
    assert all(f"-n {name} {name} --replicas=0" in refused.stderr for name in DEPLOYMENTS)

    listed = shell(commands("takeover"))
    assert all(name in listed for name in DEPLOYMENTS)
    assert policy(kubectl) == "Ignore"
    assert replicas(kubectl) == {"kaito-workspace": 0, "gpu-provisioner": 0, "kaito": 2}

    idle.start(elect=False)
    room.wait("--for=condition=Ready", f"workspace/{MODEL}")
    seen = shell(commands("seen"))
    assert f"took over StatefulSet {MODEL}" in seen
    (row,) = [line.split() for line in seen.splitlines() if line.startswith(room.namespace)][-1:]
    assert row == [room.namespace, MODEL, "True", "TakenOver"]
    assert picture(room, found) == before

    idle.stop()
    shell(commands("return"))
    assert policy(kubectl) == "Fail"
    assert replicas(kubectl) == {"kaito-workspace": 1, "gpu-provisioner": 1, "kaito": 0}
    assert picture(room, found) == before

    kubectl("delete", "validatingwebhookconfiguration", WEBHOOK)
    idle.start(elect=False)
    update = commands("update").replace("NAMESPACE", room.namespace).replace("NAME", MODEL)
    shell(update)
    room.wait(f"--for=jsonpath={REVISION}=2", f"statefulset/{MODEL}", seconds=120)
    room("delete", "workspace", MODEL, "--timeout=180s")
    assert world.pools() == {}
