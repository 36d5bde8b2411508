"""Where another operator does the same work, this one does not start."""

import os
import subprocess
import sys

import pytest

from tests.e2e.kubectl import ROOT

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]


def test_refuses_to_start_beside_kaito(room, account, world):
    """`kaito run` names the Deployment that is in the way, and how to stop it; exit code 1."""
    deployment = room(
        *("create", "deployment", "kaito-workspace", "--image=mcr.microsoft.com/aks/kaito:0"),
        *("--dry-run=client", "-o", "yaml"),
    ).out
    labelled = room(
        *("label", "--local", "-f", "-", "app.kubernetes.io/name=workspace", "-o", "yaml"),
        stdin=deployment,
    ).out
    room("apply", "-f", "-", stdin=labelled)
    room.wait("--for=condition=Available", "deployment/kaito-workspace", seconds=120)

    refused = run("--kubeconfig", account)

    assert refused.returncode == 1
    assert f"Deployment {room.namespace}/kaito-workspace" in refused.stderr
    assert "--replicas=0" in refused.stderr
    room("delete", "deployment", "kaito-workspace")


def run(*words):
    """`kaito run` as a process of its own, bound to end by itself."""
    program = "from kaito.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "run", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
