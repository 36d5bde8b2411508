"""The kubelets of all simulated nodes: the reconciler of pods.

What a pod does next is decided by the pure `lifecycle`; here its steps are taken: deadlines set,
status written, events told, logs kept, requests made. A pod at rest holds no timer and no task.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

from msgspec.structs import replace

from kaito.framework.consistent import ConsistentClient
from kaito.framework.events import Event, Updated
from kaito.framework.reconcile import Done, Result
from kaito.framework.recorder import Recorder
from kaito.framework.store import Store
from kaito.kube.clock import Clock
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import PODS
from kaito.kube.transport import Request, Response, Stream
from kaito.simulator import curl
from kaito.simulator.engine import Engine
from kaito.simulator.images import Registries
from kaito.simulator.network import Network
from kaito.simulator.nodes import mounts
from kaito.simulator.nodes.addresses import Addresses
from kaito.simulator.nodes.containers import Container, Ended, Phase
from kaito.simulator.nodes.directory import NODE
from kaito.simulator.nodes.lifecycle import Play, Step, advance
from kaito.simulator.nodes.logs import Logs
from kaito.simulator.nodes.machines import Machines
from kaito.simulator.nodes.moment import Crash, Surroundings
from kaito.simulator.nodes.options import NodeOptions
from kaito.simulator.nodes.report import status_of
from kaito.simulator.nodes.resuming import resume
from kaito.simulator.nodes.timing import Wheel, WorldTime
from kaito.simulator.programs import Curl, Push


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What kubelets work with."""

    client: ConsistentClient
    recorder: Recorder
    pods: Store
    secrets: Store
    config_maps: Store
    machines: Machines
    engine: Engine
    network: Network
    registries: Registries
    clock: Clock
    """The world's."""
    time: WorldTime
    options: NodeOptions


@dataclass(slots=True)
class _Entry:
    """A pod in play."""

    uid: str
    node: str
    play: Play
    sources: frozenset[mounts.Source]
    answers: dict[str, Ended] = field(default_factory=dict)
    written: str = ""
    """The version that the status has been written as last."""


_AT_REST: Final[Json] = {}
"""In place of the pod between two looks at it: the cache has it, as text."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """A container that makes an HTTP request has started."""

    key: ObjectKey
    uid: str
    container: str
    argv: tuple[str, ...]
    started: float


@final
class Kubelets:
    """Plays every pod that is bound to a simulated node."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._entries: dict[ObjectKey, _Entry] = {}
        self._images: dict[str, set[str]] = {}
        self._readers: dict[tuple[str, mounts.Source], set[ObjectKey]] = {}
        self._asks: asyncio.Queue[_Ask] = asyncio.Queue()
        self._wake: Callable[[ObjectKey], None] = lambda _key: None
        self._wheel: Wheel[ObjectKey] = Wheel(parts.clock, self.poke)
        self._addresses = Addresses(parts.options.pod_network)
        self.logs = Logs(parts.time.now)
        self.crash: Callable[[Json, str], Crash | None] = lambda _pod, _container: None
        """Faults: which container of which pod is made to fail. `poke` pods after changing it."""

    def wake_with(self, wake: Callable[[ObjectKey], None]) -> None:
        """How to ask for a pod to be reconciled."""
        self._wake = wake

    def poke(self, key: ObjectKey) -> None:
        """Something outside the API that this pod depends on has changed."""
        self._wake(key)

    def playing(self) -> list[ObjectKey]:
        """The pods in play."""
        return sorted(self._entries)

    def uid_of(self, key: ObjectKey) -> str:
        """Of a pod in play. Raises KeyError."""
        return self._entries[key].uid

    # ---- what wakes pods

    def is_news(self, event: Event) -> bool:
        """Whether a pod has changed otherwise than by the status that its kubelet wrote."""
        if not isinstance(event, Updated):
            return True
        entry = self._entries.get(event.record.key)
        return entry is None or entry.written != event.record.meta.resource_version

    def readers_of(self, record: Record) -> list[ObjectKey]:
        """The pods that refer to this Secret or ConfigMap."""
        source = mounts.Source(record.kind, record.meta.name)
        return sorted(self._readers.get((record.meta.namespace, source), ()))

    def pods_on(self, node: Record) -> list[ObjectKey]:
        """The pods bound to this Node that are not in play yet."""
        pods = self._parts.pods.by_index(NODE, node.meta.name)
        return [pod.key for pod in pods if pod.key not in self._entries]

    def lost(self, node: str) -> None:
        """The machine is gone, and its kubelet with it: its pods stay as they were written."""
        self._images.pop(node, None)
        for key in [key for key, entry in self._entries.items() if entry.node == node]:
            self._forget(key)

    # ---- reconciling

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = self._parts.pods.get(key)
        entry = self._entries.get(key)
        if pod is None or (entry is not None and entry.uid != pod.meta.uid):
            self._forget(key)
            entry = None
        if pod is None:
            return Done()
        raw = pod.json()
        entry = entry or self._begin(pod, raw)
        if entry is None:
            return Done()
        before = entry.play
        step = advance(replace(before, pod=raw), self._surroundings(entry, raw))
        entry.play = replace(step.play, pod=_AT_REST)
        now = self._parts.time.now()
        self._wheel.set(key, step.wake - now)
        self._tell(pod, entry, before, step)
        await self._write(pod, entry, step.play, now)
        return Done()

    def _begin(self, pod: Record, raw: Json) -> _Entry | None:
        """Take a pod in play; None when it is not on a living simulated node."""
        node = pod.get("spec", "nodeName") or ""
        if not self._parts.machines.alive(node):
            return None
        known = (raw.get("status") or {}).get("podIP")
        if known:
            self._addresses.claim(pod.meta.uid, known)
        play = resume(
            raw,
            address=self._addresses.of(pod.meta.uid),
            host=self._parts.machines.addresses.of(node),
            now=self._parts.time.now(),
            read=self._parts.time.read,
        )
        entry = _Entry(uid=pod.meta.uid, node=node, play=play, sources=mounts.referred(raw))
        self._entries[pod.key] = entry
        for source in entry.sources:
            self._readers.setdefault((pod.meta.namespace, source), set()).add(pod.key)
        for one in play.containers:
            if one.phase is Phase.RUNNING:
                self._started(pod, entry, one)
        return entry

    def _forget(self, key: ObjectKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._wheel.set(key, float("inf"))
        self._addresses.release(entry.uid)
        self._parts.engine.forget(entry.uid)
        self.logs.forget(entry.uid)
        for source in entry.sources:
            readers = self._readers.get((key.namespace, source))
            if readers is not None:
                readers.discard(key)
                if not readers:
                    del self._readers[key.namespace, source]

    def _surroundings(self, entry: _Entry, raw: Json) -> Surroundings:
        parts, namespace = self._parts, raw["metadata"]["namespace"]
        images = self._images.setdefault(entry.node, set())

        def find(source: mounts.Source) -> Json | None:
            store = parts.secrets if source.kind == "Secret" else parts.config_maps
            found = store.get(ObjectKey(namespace, source.name))
            return None if found is None else found.json()

        pushes = any(isinstance(one.program, Push) for one in entry.play.containers)
        return Surroundings(
            now=parts.time.now(),
            options=parts.options,
            engine=parts.engine,
            registries=parts.registries,
            cached=images.__contains__,
            misconfigured=lambda container: mounts.misconfigured(raw, container, find),
            missing=() if entry.play.mounted else mounts.missing(raw, find),
            credentials=mounts.credentials(raw, find) if pushes else frozenset(),
            answers=entry.answers,
            crash=self.crash,
        )

    # ---- telling

    def _tell(self, pod: Record, entry: _Entry, before: Play, step: Step) -> None:
        for note in step.notes:
            self._parts.recorder.event(
                pod,
                type="Normal" if note.type == "Normal" else "Warning",
                reason=note.reason,
                message=note.message,
                action=note.reason,
            )
        self._images[entry.node] |= set(step.pulled)
        for image, model in step.pushed:
            self._parts.registries.store(image, model)
        changed = [
            (old, new)
            for old, new in zip(before.containers, step.play.containers, strict=True)
            if old is not new
        ]
        for old, new in changed:
            if new.started_at != old.started_at:
                self._started(pod, entry, new)
        for container, line in step.lines:
            self.logs.line(entry.uid, container, line)
        for _, new in changed:
            if new.phase is Phase.ENDED:
                self.logs.end(entry.uid, new.name)

    def _started(self, pod: Record, entry: _Entry, one: Container) -> None:
        self.logs.begin(entry.uid, one.name)
        self._parts.engine.began(entry.uid, one.name, one.restarts, one.started_at)
        if isinstance(one.program, Curl):
            entry.answers.pop(one.name, None)
            ask = _Ask(pod.key, entry.uid, one.name, one.program.argv, one.started_at)
            self._asks.put_nowait(ask)

    async def _write(self, pod: Record, entry: _Entry, play: Play, now: float) -> None:
        before = play.pod.get("status") or {}
        status = status_of(play, now, self._parts.time.stamp)
        try:
            if status != {name: before.get(name) for name in status}:
                written = await self._parts.client.merge_patch(
                    PODS, pod.key, {"status": status}, uid=entry.uid, subresource="status"
                )
                entry.written = written.meta.resource_version
            if play.gone:
                await self._parts.client.delete(PODS, pod.key, uid=entry.uid, grace_seconds=0)
        except NotFound:
            self._forget(pod.key)

    # ---- requests made by containers

    async def run(self) -> None:
        """Make the requests of containers that make one, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    ask = await self._asks.get()
                    group.create_task(self._ask(ask), name=f"curl {ask.key}")
        finally:
            self._wheel.close()

    async def _ask(self, ask: _Ask) -> None:
        async def send(host: str, port: int, request: Request) -> Response | Stream:
            return await self._parts.network.request(
                host, port, request, namespace=ask.key.namespace
            )

        outcome = await curl.run(ask.argv, send, self._parts.clock)
        entry = self._entries.get(ask.key)
        if entry is None or entry.uid != ask.uid:
            return
        self.logs.write(ask.uid, ask.container, outcome.stdout + outcome.stderr.encode())
        finished = self._parts.time.now()
        entry.answers[ask.container] = Ended(
            code=outcome.code, started=ask.started, finished=finished
        )
        self._wake(ask.key)
