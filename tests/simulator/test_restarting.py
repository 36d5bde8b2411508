"""The nodes group may stop and start again: machines and pods go on where they were."""

import asyncio
from random import Random

from kaito.apiserver.door import in_process
from kaito.kube.objects import Json
from kaito.kube.resources import NODES, PODS
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import run_nodes
from tests.simulator.pods import VLLM, pod, shell
from tests.simulator.test_nodes import _bound, is_ready
from tests.simulator.world import TestWorld, running, world

HEALTH = {"httpGet": {"path": "/health", "port": 5000}, "failureThreshold": 60}


def _agents(there: TestWorld, seed: int):
    async def run(stop: asyncio.Event) -> None:
        await run_nodes(
            in_process(there.server),
            there.machines,
            Engine(there.clock),
            clock=there.clock,
            random=Random(seed),
            stop=stop,
        )

    return running(run)


async def _server_pod(there: TestWorld) -> Json:
    there.machines.switch_on("gpu-1")
    await there.until(NODES, "gpu-1", is_ready)
    made = pod(shell(VLLM, startupProbe=HEALTH, readinessProbe=HEALTH, livenessProbe=HEALTH))
    await there.client.create(PODS, _bound(made))
    return made


async def test_a_ready_pod_is_left_alone():
    """After a restart a Ready pod keeps its address, its start, and its count of restarts."""
    async with world(nodes=False) as there:
        async with _agents(there, 1):
            await _server_pod(there)
            before = await there.until(PODS, "w-0", is_ready)

        async with _agents(there, 2):
            await there.clock.sleep(120)
            after = await there.json(PODS, "w-0")

        assert after["metadata"]["resourceVersion"] == before.meta.resource_version


async def test_a_pod_that_was_loading_goes_on_loading():
    """The engine's start is read from the status, so loading ends when it would have ended."""
    async with world(nodes=False) as there:
        async with _agents(there, 1):
            await _server_pod(there)
            await there.until(PODS, "w-0", lambda p: p.get("status", "phase") == "Running")

        async with _agents(there, 2):
            after = await there.until(PODS, "w-0", is_ready)

        assert after.get("status", "containerStatuses")[0]["restartCount"] == 0


async def test_a_machine_that_left_meanwhile_takes_its_node():
    """A Node whose machine is gone when the group starts is deleted."""
    async with world(nodes=False) as there:
        async with _agents(there, 1):
            there.machines.switch_on("gpu-1")
            await there.until(NODES, "gpu-1", is_ready)
        there.machines.switch_off("gpu-1")

        async with _agents(there, 2):
            await there.gone(NODES, "gpu-1", within=10)


async def test_a_pod_deleted_meanwhile_is_finished():
    """A deletion that began while nobody played nodes ends when somebody does."""
    async with world(nodes=False) as there:
        async with _agents(there, 1):
            await _server_pod(there)
            await there.until(PODS, "w-0", is_ready)
        await there.client.delete(PODS, (await there.client.list(PODS)).items[0].key)

        async with _agents(there, 2):
            await there.gone(PODS, "w-0", within=10)
