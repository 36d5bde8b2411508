"""The workspace controller alone, in a world that says yes at once; beside it, what the server can.

    PYTHONPATH=src:. python -m benchmarks.workspace_controller [--count 100]

An API server and etcd without controllers. First the operator: `kaito run --controllers=workspace`,
while a process of its own makes every NodeClaim, Node and StatefulSet ready as soon as it sees it.
Then, on a fresh server, the bare writes of as many Workspaces, sent as fast as it takes them: no
operator that makes these writes can be faster.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, aclosing
from pathlib import Path

from benchmarks.parts import (
    USER,
    changes,
    connected,
    installed,
    made_ready,
    namespaces,
    process,
    report,
    seconds,
    workspaces,
)
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane, Options
from tests.e2e.audit import Audit
from tests.e2e.kubectl import ROOT
from tests.manifests.rendering import planned

from kaito.api.names import Label
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import (
    CONTROLLERREVISIONS,
    EVENTS,
    NAMESPACES,
    NODES,
    SERVICES,
    STATEFULSETS,
)
from kaito.manifests.identity import Identity
from kaito.manifests.options import RenderOptions
from kaito.manifests.render import render_all

STAMP = "2026-01-01T00:00:00Z"
APPLIED = {"ControllerRevision": CONTROLLERREVISIONS, "Service": SERVICES}
WORKLOAD = {"StatefulSet": STATEFULSETS}


def true(*types):
    return [
        {"type": one, "status": "True", "reason": one, "message": "", "lastTransitionTime": STAMP}
        for one in types
    ]


def node_of(claim):
    return {
        "metadata": {"name": f"node-{claim['name']}", "labels": dict(claim["labels"])},
        "status": {
            "capacity": {"nvidia.com/gpu": "1"},
            "allocatable": {"nvidia.com/gpu": "1"},
            "conditions": true("Ready"),
        },
    }


def claim_ready(name):
    conditions = true("Launched", "Registered", "Initialized", "Ready")
    return {"status": {"nodeName": f"node-{name}", "conditions": conditions}}


WORKLOAD_READY = {
    "status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1}
}


async def say_yes(client, claim):
    """The machine is there."""
    meta = {"name": claim.meta.name, "labels": claim.meta.labels}
    await client.create(NODES, node_of(meta))
    await client.merge_patch(
        NODECLAIMS, claim.key, claim_ready(claim.meta.name), subresource="status"
    )


async def run_workload(client, workload):
    await client.merge_patch(STATEFULSETS, workload.key, WORKLOAD_READY, subresource="status")


async def answer(client, group, resource, respond):
    """Respond once to everything of a kind that appears."""
    known = set()
    async with aclosing(changes(client, resource)) as records:
        async for record in records:
            if record.meta.uid not in known and record.meta.labels.get(Label.WORKSPACE):
                known.add(record.meta.uid)
                group.create_task(respond(client, record))


async def world(path):
    """The world's process: until it is ended."""
    async with connected(path) as client, asyncio.TaskGroup() as group:
        group.create_task(answer(client, group, NODECLAIMS, say_yes))
        group.create_task(answer(client, group, STATEFULSETS, run_workload))


async def by_the_operator(plane, count, parts):
    audit = Audit(plane.audit_log, USER)
    async with connected(plane.kubeconfig("admin")) as client:
        for obj in namespaces(count):
            await client.create(NAMESPACES, obj)
        while not any(one.resource == "statefulsets" for one in audit.read()):
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        audit.read()
        took, used = await made_ready(client, count, parts)
        await asyncio.sleep(5)
        report(count, took, used, audit.read())


async def bare_writes(client, obj, sent):
    """What is written for one Workspace, one after the other; `sent` counts."""
    made = await client.create(WORKSPACES, obj)
    identity = Identity(namespace=made.meta.namespace, name=made.meta.name, uid=made.meta.uid)
    finalizer = {"metadata": {"finalizers": ["workspace.finalizer.kaito.sh"]}}
    await client.merge_patch(WORKSPACES, made.key, finalizer)
    claim, *children = render_all(planned(obj), identity, RenderOptions())
    name = claim["metadata"]["name"]
    await client.create(NODECLAIMS, claim)
    await tell(client, made, "asked", sent)
    await client.create(NODES, node_of(claim["metadata"]))
    await client.merge_patch(
        NODECLAIMS, ObjectKey("", name), claim_ready(name), subresource="status"
    )
    await status(client, made, "ResourceReady")
    meta = {**children[0]["metadata"], "name": f"{made.meta.name}-1"}
    revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta}
    for child in ({**revision, "revision": 1, "data": children[0]}, *children):
        resource = APPLIED.get(child["kind"]) or WORKLOAD[child["kind"]]
        await client.apply(resource, child, field_manager="benchmark", force=False)
    await tell(client, made, "deployed", sent)
    await client.merge_patch(STATEFULSETS, made.key, WORKLOAD_READY, subresource="status")
    await status(client, made, "InferenceReady")
    await status(client, made, "Ready")
    await tell(client, made, "ready", sent)


async def status(client, made, type_):
    patch = {"status": {"conditions": true(type_)}}
    await client.merge_patch(WORKSPACES, made.key, patch, subresource="status")


async def tell(client, made, reason, sent):
    sent["events"] += 1
    await client.create(
        EVENTS,
        {
            "metadata": {"name": f"{made.meta.name}.{reason}", "namespace": made.meta.namespace},
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "benchmark",
            "reportingInstance": "benchmark",
            "action": "Benchmark",
            "reason": reason,
            "type": "Normal",
            "regarding": {
                "apiVersion": "kaito.sh/v1beta1",
                "kind": "Workspace",
                "namespace": made.meta.namespace,
                "name": made.meta.name,
                "uid": made.meta.uid,
            },
        },
    )


async def by_nobody(plane, count):
    async with connected(plane.kubeconfig("admin")) as client:
        for obj in namespaces(count):
            await client.create(NAMESPACES, obj)
        before, began, sent = seconds(plane.pids()), time.monotonic(), Counter()
        async with asyncio.TaskGroup() as group:
            for obj in workspaces(count):
                group.create_task(bare_writes(client, obj, sent))
        took = time.monotonic() - began
        used = seconds(plane.pids()) - before
    print(f"the bare writes of {count} Workspaces: {took:.1f} s, {count / took:.1f} a second")
    print(f"  server: {used:.1f} s of processor, {1000 * used / count:.0f} ms a Workspace")


def server(stack, folder):
    state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    options = Options(audit=True, controllers=False, scheduler=False)
    return stack.enter_context(ControlPlane(folder, state, options))


def run(count):
    folder = programs.find()
    if folder is None or not (folder / "kubectl").exists():
        sys.exit("no control plane is built: make controlplane")
    with ExitStack() as stack:
        plane = server(stack, folder)
        kubeconfig = installed(plane, folder)
        words = ("-m", "benchmarks.workspace_controller", "--world", plane.kubeconfig("admin"))
        simulated = process(stack, map(str, words), cwd=ROOT)
        log = stack.enter_context((plane.state / "operator.log").open("w"))
        operator = process(
            stack,
            (
                *("-c", "from kaito.cli import main; main()", "run", "--controllers=workspace"),
                *("--kubeconfig", str(kubeconfig), "--metrics-bind-address=0"),
                *("--health-probe-bind-address=0", "--log-level=warning"),
            ),
            stderr=log,
        )
        parts = {"operator": [operator.pid], "world": [simulated.pid], "server": plane.pids()}
        asyncio.run(by_the_operator(plane, count, parts))
    with ExitStack() as stack:
        plane = server(stack, folder)
        installed(plane, folder)
        asyncio.run(by_nobody(plane, count))


def main():
    parser = argparse.ArgumentParser(description="the workspace controller alone")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.world:
        asyncio.run(world(given.world))
    else:
        run(given.count)


if __name__ == "__main__":
    main()
