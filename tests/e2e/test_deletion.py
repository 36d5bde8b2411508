"""Deleted at any moment, a Workspace takes everything with it that was made for it."""

import pytest

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.kube.resources import NODES, STATEFULSETS
from tests.e2e.kubectl import INFERENCE

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

NAME = "workspace-phi-4-mini"
MADE = (
    *("statefulsets", "jobs", "services", "configmaps", "controllerrevisions"),
    *("pods", "endpointslices", "secrets"),
)
SELECTOR = f"kaito.sh/workspace={NAME}"


def is_true(record, type_):
    conditions = record.get("status", "conditions") or ()
    return any(c["type"] == type_ and c["status"] == "True" for c in conditions)


def at_once(_world, _namespace):
    """Before anything, or something, was done about it."""


def machine_asked_for(world, _namespace):
    """There is a pool, and it is being created."""
    world.until(
        NODECLAIMS,
        lambda claims: any(c.get("status", "conditions") for c in claims) and bool(claims),
        selector=SELECTOR,
    )


def machine_joined(world, _namespace):
    """The Node has joined."""
    world.until(NODES, lambda nodes: len(nodes) == 1, selector=SELECTOR)


def workload_made(world, namespace):
    """The engine is on its way."""
    world.until(STATEFULSETS, lambda found: len(found) == 1, namespace=namespace)


def ready(world, namespace):
    """The model answers."""
    world.until(
        WORKSPACES, lambda found: any(is_true(w, "Ready") for w in found), namespace=namespace
    )


@pytest.mark.parametrize(
    "phase",
    [at_once, machine_asked_for, machine_joined, workload_made, ready],
    ids=lambda phase: phase.__name__,
)
def test_deletion_leaves_nothing(phase, room, kubectl, operator, world):
    """Whatever the moment: no claim, no pool, no Node, no object in the namespace is left."""
    before = room.names(",".join(MADE))
    room("apply", "-f", INFERENCE)
    phase(world, room.namespace)

    room("delete", "workspace", NAME, "--timeout=180s")

    assert kubectl.names("nodeclaims") == []
    assert world.pools() == {}
    world.until(NODES, lambda nodes: nodes == [], selector=SELECTOR)
    made = [name for name in room.names(",".join(MADE)) if name not in before]
    if made:
        room.wait("--for=delete", *made, seconds=120)
