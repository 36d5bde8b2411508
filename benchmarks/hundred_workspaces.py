"""A hundred Workspaces at once on a real control plane.

    PYTHONPATH=src:. python -m benchmarks.hundred_workspaces [--count N] [--speed N] [--unlimited]

Three parts, each with processes of its own, so that the operator's time is known apart:

    the control plane   etcd, API server, controllers, scheduler (make controlplane)
    the world           cloud and machines, simulated, on a clock `speed` times as fast
    the operator        `kaito run`, both controllers, with the rights of its ServiceAccount

Printed: Workspaces per second from the first one's creation to the last one's Ready, processor
seconds of every part for that time, and the operator's requests per Workspace by the audit log.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from benchmarks.parts import (
    USER,
    connected,
    installed,
    made_ready,
    namespaces,
    process,
    report,
    until_gone,
    workspaces,
)
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane, Options
from tests.e2e.audit import Audit
from tests.e2e.kubectl import ROOT

from kaito.api.resources import WORKSPACES
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.clock import ScaledClock, SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import NAMESPACES
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.https import HttpsArm
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.engine import Engine
from kaito.simulator.nodes.group import USER_AGENT, add_nodes

ARM = ArmOptions(max_pools=1000)
ENVIRONMENT = {
    "ARM_SUBSCRIPTION_ID": ARM.subscription,
    "ARM_RESOURCE_GROUP": ARM.resource_group,
    "AZURE_CLUSTER_NAME": ARM.cluster,
}


async def world(state, speed):
    """The world's process: runs until its standard input ends."""
    configure_logging("console", level=30, stream=sys.stderr)
    clock = SystemClock()
    fast = ScaledClock(clock, speed)
    arm = ArmEndpoint(clock=fast, random=Random(3), options=ARM)
    transport = HttpsTransport(await load(str(state / "admin.kubeconfig"), None, {}, clock=clock))
    manager = Manager(
        transport,
        clock=clock,
        random=Random(6),
        options=ManagerOptions(user_agent=USER_AGENT, identity=USER_AGENT),
    )
    add_nodes(manager, arm, Engine(fast), world=fast)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    try:
        async with HttpsArm(arm, clock=clock) as door:
            (state / "arm.pem").write_bytes(door.ca_pem)
            print(door.url, flush=True)
            await manager.run(stop)
    finally:
        await transport.close()


async def measure(plane, count, parts, audit):
    async with connected(plane.kubeconfig("admin")) as client:
        for obj in namespaces(count):
            await client.create(NAMESPACES, obj)
        await asyncio.sleep(2)
        audit.read()
        took, used = await made_ready(client, count, parts)
        await asyncio.sleep(2)
        report(count, took, used, audit.read())
        began = time.monotonic()
        for obj in workspaces(count):
            meta = obj["metadata"]
            await client.delete(WORKSPACES, ObjectKey(meta["namespace"], meta["name"]))
        await until_gone(client)
        print(f"deleted in {time.monotonic() - began:.1f} s")


def run(count, speed, *, unlimited):
    folder = programs.find()
    if folder is None or not programs.has_controllers(folder):
        sys.exit("no control plane is built: make controlplane")
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = Options(audit=True, unlimited=unlimited)
        plane = stack.enter_context(ControlPlane(folder, state, options))
        installed(plane, folder)
        (state / "arm.token").write_text("benchmark")

        words = ("-m", "benchmarks.hundred_workspaces", "--world", state, "--speed", speed)
        simulated = process(stack, map(str, words), stdout=subprocess.PIPE, cwd=ROOT)
        url = simulated.stdout.readline().strip()
        log = stack.enter_context((state / "operator.log").open("w"))
        operator = process(
            stack, map(str, operator_words(state, url, speed)), ENVIRONMENT, stderr=log
        )
        parts = {
            "operator": [operator.pid],
            "world": [simulated.pid],
            "control plane": plane.pids(),
        }
        audit = Audit(plane.audit_log, USER)
        while not any(one.resource == "workspaces" for one in audit.read()):
            if operator.poll() is not None:
                sys.exit((state / "operator.log").read_text())
            time.sleep(0.1)
        asyncio.run(measure(plane, count, parts, audit))
        told = (state / "operator.log").read_text().splitlines()
        troubled = [
            line for line in told if '"level": "error"' in line or '"level":"error"' in line
        ]
        print(f"errors logged by the operator: {len(troubled)}", *troubled[:3], sep="\n  ")


def operator_words(state, url, speed):
    return (
        *("-c", "from kaito.cli import main; main()", "run", "--cloud", "azure"),
        *("--kubeconfig", state / "operator.kubeconfig", "--cloud-speed", speed),
        *("--azure-endpoint", url, "--azure-ca-file", state / "arm.pem"),
        *("--azure-token-file", state / "arm.token"),
        *("--metrics-bind-address", "0", "--health-probe-bind-address", "0"),
    )


def main():
    parser = argparse.ArgumentParser(description="a hundred Workspaces at once")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--speed", type=float, default=120.0)
    parser.add_argument("--unlimited", action="store_true", help="lift the server's flow control")
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.world:
        asyncio.run(world(given.world, given.speed))
    else:
        run(given.count, given.speed, unlimited=given.unlimited)


if __name__ == "__main__":
    main()
