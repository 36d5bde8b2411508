"""The embedded API server asks webhooks, and takes their answers, as the real one does."""

from collections.abc import Iterator
from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer, User
from kaito.kube.clock import LoopClock
from tests.contract.apiserver.real import plane
from tests.contract.webhooks import conversation
from tests.contract.webhooks.endpoint import Hooks
from tests.contract.webhooks.record import held
from tests.controlplane import needed
from tests.controlplane.controlplane import ControlPlane

ADMIN = User("admin", ("system:masters", "system:authenticated"), "1")


@pytest.mark.parametrize("name", conversation.names())
async def test_the_embedded_server(name: str) -> None:
    """Every answer, and everything that webhooks are asked, is what was recorded of a real one."""
    server = ApiServer(clock=LoopClock(), random=Random(7))
    hooks = server.webhooks = Hooks()
    transports = {"admin": in_process(server, ADMIN)}
    talk = conversation.Conversation(transports, "t12345678", hooks=hooks)
    found = await talk.hold(name)
    for step, answer, recorded in zip(
        conversation.steps(name), found, conversation.answers(name), strict=True
    ):
        assert answer == recorded, step


@pytest.fixture(scope="session")
def real() -> Iterator[ControlPlane]:
    with plane(needed.folder()) as up:
        yield up


@pytest.mark.realtime
@pytest.mark.controlplane
@pytest.mark.parametrize("name", conversation.names())
async def test_the_real_server(name: str, real: ControlPlane) -> None:
    """The recording is what a real server says today, with the same webhook behind HTTPS."""
    assert await held(real, name) == conversation.answers(name)
