"""What the benchmarks share: processes and what they used, Workspaces, and a report."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from random import Random

import yaml
from tests.e2e.kubectl import INFERENCE, ROOT, Kubectl

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport

USER = "system:serviceaccount:kaito-system:kaito"
NAMESPACE_OF = "bench-{}"
TICKS = os.sysconf("SC_CLK_TCK")


def installed(plane, folder):
    """CRDs, roles and policy; the kubeconfig of the operator's ServiceAccount."""
    kubectl = Kubectl(folder / "kubectl", plane.kubeconfig("admin"), plane.state)
    for path in ("config/crd", "config/crd/karpenter", "config/rbac", "config/policy"):
        kubectl("apply", "-k", path)
    token = kubectl("create", "token", "kaito", "--namespace", "kaito-system").out.strip()
    document = json.loads(plane.kubeconfig("admin").read_text())
    document["users"][0]["user"] = {"token": token}
    path = plane.state / "operator.kubeconfig"
    path.write_text(json.dumps(document))
    return path


@asynccontextmanager
async def connected(path):
    """The administrator at work."""
    clock = SystemClock()
    transport = HttpsTransport(await load(str(path), None, {}, clock=clock))
    try:
        yield Client(transport, clock=clock, random=Random(7), user_agent="benchmark")
    finally:
        await transport.close()


def namespaces(count):
    """Of so many Workspaces."""
    for number in range((count + 9) // 10):
        meta = {"name": NAMESPACE_OF.format(number)}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def process(stack, words, env=None, **more):
    """A child that ends when its standard input does, or is told to."""
    environment = {**os.environ, **(env or {}), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    child = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, text=True, env=environment, **more
    )

    def end():
        child.stdin.close()
        child.terminate()
        child.wait(30)

    stack.callback(end)
    return child


def seconds(pids):
    """Processor seconds that these processes have used so far."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def workspaces(count):
    """As many as asked for, ten in a namespace."""
    obj = yaml.safe_load(INFERENCE.read_text())
    for number in range(count):
        meta = {"name": f"w{number:03d}", "namespace": NAMESPACE_OF.format(number // 10)}
        yield {**obj, "metadata": meta}


async def changes(client, resource, patience=600):
    """Every object of a kind, then its every change; a server may end a slow reader's watch."""
    while True:
        found = await client.list(resource)
        for record in found.items:
            yield record
        watch = client.watch(
            resource,
            resource_version=found.resource_version,
            timeout_seconds=patience,
            idle_timeout=patience,
        )
        async with watch as events:
            async for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    yield event.record


async def until_ready(client, count, patience=600):
    """Watch until so many are Ready."""
    ready = set()
    async with asyncio.timeout(patience), aclosing(changes(client, WORKSPACES)) as records:
        async for record in records:
            if is_ready(record):
                ready.add(record.key)
            if len(ready) == count:
                return


def is_ready(record):
    conditions = record.get("status", "conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def made_ready(client, count, parts):
    """Create so many at once; the seconds until all are Ready, and what each part used for it."""
    before = {name: seconds(pids) for name, pids in parts.items()}
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(until_ready(client, count))
        for obj in workspaces(count):
            group.create_task(client.create(WORKSPACES, obj))
    took = time.monotonic() - began
    return took, {name: seconds(pids) - before[name] for name, pids in parts.items()}


async def until_gone(client, patience=600):
    async with asyncio.timeout(patience):
        while (await client.list(WORKSPACES, limit=1)).items:
            await asyncio.sleep(0.5)
        while (await client.list(NODECLAIMS, limit=1)).items:
            await asyncio.sleep(0.5)


def report(count, took, used, asked):
    print(f"{count} Workspaces Ready in {took:.1f} s: {count / took:.1f} a second")
    for name, amount in used.items():
        print(f"  {name}: {amount:.1f} s of processor, {1000 * amount / count:.0f} ms a Workspace")
    kinds = Counter(kind(one) for one in asked if one.verb != "watch" and one.resource != "leases")
    total = sum(kinds.values())
    print(f"requests of the operator: {total}, {total / count:.2f} a Workspace")
    for name, number in sorted(kinds.items()):
        print(f"  {number / count:6.2f}  {name}")


def kind(one):
    what = "/".join(part for part in (one.resource, one.subresource) if part)
    refused = f" -> {one.code}" if one.code >= 400 else ""
    return f"{one.verb} {what}{refused} {one.manager}".strip()
