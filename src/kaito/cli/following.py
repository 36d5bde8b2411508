"""Follows Workspaces by watches, and says what is new."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import final

from kaito.api.names import Label
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.cli.durations import Elapsed
from kaito.cli.journey import Journey, Sight, Stage
from kaito.framework.cache import Cache
from kaito.framework.events import Event
from kaito.framework.store import Store
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.objects import ObjectKey, Record, Resource
from kaito.kube.resources import JOBS, NODES, PODS

_INDEX = "workspace"

Told = Callable[[Journey, list[Stage]], None]


@final
class Follower:
    """Every Workspace of the cluster, as it is now and as it came there.

    `told(journey, fresh)` is called whenever anything about a Workspace has changed.
    """

    def __init__(
        self, client: Client, *, clock: Clock, random: Random, now: Callable[[], Elapsed]
    ) -> None:
        self.told: Told = lambda _journey, _fresh: None
        self.journeys: dict[ObjectKey, Journey] = {}
        self._now = now
        self._cache = Cache(client, clock=clock, random=random)
        self._changed = asyncio.Event()
        self._workspaces = self._follow(WORKSPACES, lambda record: (record.key,))
        self._stores = {
            resource: self._follow(resource, workspaces_of)
            for resource in (NODECLAIMS, NODES, PODS, JOBS)
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Follower"]:
        """Follow while entered; complete from the beginning."""
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(self._cache.run(), name="follower")
            try:
                await self._cache.synced()
                yield self
            finally:
                run.cancel()

    def sight(self, key: ObjectKey) -> Sight | None:
        """What is in the cluster of this Workspace; None when it is not there."""
        workspace = self._workspaces.get(key)
        if workspace is None:
            return None
        found = {r: store.by_index(_INDEX, str(key)) for r, store in self._stores.items()}
        return Sight(
            workspace=workspace,
            claims=found[NODECLAIMS],
            nodes=found[NODES],
            pods=found[PODS],
            jobs=found[JOBS],
        )

    def begin(self, key: ObjectKey, *, tuning: bool) -> Journey:
        """A journey that begins now, whatever was known before: the Workspace is about to change.

        What is still there of an earlier one counts as reached when it is next looked at.
        """
        journey = self.journeys[key] = Journey(key, tuning, self._now())
        return journey

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when it holds; looked at again after every change."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def look_again(self) -> None:
        """Something that `until` asks about has changed outside the cluster."""
        self._changed.set()

    def _follow(self, resource: Resource, keys: Callable[[Record], Iterable[ObjectKey]]) -> Store:
        informer = self._cache.informer(
            resource, indexes={_INDEX: lambda record: (str(key) for key in keys(record))}
        )

        def handle(event: Event) -> None:
            for key in keys(event.record):
                self._look(key)
            self._changed.set()

        informer.subscribe(handle, name=f"follower of {resource.plural}")
        return informer.store

    def _look(self, key: ObjectKey) -> None:
        sight = self.sight(key)
        if sight is None:
            self.journeys.pop(key, None)
            return
        journey = self.journeys.get(key) or self.begin(key, tuning=sight.tuning)
        self.told(journey, journey.see(sight, self._now()))


def workspaces_of(record: Record) -> tuple[ObjectKey, ...]:
    """The Workspace that an object works for, by its labels."""
    labels = record.meta.labels
    name = labels.get(Label.WORKSPACE)
    namespace = labels.get(Label.WORKSPACE_NAMESPACE) or record.meta.namespace
    return (ObjectKey(namespace, name),) if name and namespace else ()
