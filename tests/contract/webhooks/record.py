"""Record what a real server answers: `python -m tests.contract.webhooks.record [NAME ...]`."""

from functools import partial
from random import SystemRandom

from tests.contract.apiserver.real import caught_up, users
from tests.contract.apiserver.record import record
from tests.contract.webhooks import conversation
from tests.contract.webhooks.endpoint import Hooks, listening
from tests.controlplane.controlplane import ControlPlane


async def held(up: ControlPlane, name: str) -> list[conversation.Json]:
    """One conversation with a real server."""
    namespace = f"t{SystemRandom().randrange(10**8):08d}"
    hooks = Hooks()
    async with users(up) as transports, listening(hooks) as (address, bundle):
        talk = conversation.Conversation(
            transports,
            namespace,
            partial(caught_up, transports["admin"]),
            hooks=hooks,
            address=address,
            bundle=bundle,
        )
        return await talk.hold(name)


if __name__ == "__main__":
    record(held, conversation.names(), conversation.answers_path)
