"""What the operator asks of the API server, by the server's own audit log."""

import json
import time

import pytest

from tests.e2e.audit import Audit
from tests.e2e.kubectl import INFERENCE, SEED

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

QUIET_SECONDS = 20
TRAILING_SECONDS = 3
"""Events are written behind what they tell of: nothing was for so long."""
CHILDREN = "statefulsets,jobs,services,configmaps,controllerrevisions"
REGISTRY = "myregistry.azurecr.io"


class History:
    """Every state of the Workspaces of a namespace, as a watching kubectl prints them."""

    def __init__(self, kubectl, audit_log):
        audit = Audit(audit_log, "admin")
        self._watching = kubectl.start("get", "workspaces", "--watch", "-o", "json")
        audit.until("watch", "workspaces", kubectl.namespace)

    def states(self):
        """End the watch; the distinct sets of (type, status, reason) that a status went through."""
        self._watching.terminate()
        text, _ = self._watching.communicate()
        return {_state(obj) for obj in _documents(text)} - {frozenset()}


def _documents(text):
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        obj, at = decoder.raw_decode(text, at)
        yield obj
        at += len(text[at:]) - len(text[at:].lstrip())


def _state(obj):
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return frozenset((c["type"], c["status"], c["reason"]) for c in conditions)


def budget(kubectl, name, states, secrets):
    """1 finalizer + 1 per child + 1 per set of (type, status, reason) + 1 per Event and Secret."""
    children = [
        obj
        for obj in kubectl.json(CHILDREN)["items"]
        if any(o["kind"] == "Workspace" for o in obj["metadata"].get("ownerReferences") or ())
    ]
    claims = kubectl.names("nodeclaims", "-l", f"kaito.sh/workspace={name}")
    events = [
        event
        for event in kubectl.json("events.v1.events.k8s.io")["items"]
        if event["regarding"]["kind"] == "Workspace"
    ]
    return 1 + len(children) + len(claims) + len(states) + len(events) + secrets


def by_the_workspace_controller(asked, namespace):
    """What was done in the namespace of a Workspace, and the claims made for it."""
    return [
        one
        for one in asked
        if one.verb != "watch"
        and (one.namespace == namespace or (one.resource, one.verb) == ("nodeclaims", "create"))
    ]


@pytest.fixture
def settled(audit, operator, world):
    """The operator's start is not a Workspace's fault: it has listed, and holds its lease."""
    deadline = time.monotonic() + 120
    watched = set()
    while not {"workspaces", "nodeclaims", "nodes", "pods", "services"} <= watched:
        watched |= {one.resource for one in audit.read() if one.verb == "watch"}
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return audit


def after(audit, seconds):
    """What was asked in so many seconds, but for what is asked whatever happens."""
    time.sleep(seconds)
    return [one for one in audit.read() if one.verb != "watch" and one.resource != "leases"]


def filled_in(text):
    image = "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1"
    text = text.replace(image, f"{REGISTRY}/phi-3-dolly:0.0.1")
    return text.replace("ACR_REGISTRY_SECRET_HERE", "my-registry")


@pytest.mark.parametrize("path", [INFERENCE, SEED], ids=["inference", "tuning"])
def test_requests_stay_within_the_budget(path, room, settled, plane):
    """Not one request more than what has to be written and read; then none but watches."""
    secrets = 0
    if path is SEED:
        secrets = 1
        room(
            *("create", "secret", "docker-registry", "my-registry"),
            *(f"--docker-server={REGISTRY}", "--docker-username=me", "--docker-password=secret"),
        )
    history = History(room, plane.audit_log)
    created = room("apply", "-f", "-", "-o", "name", stdin=filled_in(path.read_text())).out.strip()
    room.wait("--for=condition=Ready", created)
    name = created.partition("/")[2]

    asked = settled.read()
    while more := after(settled, TRAILING_SECONDS):
        asked += more
    sent = by_the_workspace_controller(asked, room.namespace)
    if path is INFERENCE:
        quiet = after(settled, QUIET_SECONDS)
        assert quiet == [], "\n".join(map(str, quiet))

    allowed = budget(room, name, history.states(), secrets)
    assert len(sent) <= allowed, "\n".join(map(str, sent))
    room("delete", "workspace", name, "--timeout=180s")
