"""Record what a real server answers: `python -m tests.contract.webhooks.record [NAME ...]`."""

import asyncio
import json
import sys
from functools import partial
from random import SystemRandom

from tests.contract.apiserver.real import caught_up, plane, users
from tests.contract.webhooks import conversation
from tests.contract.webhooks.endpoint import Hooks, listening
from tests.controlplane import programs
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


def main() -> None:
    with plane(programs.find() or programs.build()) as up:
        for name in sys.argv[1:] or conversation.names():
            answers = asyncio.run(held(up, name))
            lines = ",\n".join(json.dumps(answer, sort_keys=True) for answer in answers)
            conversation.answers_path(name).write_text(f"[\n{lines}\n]\n")
            print(f"{name}: {len(answers)} answers")


if __name__ == "__main__":
    main()
