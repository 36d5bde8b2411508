"""The election on a thread of its own, in real time."""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.framework.elector import LeadershipLost
from kaito.framework.fence import Fence, Fenced, FencedTransport
from kaito.framework.leadership import elected_on_thread
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.resources import CONFIGMAPS
from tests.contract.cloud.worlds import world
from tests.framework.bench import Scripted
from tests.framework.blocked_leader import OPTIONS, electing
from tests.framework.world import configmap, controller, key

pytestmark = pytest.mark.realtime


async def test_a_blocked_loop_does_not_cost_the_lease():
    """The thread renews while the main loop computes for longer than the renew deadline."""
    clock = SystemClock()
    fence = Fence(clock.monotonic)
    make, transport = electing(clock, fence)
    async with elected_on_thread(make, transport, clock) as leading:
        await leading.wait()
        time.sleep(2.5)  # noqa: ASYNC251 - the point of the test
        fence.check()

    with pytest.raises(Fenced):
        fence.check()
    assert transport.inner._closed


async def test_s65_while_the_loop_is_blocked_the_fence_shuts_and_the_watchdog_ends_the_process():
    """The lease is lost; the main loop does not leave its work; so the thread kills."""
    clock, killed = SystemClock(), threading.Event()
    codes = []

    def kill(code):
        codes.append(code)
        killed.set()

    fence = Fence(clock.monotonic)
    make, transport = electing(clock, fence)

    async def lead():
        async with elected_on_thread(make, transport, clock, kill=kill) as leading:
            await leading.wait()
            transport.state = "refused"
            assert killed.wait(20)
            assert not fence.open

    # The loop was blocked in `wait` until the watchdog struck; now it learns of its loss.
    with pytest.raises(LeadershipLost):
        await lead()

    assert codes == [1]


async def test_s65_what_a_blocked_leader_had_in_hand_is_neither_written_nor_bought():
    """The loop comes back after the lease was lost and before anybody told it: its next write to
    the API server and its next machine are refused here, and nothing was sent."""
    clock = SystemClock()
    fence = Fence(clock.monotonic)
    make, transport = electing(clock, fence)
    server = ApiServer(clock=clock, random=Random(0))
    client = Client(FencedTransport(in_process(server), fence), clock=clock, random=Random(1))
    blocked = asyncio.Event()

    async def work(cloud):
        await blocked.wait()
        outcomes = []
        for mutation in (
            client.create(CONFIGMAPS, configmap("late")),
            client.delete(CONFIGMAPS, key("early")),
            cloud.cloud.launch(cloud.request("late")),
        ):
            try:
                await mutation
            except Fenced as error:
                outcomes.append(error)
        return outcomes

    async def lead(cloud, working):
        async with elected_on_thread(make, transport, clock, kill=lambda _: None) as leading:
            await leading.wait()
            await client.create(CONFIGMAPS, configmap("early"))
            await cloud.cloud.launch(cloud.request("early"))
            transport.state = "refused"
            blocked.set()
            time.sleep(OPTIONS.renew_deadline + 0.3)  # noqa: ASYNC251 - the point of the test
            await working

    async with world("https", fence=fence.check) as cloud:
        working = asyncio.get_running_loop().create_task(work(cloud))
        with pytest.raises((LeadershipLost, ExceptionGroup)):  # bare if the body had ended
            await lead(cloud, working)
        outcomes = await working
        assert len(outcomes) == 3
        assert set(cloud.arm.states()) == {"early"}
    held = await Client(in_process(server), clock=clock, random=Random(1)).list(
        CONFIGMAPS, namespace="default"
    )
    assert "early" in {item.meta.name for item in held.items}
    assert "late" not in {item.meta.name for item in held.items}


async def test_s65_a_process_blocked_by_sleep_is_really_gone():
    """Another process, `time.sleep`, and no way to reach its loop: exit code 1."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.framework.blocked_leader",
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        stdout=asyncio.subprocess.PIPE,
    )

    out, _ = await process.communicate()

    assert b"leading" in out
    assert process.returncode == 1


async def test_losing_the_lease_ends_the_body_in_good_time():
    """A main loop that is not blocked is told, and leaves; then nobody is killed."""
    clock, killed = SystemClock(), []
    make, transport = electing(clock, Fence(clock.monotonic))

    async def lead():
        async with elected_on_thread(make, transport, clock, kill=killed.append) as leading:
            await leading.wait()
            transport.state = "refused"
            await asyncio.get_running_loop().create_future()

    with pytest.raises(ExceptionGroup) as raised:
        await lead()

    assert isinstance(raised.value.exceptions[0], LeadershipLost)
    assert killed == []


async def test_a_candidate_that_never_leads_can_be_stopped():
    """Its thread ends although the server never answered."""
    clock = SystemClock()
    make, transport = electing(clock, Fence(clock.monotonic))
    transport.state = "refused"

    async with elected_on_thread(make, transport, clock) as leading:
        assert not leading.is_set()

    assert "leader election" not in [thread.name for thread in threading.enumerate()]


async def test_an_election_that_cannot_begin_is_reported():
    """What raises on the thread is raised here, not swallowed."""

    def make():
        raise ValueError("no identity")

    clock = SystemClock()
    _, transport = electing(clock, Fence(clock.monotonic))

    async def lead():
        async with elected_on_thread(make, transport, clock):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(ExceptionGroup) as raised:
        await lead()

    assert str(raised.value.exceptions[0]) == "no identity"


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def cycle(clock):
    """One whole life: endpoints, election on a thread, a controller with a run, a clean stop."""
    _, election = electing(clock, Fence(clock.monotonic))
    ran, stop = asyncio.Event(), asyncio.Event()
    manager = Manager(
        in_process(ApiServer(clock=clock, random=Random(0))),
        clock=clock,
        random=Random(1),
        options=ManagerOptions(
            metrics_bind_address="127.0.0.1:0",
            health_probe_bind_address="127.0.0.1:0",
            leader=OPTIONS,
        ),
        election_transport=election,
    )

    async def work():
        ran.set()

    manager.add(controller(Scripted()))
    manager.add_runnable("work", work)
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run(stop))
        await ran.wait()
        stop.set()


async def test_s73_a_hundred_lives_leave_nothing_behind():
    """No task, thread, socket or file more than after the first few."""
    clock = SystemClock()
    for _ in range(3):
        await cycle(clock)
    tasks, threads, files = len(asyncio.all_tasks()), threading.active_count(), open_files()

    for _ in range(97):
        await cycle(clock)

    assert len(asyncio.all_tasks()) == tasks
    assert threading.active_count() == threads
    assert open_files() <= files
