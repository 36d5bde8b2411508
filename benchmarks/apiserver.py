"""The embedded API server beside the real one: requests by verb, and events to many watchers.

    PYTHONPATH=src:. python -m benchmarks.apiserver [--count N] [--events N]

    in process    the embedded server in the client's own process: processor time is that of both
    embedded      the embedded server over HTTPS, in a process of its own
    real          kube-apiserver with its etcd (make controlplane); left out where there is none

The same client asks all of them, eight requests at a time. A number is requests a second by the
clock on the wall; beside it is what the server's processes used of a processor, in microseconds
per request, which other work on the machine changes less. For watchers it is events a second, all
watchers together, and the servers' microseconds per event that was delivered.
"""

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.parts import process, seconds
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane, Options
from tests.e2e.kubectl import ROOT

from kaito.framework.logging import configure_logging
from kaito.kube.client import Client
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.errors import AlreadyExists
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, NAMESPACES, PODS, SERVICEACCOUNTS
from kaito.kube.transport import Request
from kaito.testing.api import embedded_api

NAMESPACE = "bench"
AT_ONCE = 8
LISTED = 500
MANAGER = "bench"
VERBS = (
    "create", "get", "list", "replace", "merge patch", "apply", "status patch", "delete",
)  # fmt: skip
WATCHERS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class Figure:
    """How often a second, and how much of a processor the server used for each, in seconds."""

    rate: float
    processor: float

    def __str__(self):
        return f"{self.rate:8.0f}/s {1e6 * self.processor:6.0f} µs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    count: int = 1000
    """Objects, and requests of each verb (lists are a twentieth)."""
    events: int = 200
    watchers: tuple[int, ...] = WATCHERS


class Bench:
    """One server, asked by one client. `used()` is the processor time of the server so far."""

    def __init__(self, transport, used, size):
        self._transport = transport
        self._used = used
        self._size = size
        self._specs = {}
        """With the server's defaults, which a replacement has to repeat."""
        self._client = Client(transport, clock=SystemClock(), random=Random(1), timeout=120)

    async def all(self):
        await self._prepare()
        found = {}
        for verb in VERBS:
            count = max(1, self._size.count // 20) if verb == "list" else self._size.count
            found[verb] = await self._timed(getattr(self, f"_{verb.replace(' ', '_')}"), count)
        for watchers in self._size.watchers:
            found[f"{watchers} watching"] = await self._watched(watchers)
        return found

    async def _prepare(self):
        meta = {"name": NAMESPACE}
        await self._client.create(NAMESPACES, {"metadata": meta})
        with suppress(AlreadyExists):  # where a controller makes it
            account = {"metadata": {"name": "default", "namespace": NAMESPACE}}
            await self._client.create(SERVICEACCOUNTS, account)
        for number in range(min(LISTED, self._size.count)):
            await self._client.create(CONFIGMAPS, config_map(f"listed-{number:05d}", "x" * 1000))

    async def _timed(self, ask, count):
        numbers = iter(range(count))

        async def some():
            for number in numbers:
                await ask(number)

        used, began = self._used(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(some())
        took = time.monotonic() - began
        return Figure(count / took, (self._used() - used) / count)

    # ---- one request each

    async def _create(self, number):
        made = await self._client.create(PODS, pod(number), field_manager=MANAGER)
        self._specs[number] = made.get("spec")

    async def _get(self, number):
        await self._client.get(PODS, key(number))

    async def _list(self, _number):
        found = await self._client.list(CONFIGMAPS, namespace=NAMESPACE, limit=LISTED)
        assert len(found.items) == min(LISTED, self._size.count)

    async def _replace(self, number):
        obj = {**pod(number, round="replaced"), "spec": self._specs[number]}
        await self._client.replace(PODS, obj, field_manager=MANAGER)

    async def _merge_patch(self, number):
        patch = {"metadata": {"labels": {"round": "patched"}}}
        await self._client.merge_patch(PODS, key(number), patch, field_manager=MANAGER)

    async def _apply(self, number):
        obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": key(number).name,
                "namespace": NAMESPACE,
                "annotations": {"example.com/applied": "yes"},
            },
        }
        await self._client.apply(PODS, obj, field_manager="applier", force=True)

    async def _status_patch(self, number):
        patch = {"status": {"phase": "Running", "conditions": CONDITIONS}}
        await self._client.merge_patch(
            PODS, key(number), patch, subresource="status", field_manager="kubelet"
        )

    async def _delete(self, number):
        await self._client.delete(PODS, key(number), grace_seconds=0)

    # ---- events

    async def _watched(self, watchers):
        """Changes of one object, until every watcher has been told of every one."""
        name = f"watched-{watchers}"
        made = await self._client.create(CONFIGMAPS, config_map(name, ""))
        events = self._size.events
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(self._watch(made.meta.resource_version))
                for _ in range(watchers)
            ]
            used, began = self._used(), time.monotonic()
            async with asyncio.TaskGroup() as group:
                for stream in streams:
                    group.create_task(count_lines(stream, events))
                group.create_task(self._changes(name, events))
            took = time.monotonic() - began
            told = events * watchers
            return Figure(told / took, (self._used() - used) / told)

    @asynccontextmanager
    async def _watch(self, version):
        query = (("watch", "true"), ("resourceVersion", version), ("timeoutSeconds", "600"))
        request = Request(
            method="GET",
            path=CONFIGMAPS.path(NAMESPACE),
            query=query,
            headers={"accept": "application/json"},
        )
        async with self._transport.stream(request, idle_timeout=60) as stream:
            assert stream.status == 200
            yield stream

    async def _changes(self, name, count):
        for number in range(count):
            patch = {"data": {"text": f"{number:01000d}"}}
            await self._client.merge_patch(CONFIGMAPS, ObjectKey(NAMESPACE, name), patch)


async def count_lines(stream, lines):
    """Read until so many lines have come; nothing is decoded: the server is what is measured."""
    async for chunk in stream.chunks:
        lines -= chunk.count(b"\n")
        if lines <= 0:
            return
    raise AssertionError("the watch ended early")


def key(number):
    return ObjectKey(NAMESPACE, f"pod-{number:05d}")


def pod(number, **labels):
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": f"VARIABLE_{i}", "value": "value"} for i in range(5)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
    }
    meta = {"name": key(number).name, "namespace": NAMESPACE, "labels": {"app": "x", **labels}}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def config_map(name, text):
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "data": {"text": text}}


CONDITIONS = [
    {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
]


async def in_process(size):
    async with embedded_api(clock=SystemClock()) as api:
        return await Bench(api.transport(), time.process_time, size).all()


async def over_https(kubeconfig, pids, size):
    clock = SystemClock()
    transport = HttpsTransport(await load(str(kubeconfig), None, {}, clock=clock))
    try:
        return await Bench(transport, lambda: seconds(pids), size).all()
    finally:
        await transport.close()


async def serve(folder):
    """The embedded server's process: runs until its standard input ends."""
    configure_logging("console", level=logging.WARNING, stream=sys.stderr)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    async with embedded_api(clock=SystemClock()) as api, api.https(folder) as door:
        print(door.kubeconfig, flush=True)
        await stop.wait()


def embedded(size):
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        words = ("-m", "benchmarks.apiserver", "--serve", folder)
        child = process(stack, words, stdout=subprocess.PIPE, cwd=ROOT)
        stack.enter_context(child.stdout)
        kubeconfig = child.stdout.readline().strip()
        return asyncio.run(over_https(kubeconfig, [child.pid], size))


def real(folder, size):
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = Options(controllers=False, scheduler=False, unlimited=True)
        plane = stack.enter_context(ControlPlane(folder, state, options))
        return asyncio.run(over_https(plane.kubeconfig("admin"), plane.pids(), size))


def measured(size):
    """By place; and why a place was left out, if one was."""
    found = {"in process": asyncio.run(in_process(size)), "embedded": embedded(size)}
    folder = programs.find()
    if folder is None:
        return found, "real: no control plane is built (make controlplane)"
    return {**found, "real": real(folder, size)}, ""


def report(found, missing):
    print(f"{'':14}" + "".join(f"{place:>21}" for place in found))
    for what in next(iter(found.values())):
        print(f"{what:14}" + "".join(f"{found[place][what]!s:>21}" for place in found))
    if missing:
        print(f"left out: {missing}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="requests of each verb")
    parser.add_argument("--events", type=int, default=200, help="changes that watchers see")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
    else:
        configure_logging("console", level=logging.WARNING, stream=sys.stderr)
        report(*measured(Size(count=given.count, events=given.events)))


if __name__ == "__main__":
    main()
