"""One replica of an operator as a process.

python -m tests.framework.replica URL CA_FILE NAME [production]

Prints `leading` when its leader's work starts. Ends on SIGTERM.
"""

import asyncio
import signal
import sys
from random import Random

from kaito.framework.leader import LeaderOptions
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import Auth, Credentials, Material
from kaito.kube.https import HttpsTransport

TOKEN = "t0ken"
QUICK = {"lease_duration": 3, "renew_deadline": 2, "retry_period": 0.25}
"""So that a test of it takes seconds; with a fourth argument `production`, the defaults."""


def transport(url, ca_file, clock):
    async def load(force):
        return Material(authorization=f"Bearer {TOKEN}", ca_file=ca_file, valid_for=None)

    auth = Auth(load, clock=clock)
    return HttpsTransport(
        Credentials(server=url, context="test", origin="test", namespace="default", auth=auth)
    )


async def main(url, ca_file, name, pace="quick"):
    configure_logging("console")
    clock = SystemClock()
    shared = transport(url, ca_file, clock)
    manager = Manager(
        shared,
        clock=clock,
        random=Random(name),
        options=ManagerOptions(
            identity=name,
            leader=LeaderOptions(
                namespace="default",
                name="replicas",
                **({} if pace == "production" else QUICK),
            ),
        ),
        election_transport=transport(url, ca_file, clock),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def work():
        sys.stdout.write("leading\n")
        sys.stdout.flush()

    manager.add_runnable("work", work)
    try:
        await manager.run(stop)
    finally:
        await shared.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
