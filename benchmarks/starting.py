"""What a minimal operator costs before it has done anything: time to import, and memory.

    PYTHONPATH=src:. python -m benchmarks.starting

Each number is of a fresh process. The floor imports what it takes to speak HTTP and to decode.
"""

import os
import subprocess
import sys

from benchmarks.measuring import MB, MILLI, Row, program
from benchmarks.recorded import ROOT, recorded

IMPORTS = """
import resource, time
began = time.process_time()
{words}
used = time.process_time() - began
print(used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

FLOOR = "import asyncio, ssl, aiohttp, msgspec"
OURS = """
from kaito.framework.controller import Controller
from kaito.framework.manager import Manager
from kaito.framework.program import main
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.kube.https import HttpsTransport
from kaito.kube.resources import PODS
"""

RUNNING = """
import asyncio, resource, sys, time
from random import Random
{ours}
from kaito.framework.logging import configure_logging
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import static
from benchmarks.measuring import resident

class NoOp:
    async def reconcile(self, key):
        return Done()

async def run(url):
    configure_logging("json", level=40)
    transport = HttpsTransport(static(url, clock=SystemClock()))
    manager = Manager(transport, clock=SystemClock(), random=Random(1))
    manager.add(Controller("noop", NoOp(), [for_object(PODS)]))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.run(stop))
        await manager.cache.synced()
        print(time.process_time(), resident())
        stop.set()
    await transport.close()

asyncio.run(run(sys.argv[1]))
"""


def fresh(text, *arguments):
    """What a new interpreter prints: processor seconds and bytes."""
    words = [sys.executable, "-c", text, *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, check=True)
    seconds, size = done.stdout.split()
    return float(seconds), float(size)


def best(rounds, text, *arguments):
    found = [fresh(text, *arguments) for _ in range(rounds)]
    return min(seconds for seconds, _ in found), min(size for _, size in found)


def measure(rounds=5):
    least, ours = (best(rounds, IMPORTS.format(words=words)) for words in (FLOOR, OURS))
    with recorded(1, 2000) as url:
        running = best(rounds, RUNNING.format(ours=OURS), url)
    library = FLOOR
    yield Row(
        what="import of a minimal operator",
        value=ours[0] / MILLI,
        unit="ms",
        floor=least[0] / MILLI,
        floor_is=library,
    )
    yield Row(
        what="resident after that import",
        value=ours[1] / MB,
        unit="MB",
        floor=least[1] / MB,
        floor_is=library,
    )
    yield Row(
        what="resident while it runs, one object cached",
        value=running[1] / MB,
        unit="MB",
        floor=least[1] / MB,
        floor_is=library,
    )
    yield Row(
        what="processor time from exec to synced",
        value=running[0] / MILLI,
        unit="ms",
        floor=least[0] / MILLI,
        floor_is=library,
    )


if __name__ == "__main__":
    program(measure, __doc__)
