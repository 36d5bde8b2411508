"""Writes that their author sees: a reconciler reads its own writes, and waits for nobody else's.

Within a run the answer to a write is laid over the cache at once. Before the next run of the same
key, the cache must have caught up with what the last one wrote; until then that key is parked,
holding no worker, and no other key waits. Reads never wait and never go to the server.

A write whose outcome is unknown (no answer, a 5xx, a cancelled call) leaves a mark. Before the next
run of that key one consistent `LIST limit=1` of the kind tells the version at which the outcome, if
it was one, is visible. That is the only live read made unasked, and it is counted. A request that
the server still carries out after that list cannot be seen by anybody; against it stand names that
are chosen once, and preconditions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar, final

import structlog

from kaito.framework.cache import Cache
from kaito.framework.fence import Fenced
from kaito.framework.index import Key
from kaito.framework.informer import Count, Informer
from kaito.framework.needs import Ledger, Reached, Vanished
from kaito.framework.reconcile import current_key
from kaito.framework.rewrites import Rewrites
from kaito.framework.store import Store
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    TransportError,
)
from kaito.kube.objects import Json, ObjectKey, Record, Resource, key_of

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_FIRST_PROBE_PAUSE: Final = 1.0
_LONGEST_PROBE_PAUSE: Final = 30.0
_ALARM: Final = 120.0
"""Seconds for which a key may wait for the cache before that is reported: two bookmarks."""
_SWEEP: Final = 1000
"""Ledgers beyond which those that are settled are thrown away; keys may never be asked again."""


class Guard(Protocol):
    """The part of a fence that a writer needs."""

    def check(self) -> None:
        """Raises when writing is no longer allowed."""
        ...


@final
class ConsistentClient:
    """The verbs of `kaito.kube.client.Client` for writes; reads come from the cache.

    Every write asks the fence first. Whoever is written to is remembered under the key being
    reconciled (`kaito.framework.reconcile.current_key`); outside of a reconcile nobody waits.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        *,
        fence: Guard,
        clock: Clock,
        metrics: Count | None = None,
    ) -> None:
        """`metrics(what, resource)` is told of `live_get` and `consistent_list`."""
        self.live = client
        self.cache = cache
        self.rewrites = Rewrites()
        """For `kaito.framework.applying`."""
        self._fence = fence
        self._clock = clock
        self._metrics = metrics
        self._ledgers: dict[ObjectKey, Ledger] = {}
        self._sweep_at = _SWEEP

    # -- reads -----------------------------------------------------------------------------------

    def store(self, resource: Resource) -> Store:
        """The cached objects of a kind, with this process's own writes. Raises NotCached."""
        return self.cache.store(resource)

    async def get_live(self, resource: Resource, key: ObjectKey) -> Record | None:
        """One object from the server, for decisions that no cache may make. Counted."""
        self._count("live_get", resource)
        try:
            return await self.live.get(resource, key)
        except NotFound:
            return None

    async def get_live_json(self, resource: Resource, key: ObjectKey) -> Json | None:
        """The same with everything, managedFields included, as the caller's own dict."""
        self._count("live_get", resource)
        try:
            return await self.live.get_json(resource, key)
        except NotFound:
            return None

    # -- writes ----------------------------------------------------------------------------------

    async def create(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str = "",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """POST. Raises AlreadyExists."""
        return await self._write(
            resource,
            key_of(obj),
            lambda: self.live.create(
                resource,
                obj,
                field_manager=field_manager,
                dry_run=dry_run,
                subresource=subresource,
            ),
            dry_run=dry_run,
        )

    async def replace(
        self, resource: Resource, obj: Json, *, field_manager: str = "", subresource: str = ""
    ) -> Record:
        """PUT of an object that carries its resourceVersion. Raises Conflict."""
        return await self._write(
            resource,
            key_of(obj),
            lambda: self.live.replace(
                resource, obj, field_manager=field_manager, subresource=subresource
            ),
        )

    async def apply(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str,
        force: bool,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """Server-side apply. Put `metadata.uid` in when the object is meant to exist already:
        then Conflict is raised if there is none, or another, of that name.
        """
        return await self._write(
            resource,
            key_of(obj),
            lambda: self.live.apply(
                resource,
                obj,
                field_manager=field_manager,
                force=force,
                dry_run=dry_run,
                subresource=subresource,
            ),
            dry_run=dry_run,
        )

    async def merge_patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: Json,
        *,
        uid: str = "",
        resource_version: str = "",
        field_manager: str = "",
        subresource: str = "",
    ) -> Record:
        """RFC 7386, never onto a namesake: the uid is a precondition, by default the cached one.

        Raises Conflict when the live object has another uid or, if given, resourceVersion.
        """
        uid = uid or self._known_uid(resource, key)
        guards = {"uid": uid, "resourceVersion": resource_version}
        metadata = {
            **{name: value for name, value in guards.items() if value},
            **(patch.get("metadata") or {}),
        }
        guarded = {**patch, "metadata": metadata} if metadata else patch
        return await self._write(
            resource,
            key,
            lambda: self.live.merge_patch(
                resource, key, guarded, field_manager=field_manager, subresource=subresource
            ),
        )

    async def json_patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: Sequence[Json],
        *,
        uid: str = "",
        resource_version: str = "",
        field_manager: str = "",
        subresource: str = "",
    ) -> Record:
        """RFC 6902, guarded as `merge_patch` is.

        Raises Invalid when the live object has another uid, Conflict for another resourceVersion.
        """
        guarded: list[Json] = []
        if uid := uid or self._known_uid(resource, key):
            guarded.append({"op": "test", "path": "/metadata/uid", "value": uid})
        if resource_version:
            # A replaced version is a precondition; a tested one would be refused as Invalid.
            path = "/metadata/resourceVersion"
            guarded.append({"op": "replace", "path": path, "value": resource_version})
        guarded.extend(patch)
        return await self._write(
            resource,
            key,
            lambda: self.live.json_patch(
                resource, key, guarded, field_manager=field_manager, subresource=subresource
            ),
        )

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> Record | None:
        """The object as it is now if it goes later, None when it is gone. Raises NotFound.

        The uid is a precondition, by default the cached one: a namesake is never deleted.
        """
        known = {informer: informer.store.get(key) for informer in self.cache.informers(resource)}
        uid = uid or self._known_uid(resource, key)
        try:
            record = await self._attempt(
                resource,
                lambda: self.live.delete(
                    resource,
                    key,
                    uid=uid,
                    resource_version=resource_version,
                    propagation=propagation,
                    grace_seconds=grace_seconds,
                ),
            )
        except NotFound:
            if uid:
                self._note_gone(resource, key, uid, known)
            raise
        if record is not None and _still_there(record):
            self._note(resource, key, record)
            return record
        if record is not None or uid:
            self._note_gone(resource, key, uid or (record.meta.uid if record else ""), known)
        else:
            self._mark(resource)
        return None

    # -- waiting ---------------------------------------------------------------------------------

    def behind(self, key: ObjectKey) -> Awaitable[None] | None:
        """None: the cache has all that the last run of `key` wrote. Else what to wait for."""
        ledger = self._ledgers.get(key)
        if ledger is None:
            return None
        if ledger.settled:
            del self._ledgers[key]
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
        informer = next(self.cache.informers(resource), None)
        if informer is None:
            ledger.unknown.pop(resource, None)
            return
        pause = _FIRST_PROBE_PAUSE
        while True:
            self._count("consistent_list", resource)
            try:
                page = await self.live.list(
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
        for each in self.cache.informers(resource):
            for shard in each.store.shards:
                ledger.add(Reached(shard, version))

    # -- bookkeeping -----------------------------------------------------------------------------

    async def _write(
        self,
        resource: Resource,
        key: ObjectKey,
        send: Callable[[], Awaitable[Record]],
        *,
        dry_run: bool = False,
    ) -> Record:
        if dry_run:
            self._fence.check()
            return await send()
        record = await self._attempt(resource, send)
        self._note(resource, key, record)
        return record

    async def _attempt(self, resource: Resource, send: Callable[[], Awaitable[T]]) -> T:
        self._fence.check()
        try:
            return await send()
        except Invalid as error:
            # To the server, another uid in what is written is an attempt to change the uid.
            if any(cause.field == "metadata.uid" for cause in error.causes):
                raise Conflict(str(error), code=409, reason="Conflict") from error
            raise
        except BaseException as error:
            if _outcome_unknown(error):
                self._mark(resource)
            raise

    def _note(self, resource: Resource, key: ObjectKey, record: Record) -> None:
        """A write was answered with `record`: the cache shows it, and has to catch up with it."""
        version = record.meta.resource_version
        whole = record.kind == resource.kind
        for informer in self.cache.informers(resource):
            shard = informer.shard_of(record) if whole else None
            if shard is not None:
                informer.store.overlay(shard, informer.kept(record))
                self._need(Reached(shard, version))
            elif whole:
                self._left(informer, record)
            elif version and (base := informer.store.get(key)) is not None:
                # The answer of a subresource (`scale`) has the version, but is not the object.
                holder = informer.shard_with(key, base.meta.uid)
                if holder is not None:
                    self._need(Reached(holder, version))

    def _left(self, informer: Informer, record: Record) -> None:
        """No selector covers the object. If one did before this write, the watch tells us so."""
        meta = record.meta
        before = informer.store.get(meta.key)
        if before is None or before.meta.uid != meta.uid:
            return
        shard = informer.shard_with(meta.key, meta.uid) or informer.shard_of(before)
        if shard is not None:
            informer.store.overlay_left(shard, record)
            self._need(Reached(shard, meta.resource_version))

    def _note_gone(
        self, resource: Resource, key: Key, uid: str, known: dict[Informer, Record | None]
    ) -> None:
        for informer in self.cache.informers(resource):
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

    def _known_uid(self, resource: Resource, key: ObjectKey) -> str:
        for informer in self.cache.informers(resource):
            if (record := informer.store.get(key)) is not None:
                return record.meta.uid
        return ""

    def _need(self, need: Reached | Vanished) -> None:
        if not need.met and (ledger := self._ledger()) is not None:
            ledger.add(need)

    def _mark(self, resource: Resource) -> None:
        if next(self.cache.informers(resource), None) is None:
            return
        if (ledger := self._ledger()) is not None:
            ledger.unknown[resource] = None

    def _ledger(self) -> Ledger | None:
        key = current_key.get()
        if key is None:
            return None
        if key not in self._ledgers and len(self._ledgers) >= self._sweep_at:
            self._ledgers = {k: v for k, v in self._ledgers.items() if not v.settled}
            self._sweep_at = _SWEEP + 2 * len(self._ledgers)
        return self._ledgers.setdefault(key, Ledger())

    def _count(self, what: str, resource: Resource) -> None:
        if self._metrics is not None:
            self._metrics(what, resource)


def _stuck(key: ObjectKey) -> None:
    _log.warning("a key waits long for the cache to catch up with its writes", key=str(key))


def _outcome_unknown(error: BaseException) -> bool:
    """Whether the server may have done what it was asked in spite of this."""
    match error:
        case Fenced():
            return False
        case ApiError():
            return error.code >= 500
        case TransportError():
            return error.sent
        case _:
            return True


def _still_there(record: Record) -> bool:
    """Whether a deleted object that the server answered with exists on.

    Some kinds are answered with their last state though they are gone; those have neither
    finalizers nor grace left.
    """
    meta = record.meta
    return meta.deleting and bool(meta.finalizers or meta.deletion_grace_period_seconds)
