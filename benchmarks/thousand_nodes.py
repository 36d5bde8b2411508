"""A thousand nodes and ten thousand pods in the embedded cluster, in one process.

    PYTHONPATH=src:. python -m benchmarks.thousand_nodes [--nodes N] [--pods N] [--rate N] [--real]

Everything runs: API server, scheduler, garbage collector and every other controller, and a kubelet
with its lease for each node. Time is virtual, so the figures do not depend on what else the machine
does: pods are created at `rate` a second of virtual time, everything that follows from a creation
happens in between, and what is counted is processor seconds. A rate is sustained on one core when a
virtual second costs at most a second of processor. With `--real` the clock is the one on the wall,
and pods are created as fast as a few clients can.

    join      every node registers, reports and is Ready
    create    every pod is created, bound, started, Ready; its events are written
    hold      nobody does anything: every kubelet renews its lease, every 10 seconds
    play      some pods are deleted, and others created in their place
"""

import argparse
import asyncio
import logging
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec

from kaito.framework.logging import configure_logging
from kaito.framework.memory import freeze, measured_collections, thaw
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock, SystemClock
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import PODS
from kaito.simulator.arm.machines import Machine
from kaito.simulator.cluster import Cluster, ClusterOptions
from kaito.simulator.nodes.options import NodeOptions
from kaito.testing.loop import VirtualTimeLoop

NAMESPACE = "default"
IMAGE = "registry.k8s.io/pause:3.10"
LEASE_SECONDS = 10.0
"""As often as a real kubelet renews its Lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    nodes: int = 1000
    pods: int = 10_000
    rate: float = 200.0
    """Creations a second; 0: as fast as the creators can."""
    creators: int = 16
    hold: float = 600.0
    replaced: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one part of the run took."""

    name: str
    count: int
    seconds: float
    """On the cluster's clock."""
    processor: float
    requests: int
    resident: int
    """Bytes, at its end."""
    pause: float
    """Seconds of real time that the longest garbage collection took: the loop stood still."""

    def __str__(self):
        rate = self.count / self.processor if self.processor else 0.0
        return (
            f"{self.name:8}{self.count:8}{self.seconds:9.1f} s{self.processor:9.1f} s"
            f"{rate:9.0f} /s{self.requests:10}{self.resident / 2**20:8.0f} MiB"
            f"{self.pause * 1000:8.1f} ms"
        )


HEAD = (
    f"{'':8}{'count':>8}{'clock':>11}{'processor':>11}{'':>12}{'requests':>10}{'resident':>12}"
    f"{'pause':>11}"
)


class Condition(msgspec.Struct, frozen=True):
    type: str
    status: str


class Status(msgspec.Struct, frozen=True):
    conditions: tuple[Condition, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """What the benchmark reads of a Node or a Pod."""

    status: Status = Status()

    @property
    def ready(self):
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)


class Ready:
    """Who is Ready, read off the server's storage: a client would add work of its own."""

    def __init__(self, bucket):
        self._bucket = bucket
        self._decode = msgspec.json.Decoder(Seen).decode
        self._names = set()
        self._changed = asyncio.Event()
        bucket.listen(self._look)

    def _look(self):
        change = self._bucket.changes[-1]
        if change.type != "DELETED" and self._decode(change.new.tail).ready:
            self._names.add(change.new.key)
        else:
            self._names.discard(change.new.key)
        self._changed.set()

    async def until(self, count):
        while len(self._names) < count:
            self._changed.clear()
            await self._changed.wait()

    async def until_gone(self, count):
        while len(self._bucket) > count:
            self._changed.clear()
            await self._changed.wait()


class Run:
    """One cluster, from the first node to the last replacement."""

    def __init__(self, size, clock):
        self.size = size
        self.clock = clock
        self.phases = []
        self.accepted = []
        """How fast creations were answered, while everything else went on."""
        self.requests = Counter()
        self.pause = 0.0
        machines = tuple(machine(number, clock.wall()) for number in range(size.nodes))
        self.cluster = Cluster(
            clock=clock,
            random=Random(1),
            options=ClusterOptions(
                machines=machines,
                system_node=False,
                nodes=NodeOptions(lease_every=LEASE_SECONDS),
            ),
        )
        server = self.cluster.server
        server.on_request = self._count
        self.nodes = Ready(server.core.storage.bucket("nodes"))
        self.pods = Ready(server.core.storage.bucket("pods"))
        self.client = Client(self.cluster.transport(), clock=clock, random=Random(2))

    def _count(self, info):
        what = "/".join(part for part in (info.resource, info.subresource) if part)
        self.requests[f"{info.verb} {what}"] += 1

    async def all(self):
        size = self.size
        print(HEAD)
        async with self.cluster:
            freeze()  # as every program does when its caches have synced
            await self._phase("join", size.nodes, self._join())
            await self._phase("create", size.pods, self._create("pod", size.pods))
            await self._phase("hold", 0, self.clock.sleep(size.hold))
            await self._phase("play", size.replaced, self._play())
        return self.phases

    async def _phase(self, name, count, work):
        asked, began = self.requests.total(), self.clock.monotonic()
        used, self.pause = time.process_time(), 0.0
        await work
        done = Phase(
            name=name,
            count=count,
            seconds=self.clock.monotonic() - began,
            processor=time.process_time() - used,
            requests=self.requests.total() - asked,
            resident=resident(),
            pause=self.pause,
        )
        self.phases.append(done)
        print(done, flush=True)

    def collected(self, _generation, seconds):
        """A garbage collection has taken that long."""
        self.pause = max(self.pause, seconds)

    async def _join(self):
        await self.nodes.until(self.size.nodes)

    async def _create(self, prefix, count):
        names = iter([f"{prefix}-{number:05d}" for number in range(count)])
        began = self.clock.monotonic()
        made = 0

        async def create():
            nonlocal made
            for name in names:
                if self.size.rate:
                    due = began + made / self.size.rate
                    made += 1
                    await self.clock.sleep(due - self.clock.monotonic())
                await self.client.create(PODS, pod(name))

        used = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(self.size.creators):
                group.create_task(create())
        clock, used = self.clock.monotonic() - began, time.process_time() - used
        self.accepted.append(
            f"{count} creations answered in {clock:.1f} s, {used:.1f} s of processor: "
            f"{count / clock:.0f} a second, {count / used:.0f} a second of processor"
        )
        await self.pods.until(self.size.pods)

    async def _play(self):
        kept = self.size.pods - self.size.replaced
        for number in range(self.size.replaced):
            await self.client.delete(PODS, ObjectKey(NAMESPACE, f"pod-{number:05d}"))
        await self.pods.until_gone(kept)
        await self._create("other", self.size.replaced)


def machine(number, now):
    """Switched on some seconds ago: nodes join one after the other."""
    name = f"aks-plain{number // 100:02d}-{number:05d}-vmss000000"
    return Machine(
        name=name,
        pool=f"plain{number // 100:02d}",
        vm_size="Standard_D8s_v5",
        provider_id=f"azure:///simulated/{name}",
        region="northeurope",
        resource_group="simulated",
        image_version="simulated",
        created_at=now + timedelta(seconds=number / 100),
        labels={"agentpool": f"plain{number // 100:02d}"},
    )


def pod(name):
    container = {
        "name": "pause",
        "image": IMAGE,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "pause"}},
        "spec": {"containers": [container]},
    }


def resident():
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak():
    """Bytes of this process in memory at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(size, *, real=False):
    """One run, with every phase of it."""
    configure_logging("console", level=logging.WARNING, stream=sys.stderr)

    async def body():
        one = Run(size, SystemClock() if real else LoopClock())
        with measured_collections(one.collected):
            await one.all()
        return one

    try:
        with asyncio.Runner(loop_factory=None if real else VirtualTimeLoop) as runner:
            return runner.run(body())
    finally:
        thaw()


def report(one):
    print(*one.accepted, sep="\n")
    print(f"longest moment in memory: {peak() / 2**20:.0f} MiB")
    print("requests, by what they ask for:")
    for what, count in one.requests.most_common(12):
        print(f"  {count:8}  {what}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200.0, help="creations a second")
    parser.add_argument("--hold", type=float, default=600.0, help="seconds")
    parser.add_argument("--real", action="store_true", help="on the wall's clock, unpaced")
    args = parser.parse_args()
    size = Size(
        nodes=args.nodes,
        pods=args.pods,
        rate=0.0 if args.real else args.rate,
        hold=args.hold,
        replaced=args.pods // 10,
    )
    report(run(size, real=args.real))


if __name__ == "__main__":
    main()
