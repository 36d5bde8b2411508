"""All informers of a process: declared, shared, started, stopped, and waited for."""

import asyncio
from collections.abc import Iterator, Mapping
from contextvars import Context
from random import Random
from types import MappingProxyType
from typing import final

from kaito.framework.index import IndexFunction
from kaito.framework.informer import Count, Informer, InformerOptions
from kaito.framework.reflector import Transform
from kaito.framework.scope import Scope
from kaito.framework.store import Store
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.objects import Resource

_NO_INDEXES: Mapping[str, IndexFunction] = MappingProxyType({})

SYNC_TIMEOUT = 120.0
"""Seconds; controller-runtime's CacheSyncTimeout."""


class CacheSyncTimeout(Exception):
    """Some kinds could not be read in time. `problems` says for each what the last attempt met."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        told = "; ".join(f"{kind} ({problem})" for kind, problem in problems.items())
        super().__init__(f"caches did not sync in time: {told}")


class NotCached(LookupError):
    """Nobody declared an informer for this kind, or more than one, so there is no one store."""


@final
class Cache:
    """Only what is declared is watched; a read of anything else is an error, never a surprise."""

    def __init__(
        self, client: Client, *, clock: Clock, random: Random, metrics: Count | None = None
    ) -> None:
        """`metrics(what, resource)` is called for each list, watch, failure and oddity."""
        self._client = client
        self._clock = clock
        self._random = random
        self._count = metrics
        self._informers: list[Informer] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[int, asyncio.Task[None]] = {}

    def informer(
        self,
        resource: Resource,
        *,
        namespaces: tuple[str, ...] = (),
        label_selector: str = "",
        field_selector: str = "",
        scopes: tuple[Scope, ...] = (),
        metadata_only: bool = False,
        transform: Transform | None = None,
        indexes: Mapping[str, IndexFunction] = _NO_INDEXES,
    ) -> Informer:
        """The informer for exactly this, made at the first call; further indexes are added.

        May be called before `run` and while it runs.
        """
        given: object = namespaces
        if isinstance(given, str):  # every letter would be a namespace
            raise TypeError(f"namespaces is a tuple: ({given!r},)")
        wanted = InformerOptions(
            resource=resource,
            namespaces=namespaces,
            label_selector=label_selector,
            field_selector=field_selector,
            scopes=scopes,
            metadata_only=metadata_only,
            transform=transform,
            indexes=indexes,
        )
        for informer in self.informers(resource):
            if _same(informer.options, wanted):
                for name, function in indexes.items():
                    informer.store.add_index(name, function)
                return informer
        informer = Informer(
            self._client, wanted, clock=self._clock, random=self._random, count=self._count
        )
        self._informers.append(informer)
        self._start(informer)
        return informer

    def informers(self, resource: Resource | None = None) -> Iterator[Informer]:
        """All of them, or those of one kind."""
        return (i for i in tuple(self._informers) if resource is None or i.resource == resource)

    def store(self, resource: Resource) -> Store:
        """The store of a kind that has one informer. Raises NotCached otherwise."""
        stores = [informer.store for informer in self.informers(resource)]
        if len(stores) == 1:
            return stores[0]
        kind = resource.group_resource
        if not stores:
            raise NotCached(
                f"no informer is declared for {kind}: give a controller a source of that kind "
                "(for_object, owned_by, mapped, reads)"
            )
        raise NotCached(
            f"{len(stores)} informers are declared for {kind}: ask for one by its options, "
            "`cache.informer(...).store`"
        )

    async def run(self) -> None:
        """Run every informer until cancelled."""
        forever = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for informer in self._informers:
                    self._start(informer)
                await forever.wait()
        finally:
            self._tasks = None
            self._running.clear()

    async def synced(self, timeout: float = SYNC_TIMEOUT) -> None:
        """Return when every informer declared by now is complete and all its handlers know it.

        Raises CacheSyncTimeout, which names the kinds that are not, after `timeout` seconds.
        """
        waiting = list(self._informers)
        try:
            async with asyncio.timeout(timeout):
                while waiting:
                    await waiting[0].synced()
                    del waiting[0]
        except TimeoutError:
            late = [i for i in waiting if not i.store.synced or i.backlog] or waiting
            raise CacheSyncTimeout(
                {i.resource.group_resource: i.problem or "no answer yet" for i in late}
            ) from None

    def problems(self) -> dict[str, str]:
        """By kind, why it cannot be followed at the moment. For readiness probes and people."""
        return {
            informer.resource.group_resource: informer.problem
            for informer in self._informers
            if informer.problem
        }

    async def stop(self, resource: Resource) -> None:
        """Stop watching a kind, at run time. What is known stays, ageing, and says `not synced`.

        Handlers stay subscribed, and are told what has changed meanwhile after `start`.
        """
        for informer in self.informers(resource):
            if (task := self._running.pop(id(informer), None)) is not None:
                task.cancel()
                await asyncio.wait((task,))

    def start(self, resource: Resource) -> None:
        """Watch a kind again that was stopped."""
        for informer in self.informers(resource):
            self._start(informer)

    async def forget(self, resource: Resource) -> None:
        """Stop watching a kind and drop what is known of it. Its handlers hear no more."""
        await self.stop(resource)
        self._informers = [i for i in self._informers if i.resource != resource]

    def _start(self, informer: Informer) -> None:
        if self._tasks is not None and id(informer) not in self._running:
            # A context of its own: this may be a run that declares a kind, and ends before it.
            self._running[id(informer)] = self._tasks.create_task(
                informer.run(), name=f"informer {informer.resource.plural}", context=Context()
            )


def _same(a: InformerOptions, b: InformerOptions) -> bool:
    """Whether one watch serves both; indexes may differ."""
    return (
        a.resolved() == b.resolved()
        and a.metadata_only == b.metadata_only
        and a.transform is b.transform
    )
