"""The whole operator in a whole world: one process, virtual time, no socket.

The world (API server, cluster controllers, machines, cloud, engine) outlives the operator, which
can be cut off at any write and started again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import yaml

from kaito.api import crds
from kaito.api.resources import NODECLAIMS, WORKSPACES, WORKSPACES_V1ALPHA1
from kaito.apiserver.door import in_process
from kaito.app.operator import Surroundings, operator
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.errors import NotFound
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CRDS, NODES, PODS, SECRETS
from kaito.kube.transport import Request
from kaito.provisioner.azure.cloud import AzureCloud
from kaito.settings import OperatorSettings
from kaito.simulator.arm.sdk import AnyCredential, azure_transport
from kaito.simulator.cluster import Cluster, ClusterOptions
from kaito.testing.crashing import CrashingTransport, CrashPlan, crashing_handler

EXAMPLES = Path(__file__).parents[2] / "examples"
SETTINGS = OperatorSettings(
    leader_elect=False,
    metrics_address="0",
    probe_address="0",
    loop_lag_interval=0,
    freeze_after_sync=False,
)
OPERATOR = "kaito"


def inference():
    obj = yaml.safe_load((EXAMPLES / "inference/kaito_workspace_phi_4_mini.yaml").read_text())
    obj["metadata"]["namespace"] = "default"
    return obj


def seed(*, filled=True):
    obj = yaml.safe_load((EXAMPLES / "fine-tuning/kaito_workspace_tuning_phi_3.yaml").read_text())
    obj["metadata"]["namespace"] = "default"
    if filled:
        obj["tuning"]["output"] = {
            "image": "myregistry.azurecr.io/phi-3-dolly:0.0.1",
            "imagePushSecret": "my-registry",
        }
    return obj


def push_secret():
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "my-registry", "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {
            ".dockerconfigjson": '{"auths":{"myregistry.azurecr.io":'
            '{"username":"u","password":"p","auth":"dTpw"}}}'
        },
    }


class Incarnation:
    """One life of the operator."""

    def __init__(self, world, plan):
        self.plan = plan
        self._stop = asyncio.Event()
        cloud = AzureCloud(
            subscription=world.arm.options.subscription,
            resource_group=world.arm.options.resource_group,
            cluster=world.arm.options.cluster,
            credential=AnyCredential(),
            clock=world.clock,
            random=Random(5),
            transport=azure_transport(crashing_handler(world.arm.handle, plan)),
        )
        self.manager = operator(
            world.settings,
            Surroundings(
                transport=CrashingTransport(in_process(world.server), plan),
                clock=world.clock,
                random=Random(6),
                cloud=cloud,
            ),
        )
        self.task = world.tasks.create_task(self._live())

    async def _live(self):
        await self.manager.run(self._stop)

    async def stop(self):
        self._stop.set()
        await asyncio.wait([self.task])
        self.task.result()

    async def kill(self):
        """The process is gone: its doors are shut already, its tasks just end."""
        self.plan.crashed.set()
        self.task.cancel()
        await asyncio.wait([self.task])


class World:
    """What outlives an operator, and what a test asks of it."""

    def __init__(self, tasks, cluster, settings):
        self.tasks = tasks
        self.cluster = cluster
        self.settings = settings
        self.clock = cluster.clock
        self.server = cluster.server
        self.arm = cluster.arm
        self.requests = []
        self.server.on_request = self.requests.append
        self.client = Client(
            cluster.transport(), clock=self.clock, random=Random(2), user_agent="test"
        )

    async def furnish(self):
        """The CRDs, and the Secret that adapters are pushed with."""
        for text in crds.files().values():
            document = yaml.safe_load(text)
            if document["kind"] == "CustomResourceDefinition":
                await self.client.create(CRDS, document)
        await self.client.create(SECRETS, push_secret())
        await self.clock.sleep(1)

    def operator(self, plan=None):
        return Incarnation(self, plan or CrashPlan())

    # ---- asking

    async def apply(self, obj):
        resource = WORKSPACES if obj["apiVersion"].endswith("v1beta1") else WORKSPACES_V1ALPHA1
        return await self.client.create(resource, obj)

    async def workspace(self, name):
        return await self.client.get(WORKSPACES, ObjectKey("default", name))

    async def condition(self, name, type_="Ready"):
        found = (await self.workspace(name)).get("status", "conditions") or []
        return next((c for c in found if c["type"] == type_), {"status": "", "reason": ""})

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds=3600.0, step=5.0):
        """Wait, in virtual time; False when it never came to hold."""
        deadline = self.clock.monotonic() + seconds
        while self.clock.monotonic() < deadline:
            if await holds():
                return True
            await self.clock.sleep(step)
        return await holds()

    async def ready(self, name, seconds=7200.0):
        async def holds():
            return (await self.condition(name))["status"] == "True"

        assert await self.until(holds, seconds), await self.condition(name)

    async def gone(self, name, seconds=7200.0):
        async def holds():
            try:
                await self.workspace(name)
            except NotFound:
                return True
            return False

        assert await self.until(holds, seconds), (await self.workspace(name)).json()

    async def delete(self, name):
        await self.client.delete(WORKSPACES, ObjectKey("default", name))

    async def count(self, resource):
        return len((await self.client.list(resource)).items)

    async def leftovers(self):
        """Claims, pools, nodes and pods that are still there."""
        return {
            "claims": await self.count(NODECLAIMS),
            "pools": len(self.arm.states()),
            "nodes": await self.count(NODES),
            "pods": await self.count(PODS),
        }

    def sent(self, *, since=0, agent=OPERATOR, writes=False):
        """What the operator asked of the API server, watches and leases left out."""
        return [
            r
            for r in self.requests[since:]
            if r.user_agent.startswith(agent)
            and not r.user_agent.startswith((f"{agent}-nodes", f"{agent}-control"))
            and r.verb != "watch"
            and not (writes and r.verb in ("get", "list"))
        ]

    async def ask(self, name, path, body=b"", namespace="default"):
        """A request to a Service, through the API server's proxy."""
        target = f"/api/v1/namespaces/{namespace}/services/{name}:80/proxy{path}"
        method = "POST" if body else "GET"
        headers = {"content-type": "application/json"}
        request = Request(method=method, path=target, headers=headers, body=body)
        return await self.client.raw(request)


@asynccontextmanager
async def world(*, settings=SETTINGS, **options):
    """A cluster without any node; `options` are those of `ClusterOptions`."""
    chosen = ClusterOptions(system_node=False, **options)
    cluster = Cluster(clock=LoopClock(), random=Random(1), options=chosen)
    async with cluster, asyncio.TaskGroup() as tasks:
        found = World(tasks, cluster, settings)
        await found.furnish()
        yield found
