"""The embedded API server answers as the real one does, word for word."""

from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer, User
from kaito.kube.clock import LoopClock
from tests.contract.apiserver import conversation
from tests.contract.apiserver.record import held
from tests.controlplane.controlplane import ControlPlane


@pytest.mark.parametrize("name", conversation.names())
async def test_the_embedded_server(name: str) -> None:
    """Every answer is the one that was recorded from a real server."""
    server = ApiServer(clock=LoopClock(), random=Random(7))
    operator = User("operator", ("system:authenticated",), "2")
    transports = {"admin": in_process(server), "operator": in_process(server, operator)}
    told = await conversation.Conversation(transports, "t12345678").hold(name)
    for step, answer, recorded in zip(
        conversation.steps(name), told, conversation.answers(name), strict=True
    ):
        assert answer == recorded, step


@pytest.mark.realtime
@pytest.mark.controlplane
@pytest.mark.parametrize("name", conversation.names())
async def test_the_real_server(name: str, real: ControlPlane) -> None:
    """The recording is what a real server says today."""
    assert await held(real, name) == conversation.answers(name)
