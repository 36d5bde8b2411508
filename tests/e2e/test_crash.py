"""The operator dies between the claim and the machine; the next one pays only once."""

import pytest

from kaito.testing.crashing import CrashPlan
from tests.e2e.kubectl import INFERENCE

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

NAME = "workspace-phi-4-mini"


def asks_for_a_pool(write):
    return write.startswith("PUT ") and "/agentPools/" in write


def test_crash_between_claim_and_pool(room, kubectl, idle, world):
    """Killed before the pool is asked for, and again before it hears the answer: one pool."""
    created = world.thread.tell(lambda: world.arm.meter.pools_created)
    idle.start(plan=CrashPlan(1, "before", counted=asks_for_a_pool), elect=False)
    room("apply", "-f", INFERENCE)
    idle.crash()
    assert len(kubectl.names("nodeclaims")) == 1
    assert world.pools() == {}

    idle.start(plan=CrashPlan(1, "after", counted=asks_for_a_pool), elect=False)
    idle.crash()
    assert len(world.pools()) == 1

    idle.start(elect=False)
    room.wait("--for=condition=Ready", f"workspace/{NAME}")

    assert len(kubectl.names("nodeclaims")) == 1
    assert len(world.pools()) == 1
    assert world.thread.tell(lambda: world.arm.meter.pools_created) == created + 1
    room("delete", "workspace", NAME, "--timeout=180s")
    assert world.pools() == {}
