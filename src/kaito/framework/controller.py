"""A controller: sources fill a queue with keys, and a reconciler is called for each.

No key is reconciled before every source has delivered what was there at the start, and none by two
runs at once. Each run has a context of its own, and a task while it waits for something (see
`workers`); at most `concurrency` of them exist. The fate of a key follows from how its run ended
(see `reconcile`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import final

import structlog

from kaito.framework.attempt import Attempt
from kaito.framework.cache import CacheSyncTimeout
from kaito.framework.fairness import Item
from kaito.framework.metrics import ControllerMetrics, Metrics
from kaito.framework.ratelimit import DEFAULT_LIMITS, RateLimitOptions
from kaito.framework.reading import Readable, awaited_stores
from kaito.framework.reconcile import (
    Consistency,
    ReconcileFunction,
    Reconciler,
    current_controller,
    current_kind,
    reconciler_of,
)
from kaito.framework.sources import Feed, Informers, Source
from kaito.framework.workers import Workers
from kaito.framework.workqueue import WorkQueue
from kaito.kube.clock import Clock
from kaito.kube.objects import ObjectKey, Resource

log = structlog.get_logger(__name__)


def _namespace(key: ObjectKey) -> Hashable:
    return key.namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerOptions:
    concurrency: int = 100
    """Runs at the same time. They share one thread, so this bounds waiting, not computing."""
    reconcile_timeout: float | None = None
    """Seconds after which a run is cancelled and tried again later; None: never."""
    sync_timeout: float = 120.0
    """Seconds that the sources may take to deliver what is there; controller-runtime's."""
    tenant: Callable[[ObjectKey], Hashable] = _namespace
    """The tenant that a key belongs to; tenants take turns."""
    limits: RateLimitOptions = DEFAULT_LIMITS
    leader: bool = True
    """Whether only the leader runs this."""


DEFAULTS = ControllerOptions()


def _checked(name: str, sources: object) -> tuple[Source, ...]:
    given = tuple(sources) if isinstance(sources, Iterable) else (None,)
    if all(hasattr(source, "declare") for source in given):
        return given
    raise TypeError(f"controller {name} needs a list of sources, like [for_object(PODS)]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a controller gets from its manager."""

    informers: Informers
    clock: Clock
    random: Random
    metrics: Metrics
    consistency: Consistency | None = None


@final
class Controller:
    """See the module. Made by whoever writes the operator, bound and run by a manager, once."""

    def __init__(
        self,
        name: str,
        reconciler: Reconciler | ReconcileFunction,
        sources: Sequence[Source],
        options: ControllerOptions = DEFAULTS,
    ) -> None:
        self.name = name
        self.options = options
        self._reconciler = reconciler_of(reconciler)
        self._sources = _checked(name, sources)
        self._environment: Environment | None = None
        self._queue: WorkQueue[ObjectKey] | None = None
        self._metrics: ControllerMetrics | None = None
        self._parked: set[asyncio.Task[None]] = set()
        self._gate: asyncio.Task[None] | None = None
        self._feeds: list[Feed] = []
        self._stores: set[Readable] = set()

    @property
    def kind(self) -> str:
        """The kind that the first source watches: what log lines call the objects."""
        resources = (source.resource for source in self._sources)
        return next((resource.kind for resource in resources if resource is not None), "")

    @property
    def queue(self) -> WorkQueue[ObjectKey]:
        """Raises RuntimeError before the controller is added to a manager."""
        if self._queue is None:
            raise RuntimeError(f"controller {self.name} was not added to a manager")
        return self._queue

    def enqueue(self, key: ObjectKey, *, after: float = 0.0, priority: int = 0) -> None:
        """Queue a key for a reason that no source can see."""
        self.queue.add_after(key, after, priority=priority)

    def bind(self, environment: Environment) -> None:
        """Called by the manager: declares what has to be cached, and shows metrics at zero."""
        if self._environment is not None:
            raise RuntimeError(f"controller {self.name} was added twice")
        self._environment = environment
        self._queue = WorkQueue(
            self.name,
            clock=environment.clock,
            tenant=self.options.tenant,
            limits=self.options.limits,
        )
        environment.metrics.queue(self._queue)
        self._metrics = environment.metrics.controller(self.name, self.options.concurrency)
        for source in self._sources:
            source.declare(environment.informers)

    async def run(self) -> None:
        """Reconcile until `stop`, then finish the runs in progress.

        Raises CacheSyncTimeout, and Fenced when a run met the shut fence. Cancelling it cancels
        the runs.
        """
        environment, metrics = self._environment, self._metrics
        if environment is None or metrics is None:
            raise RuntimeError(f"controller {self.name} was not added to a manager")
        current_controller.set(self.name)
        current_kind.set(self.kind)
        feeds = [feed for source in self._sources if (feed := self._start(environment, source))]
        self._stores.update(feed.informer.store for feed in feeds)
        attempt = Attempt(
            reconciler=self._reconciler,
            queue=self.queue,
            clock=environment.clock,
            random=environment.random,
            metrics=metrics,
            timeout=self.options.reconcile_timeout,
            context=self._context_of_runs(),
        )
        try:
            async with asyncio.TaskGroup() as group:
                if await self._synced(group, feeds):
                    log.info("workers started", controller=self.name, kind=self.kind)
                    park = partial(self._parks, group, environment.consistency)
                    limit = self.options.concurrency
                    await Workers(self.name, attempt, park, group, limit).run()
        finally:
            self.queue.shut_down()
            for feed in tuple(self._feeds):
                self._end(feed)

    async def watch(self, source: Source) -> None:
        """One more source, while this runs; returns when it has delivered what there is.

        From then on, runs may read that kind. For kinds that come and go; those that are known
        beforehand belong in the constructor, because no run starts before they are complete.
        Cancelling it ends the source. Raises RuntimeError when the controller is not, or no
        longer, at work.
        """
        if self._environment is None:
            raise RuntimeError(f"controller {self.name} was not added to a manager")
        if self.queue.closed:
            raise RuntimeError(f"controller {self.name} has stopped")
        source.declare(self._environment.informers)
        # What the source does with the objects is no part of the run that may have called this.
        feed = Context().run(self._start, self._environment, source)
        if feed is None:
            return
        try:
            await feed.subscription.wait()
        except asyncio.CancelledError:
            self._end(feed)
            raise
        self._stores.add(feed.informer.store)

    def unwatch(self, resource: Resource) -> None:
        """End the sources of a kind, as a rule before `Cache.forget`. Keys that are queued stay
        queued."""
        for feed in [feed for feed in self._feeds if feed.resource == resource]:
            self._end(feed)

    def stop(self) -> None:
        """Start nothing new. `run` returns when the runs in progress have ended."""
        self.queue.shut_down()
        if self._gate is not None:
            self._gate.cancel()
        for task in tuple(self._parked):
            task.cancel()

    # ---- starting

    def _start(self, environment: Environment, source: Source) -> Feed | None:
        feed = source.start(environment.informers, self._enqueue)
        if feed is not None:
            self._feeds.append(feed)
        return feed

    def _enqueue(self, key: ObjectKey, priority: int) -> None:
        self.queue.add(key, priority=priority)

    def _end(self, feed: Feed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)
            feed.stop()

    async def _synced(self, group: asyncio.TaskGroup, feeds: Sequence[Feed]) -> bool:
        """False when stopped, or when waiting failed (the group then raises why)."""
        waiting = self._wait_synced(feeds)
        self._gate = group.create_task(waiting, name=f"{self.name}: wait for sync")
        if self.queue.closed:
            self._gate.cancel()
        await asyncio.wait([self._gate])
        return not self._gate.cancelled() and self._gate.exception() is None

    async def _wait_synced(self, feeds: Sequence[Feed]) -> None:
        try:
            async with asyncio.timeout(self.options.sync_timeout):
                for feed in feeds:
                    await feed.subscription.wait()
        except TimeoutError:
            late = [feed for feed in feeds if not feed.subscription.synced]
            problems = {feed.resource.group_resource: feed.informer.problem for feed in late}
            raise CacheSyncTimeout(
                {kind: problem or "no answer yet" for kind, problem in sorted(problems.items())}
            ) from None

    # ---- running

    def _context_of_runs(self) -> Context:
        """Whose runs they are, and what they may read; a run adds its key and id."""
        context = copy_context()
        context.run(awaited_stores.set, self._stores)
        return context

    def _parks(
        self, group: asyncio.TaskGroup, consistency: Consistency | None, item: Item[ObjectKey]
    ) -> bool:
        """Whether the cache is behind what the last run wrote: then the key waits, no worker."""
        behind = consistency.behind(item.key) if consistency else None
        if behind is None:
            return False
        self.queue.park(item.key)
        task = group.create_task(
            self._unpark(item, behind), name=f"{self.name} {item.key}: wait for the cache"
        )
        self._parked.add(task)
        task.add_done_callback(self._parked.discard)
        if isinstance(behind, Coroutine):
            # A task that is cancelled before its first step has never awaited it.
            task.add_done_callback(lambda _: behind.close())
        return True

    async def _unpark(self, item: Item[ObjectKey], behind: Awaitable[None]) -> None:
        try:
            await behind
            self.queue.add(item.key, priority=item.priority)
        except Exception as error:  # noqa: BLE001 - whatever it is, the key must not be lost
            log.warning("cannot tell whether the cache is current", key=item.key, error=str(error))
            self.queue.add_rate_limited(item.key, priority=item.priority)
        finally:
            self.queue.unpark(item.key)
