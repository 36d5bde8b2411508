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

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, final

from kaito.framework.cache import Cache
from kaito.framework.catchup import CatchUp
from kaito.framework.fence import Fenced
from kaito.framework.informer import Count
from kaito.framework.rewrites import Rewrites
from kaito.framework.store import Store
from kaito.framework.verified import Verified
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.errors import (
    ApiError,
    Conflict,
    Invalid,
    NotFound,
    TransportError,
)
from kaito.kube.objects import Json, ObjectKey, Record, Resource, key_of

T = TypeVar("T")


class Guard(Protocol):
    """The part of a fence that a writer needs."""

    def check(self) -> None:
        """Raises when writing is no longer allowed."""
        ...


@final
class ConsistentClient:
    """The verbs of `kaito.kube.client.Client` for writes; reads come from the cache.

    Every write asks the fence first. What is written is remembered under the key being
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
        self.clock = clock
        self.rewrites = Rewrites()
        self.verified = Verified()
        """Both for `kaito.framework.applying`."""
        self._fence = fence
        self._metrics = metrics
        self._catch_up = CatchUp(cache, client, clock, self._count)

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
        known = {informer: informer.store.known(key) for informer in self.cache.informers(resource)}
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
                self._catch_up.deleted(resource, key, uid, known)
            raise
        if record is not None and _still_there(record):
            self._catch_up.wrote(resource, key, record)
            return record
        if record is not None or uid:
            self._catch_up.deleted(resource, key, uid or (record.meta.uid if record else ""), known)
        else:
            self._catch_up.unknown(resource)
        return None

    # -- waiting ---------------------------------------------------------------------------------

    def behind(self, key: ObjectKey) -> Awaitable[None] | None:
        """None: the cache has all that the last run of `key` wrote. Else what to wait for."""
        return self._catch_up.behind(key)

    # -- inside ----------------------------------------------------------------------------------

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
        self._catch_up.wrote(resource, key, record)
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
                self._catch_up.unknown(resource)
            raise

    def _known_uid(self, resource: Resource, key: ObjectKey) -> str:
        for informer in self.cache.informers(resource):
            if (record := informer.store.known(key)) is not None:
                return record.meta.uid
        return ""

    def _count(self, what: str, resource: Resource) -> None:
        if self._metrics is not None:
            self._metrics(what, resource)


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
