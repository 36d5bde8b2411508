"""/debug: what a process does at this moment."""

import asyncio
import json
import socket

import aiohttp
import pytest

from kaito.framework.debug import debugging, memory, reports, tasks
from kaito.framework.reconcile import Done
from kaito.kube.resources import CONFIGMAPS
from tests.framework.bench import Scripted
from tests.framework.world import World, configmap, controller, key, running

NOTHING = {}


async def test_tasks_are_shown_by_name_with_where_they_wait():
    """Files and lines, no values."""

    async def wait_for_ever(secret):
        await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever("hush"), name="the waiting one")
    await asyncio.sleep(0)
    found = {entry["name"]: entry["at"] for entry in tasks()}
    assert "test_debug.py:" in found["the waiting one"][-1]
    assert found["the waiting one"][-1].endswith("wait_for_ever")
    assert "hush" not in str(found)
    task.cancel()
    await asyncio.wait([task])


async def test_queues_and_caches_are_shown_in_numbers():
    """A run that goes on, a key that waits; objects and bytes of a kind; no content."""
    world = World()
    for name in "ab":
        await world.client.create(CONFIGMAPS, configmap(name, word="hush"))
    manager = world.manager()

    class Slow:
        async def reconcile(self, key):
            await world.clock.sleep(40 if key.name == "a" else 0)
            return Done()

    slow = controller(Slow())
    manager.add(slow)
    shown = reports(manager.cache, lambda: [slow])
    async with running(manager):
        await world.clock.sleep(30)
        slow.enqueue(key("c"), after=1000)
        [queue] = shown["queues"](NOTHING)
        [cache] = shown["caches"](NOTHING)
    assert queue["controller"] == "configmaps"
    assert (queue["waiting"], queue["parked"]) == (1, 0)
    assert 29 <= queue["longest_run_seconds"] <= 31
    assert (cache["kind"], cache["namespaces"], cache["synced"]) == (
        "configmaps",
        ["default"],
        True,
    )
    assert cache["objects"] == 2
    assert cache["bytes"] == 2 * len('{"word":"hush"}')
    assert "hush" not in str(cache)
    assert int(cache["resource_version"]) > 0
    assert cache["problem"] == ""


def test_memory_counts_types_only_when_asked():
    """It takes a while, and stops the loop."""
    assert memory()["highest_resident_bytes"] > 1_000_000
    assert "types" not in memory()
    assert memory(types=True)["types"]["function"] > 100


@pytest.mark.realtime
async def test_debug_is_off_by_default_and_else_on_its_own_address():
    """/debug lists what there is; each is JSON; anything else is 404."""
    world = World()
    assert world.manager().options.debug_bind_address == ""
    async with (
        debugging("127.0.0.1:0", reports(world.manager().cache, list)) as address,
        aiohttp.ClientSession() as session,
    ):
        answers = {}
        for path in ("", "/tasks", "/queues", "/caches", "/memory?types", "/secrets"):
            async with session.get(f"http://{address}/debug{path}") as response:
                answers[path] = (response.status, await response.text())
    assert answers[""][1].split() == [
        "/debug/tasks",
        "/debug/queues",
        "/debug/caches",
        "/debug/memory",
    ]
    assert answers["/secrets"][0] == 404
    for path in ("/tasks", "/queues", "/caches", "/memory?types"):
        assert answers[path][0] == 200
        json.loads(answers[path][1])


@pytest.mark.realtime
async def test_a_manager_serves_debug_while_it_runs():
    """On the address that the options name, and not after the stop."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    world = World()
    manager = world.manager(debug_bind_address=address)
    manager.add(controller(Scripted()))
    url = f"http://{address}/debug/queues"
    async with aiohttp.ClientSession() as session:
        async with running(manager):
            await manager.cache.synced(10)
            async with session.get(url) as response:
                [queue] = await response.json()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    assert queue["controller"] == "configmaps"
