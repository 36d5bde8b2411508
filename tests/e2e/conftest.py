"""One control plane for all of these tests, the operator installed on it as the README says."""

import json
import logging
import re
import tempfile
import time
from pathlib import Path

import pytest
import structlog

from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane, Options
from tests.e2e.audit import Audit
from tests.e2e.kubectl import SEED, Kubectl
from tests.e2e.looping import LoopThread
from tests.e2e.world import Incarnation, World

NAMESPACE = "kaito-system"
ACCOUNT = "kaito"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
INSTALLED = ("config/crd", "config/crd/karpenter", "config/rbac", "config/policy")


@pytest.fixture(scope="package")
def folder():
    """Where the programs of the control plane are, kubectl among them."""
    found = programs.find()
    if found is None or not programs.has_controllers(found) or not (found / "kubectl").exists():
        pytest.skip("no control plane is built: make controlplane")
    return found


@pytest.fixture(scope="package")
def plane(folder):
    """etcd, API server, controllers, scheduler; every request in the audit log."""
    with (
        tempfile.TemporaryDirectory(prefix="kaito-e2e-") as state,
        ControlPlane(folder, Path(state), Options(audit=True)) as running,
    ):
        yield running


@pytest.fixture(scope="package")
def kubectl(folder, plane):
    """The administrator's."""
    return Kubectl(folder / "kubectl", plane.kubeconfig("admin"), plane.state)


@pytest.fixture(scope="package")
def installed(kubectl):
    """CRDs, roles and the admission policy, from the files of this repository."""
    for path in INSTALLED:
        kubectl("apply", "-k", path)
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    # An admission policy is heard of a moment after it was written.
    deadline = time.monotonic() + 120
    while not kubectl.try_("apply", "--dry-run=server", "-f", SEED).warnings:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="package")
def account(kubectl, plane, installed):
    """A kubeconfig of the operator's ServiceAccount: it has exactly the rights of config/rbac."""
    token = kubectl("create", "token", ACCOUNT, "--namespace", NAMESPACE).out.strip()
    path = plane.state / "account.kubeconfig"
    document = json.loads(plane.kubeconfig("admin").read_text())
    document["users"][0]["user"] = {"token": token}
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="package")
def thread():
    with LoopThread() as running:
        yield running


@pytest.fixture(scope="package")
def world(thread, plane, installed):
    """The cloud and its machines."""
    made = World(thread, plane.kubeconfig("admin"))
    made.start()
    yield made
    made.stop()


class Operator:
    """The operator that runs during a test, which may be several, one after the other."""

    def __init__(self, world, account):
        self._world = world
        self._account = account
        self._life = None

    def start(self, **how):
        self._life = Incarnation(self._world, self._account, **how)
        return self._life

    def stop(self):
        life, self._life = self._life, None
        if life is not None:
            life.stop()

    def crash(self):
        """Wait until it crashes as planned."""
        life, self._life = self._life, None
        life.crash()


@pytest.fixture
def idle(world, account, troubles, plane):
    """No operator yet: the test says when, and which. Nothing it asks for may be forbidden."""
    made, audit = Operator(world, account), Audit(plane.audit_log, USER)
    yield made
    made.stop()
    forbidden = [str(one) for one in audit.read() if one.code == 403]
    assert forbidden == []


@pytest.fixture
def operator(idle):
    """The operator runs."""
    idle.start()
    return idle


@pytest.fixture
def audit(plane):
    """What the operator asks the API server for, from now on."""
    return Audit(plane.audit_log, USER)


@pytest.fixture
def room(kubectl, request):
    """kubectl in a namespace of the test's own."""
    words = re.findall("[a-z0-9]+", request.node.name.removeprefix("test_"))
    name = "-".join(words)[:60].strip("-")
    kubectl("create", "namespace", name)
    yield kubectl.within(name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def troubles():
    """Nothing that runs here, operator or machines, logs an error."""
    found = []

    def note(_logger, _method, event):
        found.append(dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, note],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    yield found
    structlog.configure(**before)
    told = [f"{one.get('controller')} {one.get('key')}: {one.get('exception')}" for one in found]
    assert not found, "\n".join(told)
