"""What `kaito up` does between its first line and its last."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, final

import click

from kaito.api.names import ConditionType
from kaito.api.resources import GROUP
from kaito.app.embedded import Embedded, embedded
from kaito.app.front import Front
from kaito.app.operator import serve
from kaito.cli import kubeconfig
from kaito.cli.applying import Applier, in_order
from kaito.cli.asked import Asked
from kaito.cli.durations import Stopwatch
from kaito.cli.failure import OK, REFUSED, TIMEOUT
from kaito.cli.following import Follower
from kaito.cli.journey import Journey, Sight, Stage, is_ready, stalled
from kaito.cli.progress import line
from kaito.framework.conditions import Condition
from kaito.kube.objects import ObjectKey
from kaito.simulator.loopback import LoopbackDoor

SIMULATED: Final = "no GPU, no cloud and no model is used: everything behind the API is simulated"


def access(cluster: Embedded) -> kubeconfig.Access:
    """An administrator's way into the cluster."""
    return kubeconfig.Access(
        server=cluster.door.url,
        ca_pem=cluster.door.ca_pem,
        certificate_pem=cluster.admin.certificate,
        key_pem=cluster.admin.key,
    )


@final
class Up:
    """One run."""

    def __init__(self, asked: Asked, reached: list[bool]) -> None:
        """`reached` gets an entry when what was asked for has been reached."""
        self._asked = asked
        self._reached = reached
        self._doors: dict[ObjectKey, LoopbackDoor] = {}

    async def main(self, front: Front) -> int:
        """Until it is over; the exit code. Cancelled by Ctrl-C."""
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(embedded(front))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaito-")))
            self._tell_access(cluster, folder, stack)
            async with self._operating(cluster, folder), self._following(cluster) as follower:
                return await self._work(cluster, follower)

    def _tell_access(self, cluster: Embedded, folder: Path, stack: AsyncExitStack) -> None:
        path, text = (
            self._asked.kubeconfig or folder / "kubeconfig",
            kubeconfig.text(access(cluster)),
        )
        kubeconfig.write(path, text)
        stack.callback(kubeconfig.remove, path, text)
        speed = f"{self._asked.world_speed:g}"
        _say(f"# embedded cluster at {cluster.door.url}; {SIMULATED}, {speed} times as fast")
        _say(f"export KUBECONFIG={path.absolute()}")

    @asynccontextmanager
    async def _operating(self, cluster: Embedded, folder: Path) -> AsyncIterator[None]:
        """The operator, in this process, through the doors as any other."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            settings, credentials = cluster.settings(folder), cluster.credentials()
            tasks.create_task(serve(settings, credentials, stop), name="operator")
            try:
                yield
            finally:
                stop.set()

    @asynccontextmanager
    async def _following(self, cluster: Embedded) -> AsyncIterator[Follower]:
        watch = Stopwatch(cluster.world, cluster.clock)
        follower = Follower(
            cluster.client(), clock=cluster.clock, random=cluster.random, now=watch.now
        )
        troubles: dict[ObjectKey, str] = {}

        def told(journey: Journey, fresh: list[Stage]) -> None:
            for stage in fresh:
                _say(f"# {journey.key.name}: {line(journey, stage)}")
            reason = journey.trouble.partition(":")[0]
            if troubles.get(journey.key, "") != reason:
                troubles[journey.key] = reason
                if journey.trouble:
                    _say(f"# {journey.key.name}: {journey.trouble}")

        follower.told = told
        async with follower.running(), asyncio.TaskGroup() as tasks:
            doors = tasks.create_task(self._keep_doors(cluster, follower), name="doors")
            try:
                yield follower
            finally:
                doors.cancel()

    async def _keep_doors(self, cluster: Embedded, follower: Follower) -> None:
        """A door on this machine for each Workspace that is, or has been, Ready."""
        network = cluster.cluster.nodes.network

        def wanted() -> set[ObjectKey]:
            return {key for key, journey in follower.journeys.items() if journey.done}

        try:
            while True:
                await follower.until(lambda: wanted() != self._doors.keys())
                for key in sorted(wanted() - self._doors.keys()):
                    door = LoopbackDoor(network, key)
                    await door.__aenter__()
                    self._doors[key] = door
                    follower.look_again()
                    _say(f"export OPENAI_BASE_URL={door.url}/v1   # {key}, Ready")
                for key in self._doors.keys() - wanted():
                    await self._doors.pop(key).__aexit__()
        finally:
            for door in self._doors.values():
                await door.__aexit__()

    async def _work(self, cluster: Embedded, follower: Follower) -> int:
        applied = await self._apply(cluster)
        if not self._asked.until_ready:
            self._reached.append(True)
            _say("# running; Ctrl-C stops it and leaves nothing behind")
            await asyncio.Event().wait()
        return await self._until_ready(follower, applied)

    async def _apply(self, cluster: Embedded) -> list[ObjectKey]:
        """Apply every file; the Workspaces among them."""
        client = cluster.client(on_warning=lambda text: _tell(f"Warning: {text}"))
        applier = Applier(client, namespace=self._asked.namespace)
        workspaces = []
        for document in in_order(self._asked.documents):
            resource, record, outcome = await applier.apply(document)
            kind = f"{resource.kind.lower()}{'.' + resource.group if resource.group else ''}"
            _say(f"# {kind}/{record.meta.name} {outcome}")
            if resource.group == GROUP and document.kind == "Workspace":
                workspaces.append(record.key)
        return workspaces

    async def _until_ready(self, follower: Follower, applied: list[ObjectKey]) -> int:
        def ready(key: ObjectKey) -> bool:
            sight = follower.sight(key)
            return sight is not None and is_ready(sight) and key in self._doors

        def stuck(key: ObjectKey) -> bool:
            sight = follower.sight(key)
            return sight is not None and stalled(sight) is not None

        try:
            async with asyncio.timeout(self._asked.timeout):
                await follower.until(lambda: all(map(ready, applied)) or any(map(stuck, applied)))
        except TimeoutError:
            code = TIMEOUT
        else:
            code = OK if all(map(ready, applied)) else REFUSED
        for key in applied:
            if not ready(key):
                _tell(f"kaito: {_why_not(key, follower.sight(key))}")
        return code


def _why_not(key: ObjectKey, sight: Sight | None) -> str:
    """Condition, reason and message of a Workspace that is not Ready."""
    if sight is None:
        return f"workspace {key}: it is gone"
    for found in _telling(sight):
        return f"workspace {key}: {found.type}={found.status}, {found.reason}: {found.message}"
    return f"workspace {key}: Ready is not known yet"


def _telling(sight: Sight) -> Iterator[Condition]:
    stuck, ready = stalled(sight), sight.condition(ConditionType.READY)
    yield from (found for found in (stuck, ready) if found is not None)


def _say(text: str) -> None:
    """On stdout, at once: scripts wait for these lines. When nobody reads them any more, it is as
    if Ctrl-C had been pressed."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGINT)


def _tell(text: str) -> None:
    click.echo(text, err=True)
