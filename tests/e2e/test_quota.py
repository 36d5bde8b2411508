"""A machine that cannot be had: cause and cure are told, and when it can be had, all goes on."""

import pytest

from tests.e2e.kubectl import INFERENCE

pytestmark = [pytest.mark.controlplane, pytest.mark.realtime]

NAME = "workspace-phi-4-mini"
SIZE = "Standard_NC24ads_A100_v4"
REASON = '{.status.conditions[?(@.type=="Ready")].reason}'


@pytest.fixture
def no_quota(world):
    """No vCPU of that family is left."""
    world.thread.tell(world.arm.set_quota, SIZE, 0)
    yield
    world.thread.tell(world.arm.set_quota, SIZE, None)


def test_out_of_quota(no_quota, room, operator, world):
    """`kubectl get -o wide` says what to do; after the quota is raised the model answers."""
    room("apply", "-f", INFERENCE)
    room.wait(f"--for=jsonpath={REASON}=QuotaExceeded", f"workspace/{NAME}", seconds=120)

    wide = room("get", "workspace", NAME, "-o", "wide").out
    assert "QuotaExceeded" in wide
    assert "quota" in wide.partition("QuotaExceeded")[2]

    world.thread.tell(world.arm.set_quota, SIZE, None)
    room.wait("--for=condition=Ready", f"workspace/{NAME}")

    answer = asked(room, f"http://{NAME}/v1/chat/completions")
    assert '"object":"chat.completion"' in answer
    assert "phi-4-mini-instruct" in answer
    room("delete", "workspace", NAME, "--timeout=180s")
    assert world.pools() == {}


def asked(room, url):
    """What a curl pod of that namespace gets."""
    body = '{"model":"phi-4-mini-instruct","messages":[{"role":"user","content":"Hello"}]}'
    curl = ("curl", "-sS", url, "-H", "Content-Type: application/json", "-d", body)
    done = room(
        *("run", "-i", "--rm", "--restart=Never", "curl", "--image=curlimages/curl", "--", *curl)
    )
    return done.out
