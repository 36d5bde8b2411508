"""Webhooks as a part of a manager."""

from contextlib import asynccontextmanager

import pytest

from tests.framework.bench import Scripted
from tests.framework.world import World, controller, running


class Recorded:
    """Writes down what the API server has been asked when serving starts and ends."""

    def __init__(self, world):
        self.world, self.seen = world, []

    @asynccontextmanager
    async def serving(self):
        self.seen.append(("up", len(self.world.requests)))
        yield
        self.seen.append(("down", len(self.world.requests)))

    def unready(self):
        return None if len(self.seen) == 1 else "not up"


async def test_webhooks_are_up_before_the_first_list_and_until_the_last():
    """A cache may need our conversion webhook to list a kind."""
    world = World()
    hooks, manager = Recorded(world), world.manager()
    manager.serve_webhooks(hooks)
    manager.add(controller(Scripted()))
    async with running(manager):
        await world.clock.sleep(10)
        assert hooks.seen == [("up", 0)]
    assert len(world.requests) > 0
    assert hooks.seen == [("up", 0), ("down", len(world.requests))]


async def test_a_manager_has_one_webhook_server():
    """A second one is refused, and so is one that comes too late."""
    world = World()
    manager = world.manager()
    manager.serve_webhooks(Recorded(world))
    with pytest.raises(ValueError, match="already"):
        manager.serve_webhooks(Recorded(world))
