"""One kind, watched once, for everybody: the store, its reflectors, and the handlers.

However many controllers look at a kind with the same selectors, one informer serves them all.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import final

from kaito.framework.events import Added, Event, Updated
from kaito.framework.index import IndexFunction, Key
from kaito.framework.reading import allow_incomplete
from kaito.framework.reflector import Reflector, ReflectorOptions, Transform
from kaito.framework.resync import Resync
from kaito.framework.scope import Scope
from kaito.framework.shard import Shard
from kaito.framework.store import Store
from kaito.framework.subscription import Handler, Subscription
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.objects import Record, Resource

Count = Callable[[str, Resource], None]
"""`count(what, resource)`: told of lists, watches, failures and oddities as they happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InformerOptions:
    """What to watch of a kind, and what to keep of it."""

    resource: Resource
    namespaces: tuple[str, ...] = ()
    """Only these, each with a watch of its own; empty for all with one watch."""
    label_selector: str = ""
    field_selector: str = ""
    scopes: tuple[Scope, ...] = ()
    """Instead of the three above: any number of watches whose selectors do not overlap."""
    metadata_only: bool = False
    transform: Transform | None = None
    indexes: Mapping[str, IndexFunction] = field(default_factory=dict)

    def resolved(self) -> tuple[Scope, ...]:
        """One scope per watch."""
        return self.scopes or tuple(
            Scope(
                namespace=namespace,
                label_selector=self.label_selector,
                field_selector=self.field_selector,
            )
            for namespace in self.namespaces or ("",)
        )


@final
class Informer:
    """Made by `Cache.informer`. `counts` has everything that was ever counted for this kind."""

    def __init__(
        self,
        client: Client,
        options: InformerOptions,
        *,
        clock: Clock,
        random: Random,
        count: Count | None = None,
    ) -> None:
        self.options = options
        self.resource = options.resource
        self.counts: Counter[str] = Counter()
        self._report = count
        self._clock = clock
        self._born = clock.monotonic()
        self._scopes = options.resolved()
        self.store = Store(options.resource, options.indexes, len(self._scopes))
        self.store.observe(self._dispatch)
        self._subscriptions: list[Subscription] = []
        self._random = random
        self._resyncs: dict[Subscription, Resync] = {}
        self._running = False
        self._told_synced = False
        self._synced = asyncio.Event()
        self._reflectors = tuple(
            Reflector(
                client,
                options.resource,
                scope,
                shard,
                clock=clock,
                random=random,
                count=self._count,
                options=ReflectorOptions(
                    metadata_only=options.metadata_only, transform=options.transform
                ),
            )
            for scope, shard in zip(self._scopes, self.store.shards, strict=True)
        )

    def subscribe(self, handler: Handler, name: str = "", *, resync: float = 0.0) -> Subscription:
        """Call `handler` for every object and then for every change, in order.

        Objects that are there already come as `Added` with `initial` set. The handler runs on the
        loop and must be quick; when it raises, that is logged and counted, and everything else goes
        on.

        With `resync`, every so many seconds, give or take a tenth, it is also called for every
        object that is there: with `Updated`, with the same record as old and new.
        """
        subscription = Subscription(handler, name or self.resource.group_kind, self._count)
        present = [Added(record, initial=True) for record in self._held()]
        subscription.offer(present)
        if self._told_synced:
            subscription.initial_done()
        self._subscriptions.append(subscription)
        if resync > 0:
            self._resyncs[subscription] = Resync(
                self._clock, self._random, resync, lambda: self._repeat(subscription)
            )
            if self._running:
                self._resyncs[subscription].start()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """The handler is not called again; events that still wait for it are dropped."""
        subscription.close()
        self._subscriptions.remove(subscription)
        if (resync := self._resyncs.pop(subscription, None)) is not None:
            resync.stop()

    async def run(self) -> None:
        """List and watch until cancelled. May be run again: what is held meanwhile grows old, and
        the next list tells what has changed, deletions included."""
        for shard in self.store.shards:
            shard.begin()
        self._running = True
        for resync in self._resyncs.values():
            resync.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                for reflector in self._reflectors:
                    tasks.create_task(reflector.run(), name=f"reflector {self.resource.plural}")
        finally:
            self._running = False
            for resync in self._resyncs.values():
                resync.stop()
            for shard in self.store.shards:
                shard.end()
            self._told_synced = False
            self._synced.clear()

    async def synced(self) -> None:
        """Return when the store is complete and every handler has been told of all of it.

        Within a run, the store may be read from then on.
        """
        await self._synced.wait()
        allow_incomplete(self.store)
        for subscription in tuple(self._subscriptions):
            await subscription.wait()

    @property
    def problem(self) -> str:
        """Why this kind cannot be followed at the moment; empty while all is well."""
        problems = (reflector.problem for reflector in self._reflectors)
        return "; ".join(dict.fromkeys(problem for problem in problems if problem))

    @property
    def staleness(self) -> float:
        """Seconds since the server last said anything of this kind: an event, a bookmark, a list.

        While all is well it says something every minute. Of several watches, the one longest ago.
        """
        heard = (reflector.heard or self._born for reflector in self._reflectors)
        return self._clock.monotonic() - min(heard)

    @property
    def backlog(self) -> int:
        """Events that wait to be handed to handlers."""
        return sum(map(len, self._subscriptions))

    def shard_of(self, record: Record) -> Shard | None:
        """Which part of the store holds this object; None where no selector covers it."""
        for scope, shard in zip(self._scopes, self.store.shards, strict=True):
            if scope.covers(record):
                return shard
        return None

    def shard_with(self, key: Key, uid: str) -> Shard | None:
        """Which part of the store holds that very object now, if any."""
        return next((shard for shard in self.store.shards if shard.has(key, uid)), None)

    def kept(self, record: Record) -> Record:
        """The record as the store would hold it."""
        if self.options.metadata_only:
            record = Record(
                api_version=record.api_version, kind=record.kind, meta=record.meta, fields={}
            )
        return record if self.options.transform is None else self.options.transform(record)

    def _held(self) -> Sequence[Record]:
        return [record for shard in self.store.shards for record in shard.records.values()]

    def _repeat(self, subscription: Subscription) -> None:
        if self.store.synced:
            subscription.offer([Updated(record, record) for record in self._held()])

    def _dispatch(self, events: Sequence[Event]) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.offer(events)
        if not self._told_synced and self.store.synced:
            self._told_synced = True
            for subscription in self._subscriptions:
                subscription.initial_done()
            self._synced.set()

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        if self._report is not None:
            self._report(what, self.resource)
