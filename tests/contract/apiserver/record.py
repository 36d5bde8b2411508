"""Record what a real server answers: `python -m tests.contract.apiserver.record [NAME ...]`."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any

from tests.contract.apiserver import conversation
from tests.contract.apiserver.real import caught_up, plane, users
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane

Held = Callable[[ControlPlane, str], Coroutine[Any, Any, list[conversation.Json]]]
"""Holds the conversation of that name with a real server."""


async def held(up: ControlPlane, name: str) -> list[conversation.Json]:
    """One conversation with a real server."""
    namespace = f"t{SystemRandom().randrange(10**8):08d}"
    async with users(up) as transports:
        before = partial(caught_up, transports["admin"])
        return await conversation.Conversation(transports, namespace, before).hold(name)


def record(held: Held, names: list[str], path: Callable[[str], Path]) -> None:
    """Hold the conversations that the command line names, or all, and write what was answered."""
    with plane(programs.find() or programs.build()) as up:
        for name in sys.argv[1:] or names:
            answers = asyncio.run(held(up, name))
            lines = ",\n".join(json.dumps(answer, sort_keys=True) for answer in answers)
            path(name).write_text(f"[\n{lines}\n]\n")
            print(f"{name}: {len(answers)} answers")


if __name__ == "__main__":
    record(held, conversation.names(), conversation.answers_path)
