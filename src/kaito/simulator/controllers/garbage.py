"""Garbage collection by owner references, over every kind there is.

    owner gone                       dependents without another living owner are deleted
    owner waits, foregroundDeletion  dependents are deleted first; those that block hold it
    owner waits, orphan              dependents lose the reference and stay

A key is an owner's UID. Nothing is deleted on the cache's word alone: an owner counts as gone only
when a live read does not find it under its UID. An owner in another namespace than its dependent is
none: an event says so, and the dependent goes; unless it is in no namespace at all, where its owner
cannot be looked for.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol, final

from kaito.framework.cache import Cache
from kaito.framework.controller import Controller
from kaito.framework.events import Deleted, Event, Updated
from kaito.framework.index import Key
from kaito.framework.informer import Informer
from kaito.framework.reading import allow_incomplete
from kaito.framework.reconcile import Done, Result
from kaito.framework.scope import Scope
from kaito.framework.sources import mapped
from kaito.framework.store import Store
from kaito.kube.client import Client
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, ObjectKey, OwnerReference, Record, Resource
from kaito.kube.resources import CRDS, EVENTS

NAME: Final = "garbage-collector"
FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"

_SKIPPED: Final = frozenset({EVENTS.kind})


def _own_key(uid: str) -> ObjectKey:
    return ObjectKey("", uid)


@final
@dataclass(frozen=True, slots=True)
class _Watched:
    """One kind of the graph; `number` in the order in which they came."""

    number: int
    resource: Resource
    store: Store


class Events(Protocol):
    """The part of a recorder that is used here."""

    def event(
        self,
        regarding: Record | Json,
        *,
        type: Literal["Warning"],  # noqa: A002 - the field's name
        reason: str,
        message: str,
        action: str,
    ) -> None: ...


@final
class Graph:
    """All objects by UID and by owner: one index over the stores of every kind."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._kinds: dict[tuple[str, str], _Watched] = {}
        self._places: dict[str, tuple[_Watched, Key]] = {}
        self._owned: dict[str, dict[str, tuple[_Watched, Key]]] = {}
        """By the owner's UID: its dependents, by theirs."""

    def add(self, resource: Resource) -> Informer | None:
        """Watch one more kind; None when it is watched already, or not worth it."""
        at = (resource.group, resource.kind)
        if at in self._kinds or resource.kind in _SKIPPED:
            return None
        informer = self._cache.informer(resource, metadata_only=self.watches_metadata(resource))
        kind = self._kinds[at] = _Watched(len(self._kinds), resource, informer.store)
        for record in informer.store.list():
            self._enter(kind, record)
        informer.store.observe(partial(self._changed, kind))
        return informer

    def watches_metadata(self, resource: Resource) -> bool:
        """Metadata is enough; but what the process watches whole is not watched once more."""
        every = (Scope(),)
        whole = (
            informer.options
            for informer in self._cache.informers(resource)
            if not informer.options.metadata_only and informer.options.transform is None
        )
        return not any(options.resolved() == every for options in whole)

    def resource_of(self, owner: OwnerReference) -> Resource | None:
        """The kind that a reference names; its version does not matter."""
        group = owner.api_version.rpartition("/")[0]
        found = self._kinds.get((group, owner.kind))
        return None if found is None else found.resource

    def find(self, uid: str) -> tuple[Resource, Record] | None:
        place = self._places.get(uid)
        return None if place is None else _at(place, uid)

    def dependents(self, uid: str) -> list[tuple[Resource, Record]]:
        """By kind, and within a kind in the order in which they came."""
        places = sorted(self._owned.get(uid, {}).items(), key=lambda item: item[1][0].number)
        return [found for own, place in places if (found := _at(place, own)) is not None]

    def matters(self, uid: str, record: Record) -> bool:
        """Whether this owner, or owner of `record`, may have something to collect: it is gone, or
        going, or where `record` cannot be owned from."""
        found = self.find(uid)
        return found is None or found[1].meta.deleting or _elsewhere(*found, record)

    def _changed(self, kind: _Watched, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Updated):
                if _same_place(event.old, event.new):
                    continue
                self._leave(event.old)
            if isinstance(event, Deleted):
                self._leave(event.record)
            else:
                self._enter(kind, event.record)

    def _enter(self, kind: _Watched, record: Record) -> None:
        uid, place = record.meta.uid, (kind, record.key)
        self._places[uid] = place
        for owner in record.meta.owners:
            self._owned.setdefault(owner.uid, {})[uid] = place

    def _leave(self, record: Record) -> None:
        uid = record.meta.uid
        self._places.pop(uid, None)
        for owner in record.meta.owners:
            owned = self._owned.get(owner.uid)
            if owned is not None:
                owned.pop(uid, None)
                if not owned:
                    del self._owned[owner.uid]


def _same_place(old: Record, new: Record) -> bool:
    return old.meta.uid == new.meta.uid and old.meta.owners == new.meta.owners


def _at(place: tuple[_Watched, Key], uid: str) -> tuple[Resource, Record] | None:
    """The object there, if it is still that one.

    Of a kind that came later a run may see too little: an object that it misses brings a run of its
    own, and an owner that it misses is looked for on the server.
    """
    kind, key = place
    allow_incomplete(kind.store)
    record = kind.store.get(key)
    return None if record is None or record.meta.uid != uid else (kind.resource, record)


def _touched(graph: Graph, record: Record) -> list[ObjectKey]:
    """The owners to look at when this object changed: itself, and its own."""
    uids = (record.meta.uid, *(owner.uid for owner in record.meta.owners))
    return [_own_key(uid) for uid in uids if graph.matters(uid, record)]


def garbage_controller(
    cache: Cache, client: Client, recorder: Events, kinds: Iterable[Resource]
) -> Controller:
    """Collects over `kinds`, and over the custom kinds that come to be served.

    To be made after the controllers beside it: it shares the informers that they have declared.
    """
    graph = Graph(cache)
    initial = [resource for resource in kinds if graph.add(resource) is not None]
    reconciler = Collector(graph, client, recorder)

    def definition(record: Record) -> Iterable[ObjectKey]:
        reconciler.watch(record)
        return ()

    touched = partial(_touched, graph)
    sources = [
        *(
            mapped(resource, touched, metadata_only=graph.watches_metadata(resource))
            for resource in initial
        ),
        mapped(CRDS, definition),
    ]
    controller = Controller(NAME, reconciler, sources)
    reconciler.enqueue_with(controller)
    return controller


def _elsewhere(resource: Resource, owner: Record, record: Record) -> bool:
    return resource.namespaced and owner.meta.namespace != record.meta.namespace


@final
class Collector:
    """Decides what becomes of the dependents of one owner."""

    def __init__(self, graph: Graph, client: Client, recorder: Events) -> None:
        self._graph = graph
        self._client = client
        self._recorder = recorder
        self._told: set[tuple[str, str]] = set()
        self._controller: Controller | None = None

    def enqueue_with(self, controller: Controller) -> None:
        """Where keys of kinds go that are watched later."""
        self._controller = controller

    def watch(self, definition: Record) -> None:
        """A CustomResourceDefinition appeared: its objects may own and be owned."""
        spec = definition.get("spec") or {}
        versions = [v["name"] for v in spec.get("versions", ()) if v.get("served")]
        if not versions:
            return
        resource = Resource(
            spec["group"],
            versions[0],
            spec["names"]["plural"],
            spec["names"]["kind"],
            namespaced=spec["scope"] == "Namespaced",
        )
        informer = self._graph.add(resource)
        if informer is not None:
            informer.subscribe(self._changed, NAME)

    def _changed(self, event: Event) -> None:
        if self._controller is None:
            return
        for key in _touched(self._graph, event.record):
            self._controller.enqueue(key)

    async def reconcile(self, key: ObjectKey) -> Result:
        uid = key.name
        dependents = self._graph.dependents(uid)
        found = self._graph.find(uid)
        if found is None:
            for resource, record in dependents:
                await self._collect(resource, record)
            return Done()
        resource, owner = found
        strange = [one for one in dependents if _elsewhere(resource, owner, one[1])]
        for kind, record in strange:
            await self._disown(kind, record, resource, owner)
        dependents = [one for one in dependents if one not in strange]
        if owner.meta.deleting and ORPHAN in owner.meta.finalizers:
            for kind, record in dependents:
                await self._drop_references(kind, record, {uid})
            await self._release(resource, owner, ORPHAN)
        elif owner.meta.deleting and FOREGROUND in owner.meta.finalizers:
            await self._foreground(resource, owner, dependents)
        return Done()

    async def _disown(
        self, kind: Resource, record: Record, resource: Resource, owner: Record
    ) -> None:
        """Its owner is in another namespace."""
        namespace, name, uid = record.meta.namespace, owner.meta.name, owner.meta.uid
        if (record.meta.uid, uid) not in self._told:
            self._told.add((record.meta.uid, uid))
            meta = {"name": record.meta.name, "namespace": namespace, "uid": record.meta.uid}
            self._recorder.event(
                {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta},
                type="Warning",
                reason="OwnerRefInvalidNamespace",
                message=(
                    f"ownerRef [{resource.api_version}/{resource.kind}, namespace: {namespace}, "
                    f'name: {name}, uid: {uid}] does not exist in namespace "{namespace}"'
                ),
                action="Collect",
            )
        if namespace:
            await self._collect(kind, record)

    async def _foreground(
        self, resource: Resource, owner: Record, dependents: list[tuple[Resource, Record]]
    ) -> None:
        blocking = False
        for kind, record in dependents:
            reference = next(o for o in record.meta.owners if o.uid == owner.meta.uid)
            blocking = blocking or reference.block_owner_deletion
            if not record.meta.deleting:
                await self._delete(kind, record, "Foreground")
        if not blocking:
            await self._release(resource, owner, FOREGROUND)

    async def _collect(self, resource: Resource, record: Record) -> None:
        """One owner of `record` seems to be gone: delete it if nobody else owns it."""
        absent = {owner.uid for owner in record.meta.owners if await self._absent(record, owner)}
        if not absent:
            return
        if len(absent) < len({owner.uid for owner in record.meta.owners}):
            await self._drop_references(resource, record, absent)
        elif not record.meta.deleting:
            await self._delete(resource, record, "Background")

    async def _absent(self, record: Record, owner: OwnerReference) -> bool:
        resource = self._graph.resource_of(owner)
        if resource is None:
            return False  # a kind that nobody serves now may come back
        if resource.namespaced and not record.meta.namespace:
            return False  # a namespaced owner of a cluster-scoped object is never resolved
        namespace = record.meta.namespace if resource.namespaced else ""
        try:
            live = await self._client.get(resource, ObjectKey(namespace, owner.name))
        except NotFound:
            return True
        return live.meta.uid != owner.uid

    async def _delete(self, resource: Resource, record: Record, propagation: str) -> None:
        with suppress(NotFound):
            await self._client.delete(
                resource, record.key, uid=record.meta.uid, propagation=propagation
            )

    async def _drop_references(self, resource: Resource, record: Record, absent: set[str]) -> None:
        metadata = record.json()["metadata"]
        kept = [o for o in metadata["ownerReferences"] if o["uid"] not in absent]
        await self._patch(resource, record, {"ownerReferences": kept or None})

    async def _release(self, resource: Resource, owner: Record, finalizer: str) -> None:
        kept = [name for name in owner.meta.finalizers if name != finalizer]
        await self._patch(resource, owner, {"finalizers": kept or None})

    async def _patch(self, resource: Resource, record: Record, metadata: Json) -> None:
        guard = {"uid": record.meta.uid, "resourceVersion": record.meta.resource_version}
        with suppress(NotFound):
            await self._client.merge_patch(
                resource, record.key, {"metadata": {**guard, **metadata}}
            )
