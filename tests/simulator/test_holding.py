"""A cluster that is only held: it costs time, and no memory."""

import asyncio
import gc
from random import Random

from benchmarks.thousand_nodes import machine, pod

from kaito.apiserver.storage import Window
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.resources import LEASES, PODS
from kaito.simulator.cluster import Cluster, ClusterOptions
from kaito.simulator.nodes.options import NodeOptions

HOUR = 3600.0
LEASE = 60.0
NODES, CREATED = 4, 8


async def test_nothing_grows_while_a_cluster_is_held():
    """Hour after hour, leases are renewed and watches end and begin anew: the history stays within
    its window, and nobody collects listeners, tasks or objects."""
    clock = LoopClock()
    machines = tuple(machine(number, clock.wall()) for number in range(NODES))
    options = ClusterOptions(
        machines=machines, system_node=False, nodes=NodeOptions(lease_every=LEASE)
    )
    cluster = Cluster(clock=clock, random=Random(1), options=options)
    answered = 0

    def count(_):
        nonlocal answered
        answered += 1

    cluster.server.on_request = count
    client = Client(cluster.transport(), clock=clock, random=Random(2))
    async with cluster:
        for number in range(CREATED):
            await client.create(PODS, pod(f"p{number}"))
        begun = sizes(cluster)["listeners"]
        await asyncio.sleep(HOUR / 2)
        before, requests = sizes(cluster), answered
        await asyncio.sleep(HOUR)
        after = sizes(cluster)

    assert answered - requests > HOUR / LEASE * NODES - NODES, "the cluster was at work"
    assert after["tasks"] == before["tasks"]
    # A watch that is between its end and its next beginning has no listener just now.
    assert all(count <= begun.get(name, 0) for name, count in after["listeners"].items())
    assert after["objects"] == before["objects"]
    leases = after["changes"].pop(LEASES.group_resource)
    assert leases <= NODES * (Window().seconds / LEASE + 1), "the history is that of the window"
    assert all(count <= before["changes"][name] for name, count in after["changes"].items())
    assert after["tracked"] <= 1.02 * before["tracked"]


def sizes(cluster):
    """Of everything that a long run might pile up."""
    buckets = cluster.server.core.storage.buckets()
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "listeners": {name: bucket.watchers for name, bucket in buckets.items()},
        "objects": {name: len(bucket) for name, bucket in buckets.items()},
        "changes": {name: len(bucket.changes) for name, bucket in buckets.items()},
        "tracked": len(gc.get_objects()),
    }
