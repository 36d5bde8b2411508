"""ResourceQuotas: what is used of each. The API server adds to it and refuses; this counts anew.

Nothing is watched for it before there is a quota, and then the kinds that quotas name.
"""

from collections.abc import Iterable, Sequence
from typing import Final, final

from kaito.apiserver import catalog, quotas
from kaito.framework.controller import Controller
from kaito.framework.events import Deleted, Event, Updated
from kaito.framework.manager import Manager
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, mapped
from kaito.kube.client import Client
from kaito.kube.errors import NotFound
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.resources import CRDS, PODS, PVCS, RESOURCEQUOTAS, SERVICES
from kaito.simulator.controllers import podstate
from kaito.simulator.controllers.hands import status_patch

NAME: Final = "resourcequota"
RESYNC_SECONDS: Final = 300.0
"""How often kube-controller-manager counts everything anew."""
DISCOVERY_SECONDS: Final = 30.0
"""... and how often it looks for kinds that have come or gone: those are counted no later here."""

_BUILTIN: Final = {
    kind.resource.group_resource: kind.resource
    for kind in catalog.KINDS
    if kind.resource.namespaced and "list" in kind.verbs
}
_WHOLE: Final = (PODS, SERVICES, PVCS)
"""Kinds of which more than their number counts."""


@final
class Quotas:
    """Counts what every quota is about, and writes it into its status."""

    def __init__(self, manager: Manager) -> None:
        self._quotas = manager.cache.informer(RESOURCEQUOTAS).store
        self._live: Client = manager.live
        self._watched: set[Resource] = set()
        self._controller: Controller | None = None

    def watch_with(self, controller: Controller) -> None:
        """Who watches the kinds that quotas name."""
        self._controller = controller

    async def reconcile(self, key: ObjectKey) -> Result:
        if self._quotas.get(key) is None:
            return Done()
        # What is counted must be no older than the quota: whoever is let in meanwhile changes it.
        try:
            quota = await self._live.get(RESOURCEQUOTAS, key)
        except NotFound:
            return Done()
        asked = map(quotas.counted, quota.get("spec", "hard") or ())
        names = sorted({name for name in asked if name is not None})
        found = {name: await self._objects(name, key.namespace) for name in names}
        there = {name: some for name, some in found.items() if some is not None}
        await self._tell(quota, quotas.status(quota.json(), there))
        custom = any(name not in _BUILTIN for name in names)
        return Again(DISCOVERY_SECONDS if custom else RESYNC_SECONDS)

    async def _objects(self, name: str, namespace: str) -> Sequence[Json] | None:
        """All of a kind in a namespace; None where there is no such kind."""
        resource = _BUILTIN.get(name)
        if resource is None:
            resource = await self._custom(name)
        else:
            await self._watch(resource)
        if resource is None:
            return None
        try:
            whole = resource in _WHOLE
            found = await self._live.list(resource, namespace=namespace, metadata_only=not whole)
        except NotFound:
            return None
        return [record.json() for record in found.items]

    async def _custom(self, name: str) -> Resource | None:
        try:
            definition = await self._live.get(CRDS, ObjectKey("", name))
        except NotFound:
            return None
        spec: Json = definition.get("spec") or {}
        served = [one["name"] for one in spec["versions"] if one.get("served")]
        if spec.get("scope") != "Namespaced" or not served:
            return None
        names = spec["names"]
        return Resource(spec["group"], served[0], names["plural"], names["kind"])

    async def _watch(self, resource: Resource) -> None:
        if resource in self._watched or self._controller is None:
            return
        self._watched.add(resource)
        whole = resource in _WHOLE
        predicate = _frees_pod if resource == PODS else _changes if whole else _goes
        source = mapped(resource, self.of, predicate=predicate, metadata_only=not whole)
        await self._controller.watch(source)

    def of(self, record: Record) -> Iterable[ObjectKey]:
        """The quotas that may count an object."""
        return [quota.key for quota in self._quotas.list(namespace=record.meta.namespace)]

    async def _tell(self, quota: Record, wanted: Json) -> None:
        live: Json = quota.get("status") or {}
        changed = {
            field: {**dict.fromkeys(live.get(field) or {}), **amounts}
            for field, amounts in wanted.items()
            if (live.get(field) or {}) != amounts or field not in live
        }
        patch = status_patch(None, changed)
        if patch is None:
            return
        try:
            await self._live.merge_patch(
                RESOURCEQUOTAS,
                quota.key,
                {"metadata": {"resourceVersion": quota.meta.resource_version}, **patch},
                subresource="status",
            )
        except NotFound:
            return


def _goes(event: Event) -> bool:
    return isinstance(event, Deleted)


def _changes(event: Event) -> bool:
    """What is new was counted when it was let in; a part of it may go."""
    return isinstance(event, Updated | Deleted)


def _frees_pod(event: Event) -> bool:
    return isinstance(event, Deleted) or podstate.is_over(event.record)


def _asks_anew(event: Event) -> bool:
    """Not what is written about it."""
    return not isinstance(event, Updated) or event.old.get("spec") != event.new.get("spec")


def quota_controller(manager: Manager) -> Controller:
    """The one that counts."""
    counting = Quotas(manager)
    sources = [for_object(RESOURCEQUOTAS, predicate=_asks_anew)]
    controller = Controller(NAME, counting, sources)
    counting.watch_with(controller)
    return controller
