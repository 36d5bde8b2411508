"""The embedded API server asks webhooks, and takes their answers, as the real one does."""

from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer, User
from kaito.apiserver.webhookhttps import HttpsCaller
from kaito.apiserver.webhookservices import StoredServices
from kaito.kube.clock import LoopClock, SystemClock
from tests.contract.webhooks import conversation
from tests.contract.webhooks.endpoint import Hooks, listening
from tests.contract.webhooks.record import held
from tests.controlplane.controlplane import ControlPlane

OVER_HTTPS = "calling"
ADMIN = User("admin", ("system:masters", "system:authenticated"), "1")


@pytest.mark.parametrize("name", sorted(set(conversation.names()) - {OVER_HTTPS}))
async def test_the_embedded_server(name: str) -> None:
    """Every answer, and everything that webhooks are asked, is what was recorded of a real one."""
    server = ApiServer(clock=LoopClock(), random=Random(7))
    hooks = server.webhooks = Hooks()
    transports = {"admin": in_process(server, ADMIN)}
    talk = conversation.Conversation(transports, "t12345678", hooks=hooks)
    _compare(name, await talk.hold(name))


def _compare(name: str, found: list[conversation.Json]) -> None:
    for step, answer, recorded in zip(
        conversation.steps(name), found, conversation.answers(name), strict=True
    ):
        assert answer == recorded, step


@pytest.mark.realtime
async def test_the_embedded_server_over_https() -> None:
    """The words for what goes wrong between an API server and its webhook."""
    server, hooks = ApiServer(clock=SystemClock(), random=Random(7)), Hooks()
    server.webhooks = HttpsCaller(StoredServices(server.core.storage))
    transports = {"admin": in_process(server, ADMIN)}
    async with listening(hooks) as (address, bundle):
        talk = conversation.Conversation(
            transports, "t12345678", hooks=hooks, address=address, bundle=bundle
        )
        _compare(OVER_HTTPS, await talk.hold(OVER_HTTPS))


@pytest.mark.realtime
@pytest.mark.controlplane
@pytest.mark.parametrize("name", conversation.names())
async def test_the_real_server(name: str, real: ControlPlane) -> None:
    """The recording is what a real server says today, with the same webhook behind HTTPS."""
    assert await held(real, name) == conversation.answers(name)
