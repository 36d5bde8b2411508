"""The same on a real control plane: what kubectl installs is taken, and allows what is declared."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random

import pytest

from kaito.controllers import rbac
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from kaito.kube.resources import SUBJECTACCESSREVIEWS
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane
from tests.deploy.test_rbac import EVERYWHERE, OPERATOR, VERBS, allowed

ROOT = Path(__file__).parents[2]
PROGRAMS = programs.find()

pytestmark = [
    pytest.mark.controlplane,
    pytest.mark.realtime,
    pytest.mark.skipif(
        PROGRAMS is None or not programs.has_controllers(PROGRAMS),
        reason="no real control plane: make controlplane builds it",
    ),
]


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    assert PROGRAMS is not None
    with tempfile.TemporaryDirectory() as state, ControlPlane(PROGRAMS, Path(state)) as plane:
        yield plane.kubeconfig("admin")


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path):
    """Runs kubectl; returns its lines on stdout, and on stderr."""
    assert PROGRAMS is not None
    program = next(
        (str(one) for one in (PROGRAMS / "kubectl",) if one.exists()), shutil.which("kubectl")
    )
    if program is None:
        pytest.skip("there is no kubectl")

    def run(*arguments: str) -> tuple[list[str], list[str]]:
        done = subprocess.run(
            [program, "--kubeconfig", str(kubeconfig), *arguments],
            cwd=ROOT,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(), done.stderr.splitlines()

    return run


@pytest.fixture(scope="module")
def installed(kubectl):
    """The operator for AKS. Afterwards it is removed, and nothing of it may stay."""
    kubectl("apply", "-k", "config/crd/karpenter")
    kubectl("wait", "--for=condition=Established", "crd/nodeclaims.karpenter.sh")
    created, warnings = kubectl("apply", "-k", "deploy/azure")
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=180s")
    yield created, warnings
    removed, _ = kubectl("delete", "-k", "deploy/azure", "--timeout=180s")
    assert len(removed) == len(created)


def test_everything_is_taken_without_a_warning(installed, kubectl) -> None:
    """Created the first time; unchanged the second time, so nothing is in a form of its own."""
    created, warnings = installed
    assert created
    assert warnings == []
    assert {line.rsplit(" ", 1)[1] for line in created} == {"created"}
    again, warnings = kubectl("apply", "-k", "deploy/azure")
    assert warnings == []
    changed = [line for line in again if not line.endswith(" unchanged")]
    # The API declares that a budget's selector is replaced, so kubectl sends it every time.
    assert changed == ["poddisruptionbudget.policy/kaito configured"]


def test_its_own_namespace_lets_its_pods_in(installed, kubectl) -> None:
    """The namespace enforces `restricted`; the ReplicaSet gets its pods past that."""
    kubectl(
        *("wait", "--for=jsonpath={.status.replicas}=2", "deployment/kaito"),
        *("-n", "kaito-system", "--timeout=180s"),
    )
    pods, _ = kubectl("get", "pods", "-n", "kaito-system", "-o", "name")
    assert len(pods) == 2


async def test_the_operator_may_do_what_is_declared_and_nothing_else(installed, kubeconfig) -> None:
    """As the real authorizer sees it: every verb on everything that any role could mean."""
    declared = allowed(EVERYWHERE)
    targets = {(group, resource) for group, resource, _ in declared}
    targets |= {("", "pods/exec"), ("", "serviceaccounts/token"), ("apps", "daemonsets")}
    clock = SystemClock()
    credentials = await load(str(kubeconfig), None, {}, clock=clock)
    transport = HttpsTransport(credentials)
    client = Client(transport, clock=clock, random=Random(1))
    try:
        answers = {
            (*target, verb): await _may(client, *target, verb, "somebodys")
            for target, verb in product(sorted(targets), VERBS)
        }
        lease = ("coordination.k8s.io", "leases", "update")
        assert await _may(client, *lease, rbac.NAMESPACE)
        assert not await _may(client, *lease, "kube-system")
    finally:
        await transport.close()
    assert {asked for asked, yes in answers.items() if yes} == declared


async def _may(client: Client, group: str, resource: str, verb: str, namespace: str) -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": subresource, "verb": verb}
    spec = {
        "user": OPERATOR.name,
        "groups": list(OPERATOR.groups),
        "resourceAttributes": {**attributes, "namespace": namespace},
    }
    answer = await client.create(SUBJECTACCESSREVIEWS, {"spec": spec})
    return bool(answer.get("status", "allowed"))


def test_samples_are_taken_without_a_warning(installed, kubectl) -> None:
    """And the tutorial's YAML with its placeholders is taken with one for each of them."""
    _, warnings = kubectl("apply", "--dry-run=server", "-k", "deploy/samples")
    assert warnings == []
    seed = "examples/fine-tuning/kaito_workspace_tuning_phi_3.yaml"
    taken, warnings = kubectl("apply", "--dry-run=server", "-f", seed)
    deadline = time.monotonic() + 120
    while not warnings and time.monotonic() < deadline:
        # An admission policy is heard of a moment after it was written.
        time.sleep(0.2)
        taken, warnings = kubectl("apply", "--dry-run=server", "-f", seed)
    assert taken == ["workspace.kaito.sh/workspace-tuning-phi-3 created (server dry run)"]
    assert any("tuning.output.image:" in line for line in warnings)
    assert any("tuning.output.imagePushSecret:" in line for line in warnings)
