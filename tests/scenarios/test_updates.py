"""Updates that are asked for are made one after the other, and stop where one does not come up."""

from dataclasses import replace

import pytest

from kaito.api.resources import WORKSPACES
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import STATEFULSETS
from kaito.manifests.options import RenderOptions
from tests.scenarios.installation import Installation
from tests.scenarios.test_takeover import annotate, installed, pods, taken_over
from tests.scenarios.world import SETTINGS, inference, world

NAMES = ("a", "b", "c")
NEWER = RenderOptions(registry="mirror.azurecr.io/kaito")


def named(name):
    obj = inference()
    obj["metadata"]["name"] = name
    obj["metadata"].setdefault("annotations", {})["kaito.sh/disable-benchmark"] = "true"
    return obj


async def ask(here, name, value="1"):
    change = {"metadata": {"annotations": {"kaito.sh/update": value}}}
    await here.client.merge_patch(WORKSPACES, ObjectKey("default", name), change)


async def updated(here, name):
    """Whether the newer registry is in the template."""
    record = await here.client.get(STATEFULSETS, ObjectKey("default", name))
    (container,) = record.get("spec", "template", "spec")["containers"]
    return container["image"].startswith(NEWER.registry)


async def is_ready(here, name):
    return (await here.condition(name))["status"] == "True"


async def several(here, **settings):
    """Workspaces of an earlier version that are Ready, and the newer operator."""
    first = here.operator()
    for name in NAMES:
        await here.apply(named(name))
    for name in NAMES:
        await here.ready(name)
    await first.stop()
    here.settings = replace(SETTINGS, render=NEWER, **settings)
    second = here.operator()
    await here.clock.sleep(60)
    return second


async def unready_while(here, seconds):
    """How many were not Ready at the same time, at most."""
    most = 0
    deadline = here.clock.monotonic() + seconds
    while here.clock.monotonic() < deadline:
        most = max(most, sum([not await is_ready(here, name) for name in NAMES]))
        await here.clock.sleep(2)
    return most


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2)])
async def test_one_after_the_other(limit, most):
    """All are asked for at once; no more than the limit are away at the same time; all get it."""
    async with world() as here:
        operator = await several(here, concurrent_updates=limit)
        for name in NAMES:
            await ask(here, name)

        assert await unready_while(here, 1800) == most

        assert all([await updated(here, name) for name in NAMES])
        assert all([await is_ready(here, name) for name in NAMES])
        await operator.stop()


async def test_an_update_that_does_not_come_up_stops_the_others():
    """Those that wait name it; taking the request back returns it to what it was, and they go
    on."""
    async with world() as here:
        operator = await several(here)
        here.cluster.world.fail_containers("a-*", code=1, after=5.0)
        await ask(here, "a")
        await here.clock.sleep(30)
        for name in ("b", "c"):
            await ask(here, name)
        await here.clock.sleep(900)

        assert not await is_ready(here, "a")
        for name in ("b", "c"):
            assert await is_ready(here, name)
            assert not await updated(here, name)
            told = await here.condition(name, "UpdateAvailable")
            assert told["reason"] == "UpdateWaits"
            assert "default/a" in told["message"]

        here.cluster.world.stop_failing()
        await ask(here, "a", None)
        await here.clock.sleep(1200)
        assert [await updated(here, name) for name in NAMES] == [False, True, True]
        assert all([await is_ready(here, name) for name in NAMES])
        await operator.stop()


async def test_a_restart_in_the_middle_lets_nobody_through():
    """Who is being updated is in the statuses, so the next operator knows it too."""
    async with world() as here:
        operator = await several(here)
        here.cluster.world.fail_containers("a-*", code=1, after=5.0)
        for name in NAMES:
            await ask(here, name)
            await here.clock.sleep(30)
        await operator.stop()

        second = here.operator()
        await here.clock.sleep(900)

        assert [await updated(here, name) for name in NAMES] == [True, False, False]
        await second.stop()


async def test_an_edit_waits_for_nobody():
    """What a user changes rolls out at once, whoever is being updated."""
    async with world() as here:
        operator = await several(here)
        here.cluster.world.fail_containers("a-*", code=1, after=5.0)
        await ask(here, "a")
        await here.clock.sleep(30)

        change = {"metadata": {"annotations": {"kaito.sh/performance-mode": "throughput"}}}
        await here.client.merge_patch(WORKSPACES, ObjectKey("default", "b"), change)
        await here.clock.sleep(30)

        assert await updated(here, "b")
        await operator.stop()


async def test_a_request_that_would_be_refused_changes_nothing():
    """Asked of all Workspaces at once, it does not make those unready that are not served here."""
    async with world() as here:
        found: Installation = await installed(here, "inference-adapters-phi-3-mini")
        operator = await taken_over(here, found)
        before = await pods(here)

        await annotate(here, found, update="1")
        await here.clock.sleep(120)

        assert (await here.condition(found.name))["status"] == "True"
        assert (await here.condition(found.name, "UpdateAvailable"))["status"] == "False"
        assert await pods(here) == before
        await operator.stop()
