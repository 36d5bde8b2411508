"""The cluster in a box."""

import json
from random import Random

from kaito.kube.client import Client
from kaito.kube.clock import LoopClock, ScaledClock
from kaito.kube.errors import NotFound
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.resources import CONFIGMAPS, NAMESPACES, NODES, PODS, SERVICEACCOUNTS, STATEFULSETS
from kaito.kube.transport import Request
from kaito.simulator.cluster import Cluster
from tests.simulator.pods import container, pod
from tests.simulator.test_path import server

POOL = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/kaito/providers/"
    "Microsoft.ContainerService/managedClusters/embedded/agentPools/ws1"
)


def _client(cluster: Cluster) -> Client:
    return Client(cluster.transport(), clock=cluster.clock, random=Random(5), user_agent="test")


async def _pool(cluster: Cluster, method: str = "PUT") -> int:
    properties = {
        "vmSize": "Standard_NC24ads_A100_v4",
        "count": 1,
        "nodeTaints": ["sku=gpu:NoSchedule"],
        "nodeLabels": {"kaito.sh/workspace": "w"},
    }
    answer = await cluster.arm.handle(
        Request(
            method=method,
            path=POOL,
            query=(("api-version", "2025-05-01"),),
            headers={"authorization": "Bearer x", "content-type": "application/json"},
            body=json.dumps({"properties": properties}).encode() if method == "PUT" else b"",
        )
    )
    return answer.status


async def _wait(cluster: Cluster, resource, name, condition, *, within: float = 3600.0) -> Record:
    client, deadline = _client(cluster), cluster.clock.monotonic() + within
    key = ObjectKey("default" if resource.namespaced else "", name)
    while cluster.clock.monotonic() < deadline:
        try:
            record = await client.get(resource, key)
            if condition(record):
                return record
        except NotFound:
            pass
        await cluster.clock.sleep(0.5)
    raise AssertionError(f"{name} did not get there")


def _ready(record: Record) -> bool:
    return record.get("status", "readyReplicas") == 1


async def test_an_agent_pool_becomes_a_node_and_a_pod_becomes_ready_on_it():
    """A PUT at ARM is a machine, then a Node; the waiting StatefulSet becomes Ready there."""
    async with Cluster(clock=LoopClock(), random=Random(1)) as cluster:
        client = _client(cluster)
        await client.create(STATEFULSETS, server())

        assert await _pool(cluster) in (200, 201)
        await _wait(cluster, STATEFULSETS, "w", _ready)

        placed = await client.get(PODS, ObjectKey("default", "w-0"))
        node = await client.get(NODES, ObjectKey("", placed.get("spec", "nodeName")))
        assert node.meta.labels["agentpool"] == "ws1"
        assert node.meta.labels["kaito.sh/workspace"] == "w"
        assert cluster.world.meter.pools_created == 1


async def test_a_deleted_pool_takes_its_node():
    """After a DELETE at ARM the Node is gone; the system node stays."""
    async with Cluster(clock=LoopClock(), random=Random(1)) as cluster:
        await _pool(cluster)
        await cluster.clock.sleep(600)
        assert len((await _client(cluster).list(NODES)).items) == 2

        await _pool(cluster, "DELETE")
        await cluster.clock.sleep(600)

        (left,) = (await _client(cluster).list(NODES)).items
        assert left.meta.labels["agentpool"] == "system"


async def test_there_is_a_place_for_ordinary_pods_from_the_start():
    """A pod without wishes runs on the system node, which is Ready when the cluster is."""
    async with Cluster(clock=LoopClock(), random=Random(1)) as cluster:
        made = pod(container(image="curlimages/curl", args=["sleep", "1"]), name="curl")
        await _client(cluster).create(
            PODS, {"metadata": {"name": "curl", "namespace": "default"}, "spec": made["spec"]}
        )

        placed = await _wait(cluster, PODS, "curl", lambda p: bool(p.get("spec", "nodeName")))

        assert placed.get("spec", "nodeName").startswith("aks-system-")


async def test_every_namespace_has_its_account_and_authority():
    """`default` exists from the start with ServiceAccount and kube-root-ca.crt; new ones too."""
    async with Cluster(clock=LoopClock(), random=Random(1)) as cluster:
        client = _client(cluster)
        await client.create(NAMESPACES, {"metadata": {"name": "team"}})
        await cluster.clock.sleep(1)

        for namespace in ("default", "team"):
            await client.get(SERVICEACCOUNTS, ObjectKey(namespace, "default"))
            await client.get(CONFIGMAPS, ObjectKey(namespace, "kube-root-ca.crt"))


async def test_a_world_may_run_faster_than_the_wire():
    """With the world's clock sixty times as fast, minutes of booting take seconds of the wire;
    what is written is stamped with the wire's time."""
    clock = LoopClock()
    async with Cluster(clock=clock, world=ScaledClock(clock, 60), random=Random(1)) as cluster:
        await _client(cluster).create(STATEFULSETS, server())
        await _pool(cluster)

        await _wait(cluster, STATEFULSETS, "w", _ready, within=30)

        placed = await _client(cluster).get(PODS, ObjectKey("default", "w-0"))
        started = placed.get("status", "containerStatuses")[0]["state"]["running"]["startedAt"]
        assert started <= clock.wall().strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = await _client(cluster).raw(
            Request(method="GET", path="/api/v1/namespaces/default/pods/w-0:5000/proxy/health")
        )
        assert answer.status == 200


async def test_the_world_replays_from_its_seed():
    """The same seed gives the same objects at the same times."""

    async def history() -> list[str]:
        async with Cluster(clock=LoopClock(), random=Random(7)) as cluster:
            seen: list[str] = []
            cluster.server.on_request = lambda info: seen.append(
                f"{cluster.clock.monotonic():.3f} {info.verb} {info.resource} {info.name}"
            )
            await _client(cluster).create(STATEFULSETS, server())
            await _pool(cluster)
            await cluster.clock.sleep(1200)
            return seen

    first = await history()
    start = float(first[0].split()[0])
    second = await history()
    offset = float(second[0].split()[0]) - start

    def shifted(line: str) -> str:
        at, _, rest = line.partition(" ")
        return f"{float(at) - offset:.1f} {rest}"

    assert [shifted(line) for line in second] == [
        f"{float(line.split()[0]):.1f} {line.partition(' ')[2]}" for line in first
    ]


async def test_containers_can_be_made_to_fail_and_to_recover():
    """A named container crashes until that is called off."""
    async with Cluster(clock=LoopClock(), random=Random(1)) as cluster:
        await _client(cluster).create(STATEFULSETS, server())
        await _pool(cluster)
        await _wait(cluster, STATEFULSETS, "w", _ready)

        cluster.world.fail_containers("w-*", code=137, after=5.0)
        await cluster.clock.sleep(60)

        broken = await _client(cluster).get(PODS, ObjectKey("default", "w-0"))
        (status,) = broken.get("status", "containerStatuses")
        assert status["lastState"]["terminated"]["exitCode"] == 137
        assert status["restartCount"] >= 1
        cluster.world.stop_failing()
        await _wait(cluster, STATEFULSETS, "w", _ready)
