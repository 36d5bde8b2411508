"""The kubelets' port: what an API server gets when it asks nodes for logs."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from kaito.apiserver.connectors import LogOptions
from kaito.apiserver.status import bad_request
from kaito.kube.clock import SystemClock
from kaito.simulator.nodes.https import KubeletDoor

pytestmark = pytest.mark.realtime


class OneContainer:
    """A kubelet with one container that prints two lines and ends when it is told to."""

    def __init__(self):
        self.asked = []
        self.followed = asyncio.Event()
        self.ended = asyncio.Event()

    async def logs(self, namespace, pod, container, options):
        self.asked.append((namespace, pod, container, options))
        if container != "main":
            raise bad_request(f'container "{container}" in pod "{pod}" is waiting to start')
        return self._lines(options)

    async def _lines(self, options):
        yield b"first\n"
        yield b"second\n"
        if options.follow:
            self.followed.set()
            await self.ended.wait()


@asynccontextmanager
async def opened(kubelet):
    async with (
        KubeletDoor(clock=SystemClock()) as door,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
    ):
        door.kubelet = kubelet

        async def get(path):
            async with session.get(f"https://{door.host}:{door.port}{path}") as answer:
                return answer.status, await answer.text()

        yield get


async def test_logs_are_the_containers_output():
    """Namespace, pod, container and every option of the query reach the kubelet."""
    kubelet = OneContainer()
    async with opened(kubelet) as get:
        kubelet.ended.set()
        answer = await get("/containerLogs/default/p/main?follow=true&tailLines=5&timestamps=true")

    assert answer == (200, "first\nsecond\n")
    wanted = LogOptions(follow=True, tail_lines=5, timestamps=True)
    assert kubelet.asked == [("default", "p", "main", wanted)]


async def test_limit_bytes_cuts():
    """No more bytes are sent than asked for."""
    async with opened(OneContainer()) as get:
        assert await get("/containerLogs/default/p/main?limitBytes=8") == (200, "first\nse")


async def test_refusals_are_told_in_plain_text():
    """A kubelet's words and code arrive as they are; before there is a kubelet, 503."""
    async with opened(OneContainer()) as get:
        status, text = await get("/containerLogs/default/p/other")
        assert (status, text) == (400, 'container "other" in pod "p" is waiting to start')
        assert (await get("/containerLogs/default/p/main?tailLines=x"))[0] == 400
    async with opened(None) as get:
        assert (await get("/containerLogs/default/p/main"))[0] == 503


async def test_exec_is_refused_at_once_and_attach_when_the_container_has_ended():
    """What kubectl reads in the logs after a refused attach is then complete."""
    kubelet = OneContainer()
    async with opened(kubelet) as get, asyncio.TaskGroup() as group:
        assert (await get("/exec/default/p/main"))[0] == 501
        attached = group.create_task(get("/attach/default/p/main"))
        await kubelet.followed.wait()
        assert not attached.done()
        kubelet.ended.set()
        assert (await attached)[0] == 501


async def test_a_door_closes_though_a_client_keeps_its_connection():
    """Nobody waits for an API server that keeps connections for later."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
        async with KubeletDoor(clock=SystemClock()) as door:
            url = f"https://{door.host}:{door.port}/exec/default/p/main"
            async with session.get(url) as answer:
                await answer.read()
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)
