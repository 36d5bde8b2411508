"""Replicas as processes over HTTPS: who leads after the leader is stopped, or killed."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.https import HttpsDoor, Tokens
from kaito.apiserver.server import ADMIN, ApiServer
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import LEASES
from tests.framework.replica import TOKEN

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def replica(door, ca_file, name, pace):
    """A running process; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.framework.replica",
        door.url,
        str(ca_file),
        name,
        pace,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def handover(tmp_path, ending, pace="quick"):
    """(exit code of the first leader, holder at the end, seconds that it took)."""
    clock = SystemClock()
    server = ApiServer(clock=clock, random=Random(0))
    client = Client(in_process(server), clock=clock, random=Random(1))
    async with HttpsDoor(server, authenticator=Tokens({TOKEN: ADMIN})) as door:
        ca_file = tmp_path / "ca.pem"
        ca_file.write_bytes(door.ca_pem)
        async with replica(door, ca_file, "one", pace) as one:
            assert await one.stdout.readline() == b"leading\n"
            async with replica(door, ca_file, "two", pace) as two:
                watching = asyncio.Event()
                server.on_request = lambda info: info.verb == "watch" and watching.set()
                await watching.wait()
                ended = clock.monotonic()
                one.send_signal(ending)
                assert await two.stdout.readline() == b"leading\n"
                taken = clock.monotonic() - ended
                lease = await client.get(LEASES, ObjectKey("default", "replicas"))
                two.send_signal(signal.SIGTERM)
                await two.wait()
            await one.wait()
    return one.returncode, lease.get("spec", "holderIdentity"), taken


async def test_s66_after_sigterm_the_standby_leads_at_once(tmp_path):
    """The lease is released; the standby, which watches it, takes it and starts its work: not when
    the lease of fourteen seconds would have run out."""
    code, holder, taken = await handover(tmp_path, signal.SIGTERM, "production")

    print(f"handover after SIGTERM: {taken:.3f} s")
    assert (code, holder) == (0, "two")
    assert taken < 10


async def test_s66_after_sigkill_the_standby_leads_when_the_lease_has_run_out(tmp_path):
    """Nobody released it; three seconds (here) after its last renewal it is taken."""
    code, holder, taken = await handover(tmp_path, signal.SIGKILL)

    print(f"handover after SIGKILL of a 3 s lease: {taken:.3f} s")
    assert (code, holder) == (-signal.SIGKILL, "two")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_s71_a_second_signal_ends_the_process_at_once(second):
    """The first is an order to stop; whoever says it twice does not want to wait."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.framework.stubborn",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert await process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGTERM)
        assert await process.stdout.readline() == b"stopping\n"
        process.send_signal(second)
        async with asyncio.timeout(120):
            assert await process.wait() == 1
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
