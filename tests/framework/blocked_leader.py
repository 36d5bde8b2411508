"""A process that leads, loses its lease, and does not notice because its loop is blocked."""

import asyncio
import sys
import time
from random import Random

from prometheus_client import CollectorRegistry

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.framework.elector import Elector
from kaito.framework.fence import Fence
from kaito.framework.leader import LeaderOptions
from kaito.framework.leadership import elected_on_thread
from kaito.framework.metrics import Metrics
from kaito.kube.clock import SystemClock
from tests.framework.world import Cut

OPTIONS = LeaderOptions(
    namespace="default", name="widgets", lease_duration=3, renew_deadline=2, retry_period=0.3
)


def electing(clock, fence):
    """(what makes the elector, its transport): over a server that only the elector uses."""
    server = ApiServer(clock=clock, random=Random(0))
    transport = Cut(in_process(server), clock)

    def make():
        return Elector(
            transport,
            OPTIONS,
            identity="one",
            fence=fence,
            clock=clock,
            random=Random(1),
            metrics=Metrics(CollectorRegistry()).leader("widgets"),
        )

    return make, transport


async def main():
    clock = SystemClock()
    make, transport = electing(clock, Fence(clock.monotonic))
    async with elected_on_thread(make, transport, clock) as leading:
        await leading.wait()
        sys.stdout.write("leading\n")
        sys.stdout.flush()
        transport.state = "refused"
        time.sleep(60)  # noqa: ASYNC251 - the point of this program


if __name__ == "__main__":
    asyncio.run(main())
