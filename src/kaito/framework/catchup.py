"""What each key has written and the cache has not shown yet; who has to wait for it, and how long.

Of every write the answer is laid over the store, and the key being reconciled
(`kaito.framework.reconcile.current_key`) must see the store catch up before it runs again. Two
controllers may have keys that look alike; each waits for its own writes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, final

import structlog

from kaito.framework.cache import Cache
from kaito.framework.index import Key
from kaito.framework.informer import Informer
from kaito.framework.needs import Ledger, Reached, Vanished
from kaito.framework.reconcile import current_controller, current_key
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.errors import Forbidden, KubeError, NotFound
from kaito.kube.objects import ObjectKey, Record, Resource

_log = structlog.get_logger(__name__)

_FIRST_PROBE_PAUSE: Final = 1.0
_LONGEST_PROBE_PAUSE: Final = 30.0
"""Seconds between two attempts to find out what became of a write."""
_ALARM: Final = 120.0
"""Seconds for which a key may wait for the cache before that is reported: two bookmarks."""
_SWEEP: Final = 1000
"""Ledgers beyond which those that are settled are thrown away; keys may never be asked again."""


@final
class CatchUp:
    """The ledgers of all keys. `count(what, resource)` is told of every `consistent_list`."""

    def __init__(
        self, cache: Cache, live: Client, clock: Clock, count: Callable[[str, Resource], None]
    ) -> None:
        self._cache = cache
        self._live = live
        self._clock = clock
        self._count = count
        self._ledgers: dict[tuple[str, ObjectKey], Ledger] = {}
        self._sweep_at = _SWEEP

    def behind(self, key: ObjectKey) -> Awaitable[None] | None:
        """None: the cache has all that the last run of `key` wrote. Else what to wait for.

        To be asked where `current_controller` is the one whose key this is.
        """
        whose = current_controller.get(), key
        ledger = self._ledgers.get(whose)
        if ledger is None:
            return None
        if ledger.settled:
            del self._ledgers[whose]
            return None
        return self._caught_up(key, ledger)

    async def _caught_up(self, key: ObjectKey, ledger: Ledger) -> None:
        alarm = self._clock.call_later(_ALARM, lambda: _stuck(key))
        try:
            await self._settle(ledger)
        finally:
            alarm.cancel()

    async def _settle(self, ledger: Ledger) -> None:
        while ledger.unknown:
            await self._find_out(ledger, next(iter(ledger.unknown)))
        while (need := ledger.unmet()) is not None:
            nearer = asyncio.Event()
            need.when_nearer(nearer.set)
            await nearer.wait()

    async def _find_out(self, ledger: Ledger, resource: Resource) -> None:
        """Learn by which version the outcome of an unknown write is visible."""
        informer = next(self._cache.informers(resource), None)
        if informer is None:
            ledger.unknown.pop(resource, None)
            return
        pause = _FIRST_PROBE_PAUSE
        while True:
            self._count("consistent_list", resource)
            try:
                page = await self._live.list(
                    resource, namespace=informer.options.resolved()[0].namespace, limit=1
                )
            except (Forbidden, NotFound) as error:
                _log.warning(
                    "cannot find out what became of a write",
                    kind=resource.group_kind,
                    error=str(error),
                )
                ledger.unknown.pop(resource, None)
                return
            except KubeError:
                await self._clock.sleep(pause)
                pause = min(_LONGEST_PROBE_PAUSE, 2 * pause)
            else:
                ledger.unknown.pop(resource, None)
                self._reach(ledger, resource, page.resource_version)
                return

    def _reach(self, ledger: Ledger, resource: Resource, version: str) -> None:
        for each in self._cache.informers(resource):
            for shard in each.store.shards:
                ledger.add(Reached(shard, version))

    def wrote(self, resource: Resource, key: ObjectKey, record: Record) -> None:
        """A write was answered with `record`: the cache shows it, and has to catch up with it."""
        version = record.meta.resource_version
        whole = record.kind == resource.kind
        for informer in self._cache.informers(resource):
            shard = informer.shard_of(record) if whole else None
            if shard is not None:
                informer.store.overlay(shard, informer.kept(record))
                self._need(Reached(shard, version))
            elif whole:
                self._left(informer, record)
            elif version and (base := informer.store.known(key)) is not None:
                # The answer of a subresource (`scale`) has the version, but is not the object.
                holder = informer.shard_with(key, base.meta.uid)
                if holder is not None:
                    self._need(Reached(holder, version))

    def _left(self, informer: Informer, record: Record) -> None:
        """No selector covers the object. If one did before this write, the watch tells us so."""
        meta = record.meta
        before = informer.store.known(meta.key)
        if before is None or before.meta.uid != meta.uid:
            return
        shard = informer.shard_with(meta.key, meta.uid) or informer.shard_of(before)
        if shard is not None:
            informer.store.overlay_left(shard, record)
            self._need(Reached(shard, meta.resource_version))

    def deleted(
        self, resource: Resource, key: Key, uid: str, known: Mapping[Informer, Record | None]
    ) -> None:
        """The object of that uid is gone; `known` is what each cache showed before we asked."""
        for informer in self._cache.informers(resource):
            record = known.get(informer)
            if record is not None and record.meta.uid != uid:
                record = None
            shard = informer.shard_with(key, uid)
            if shard is None and record is not None:
                shard = informer.shard_of(record)
            if shard is None:
                continue
            version = record.meta.resource_version if record else shard.version
            informer.store.overlay_gone(shard, key, uid, version)
            self._need(Vanished(shard, key, uid, version))

    def _need(self, need: Reached | Vanished) -> None:
        if not need.met and (ledger := self._ledger()) is not None:
            ledger.add(need)

    def unknown(self, resource: Resource) -> None:
        """A write to this kind may or may not have happened."""
        if next(self._cache.informers(resource), None) is None:
            return
        if (ledger := self._ledger()) is not None:
            ledger.unknown[resource] = None

    def _ledger(self) -> Ledger | None:
        key = current_key.get()
        if key is None:
            return None
        whose = current_controller.get(), key
        if whose not in self._ledgers and len(self._ledgers) >= self._sweep_at:
            self._ledgers = {k: v for k, v in self._ledgers.items() if not v.settled}
            self._sweep_at = _SWEEP + 2 * len(self._ledgers)
        return self._ledgers.setdefault(whose, Ledger())


def _stuck(key: ObjectKey) -> None:
    _log.warning("a key waits long for the cache to catch up with its writes", key=str(key))
