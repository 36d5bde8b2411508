"""Namespaces: what each one gets when it is made, and how it is emptied when it is deleted."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, final

import msgspec

from kaito.framework.cache import Cache
from kaito.framework.controller import Controller
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, mapped
from kaito.kube.client import Client
from kaito.kube.clock import Clock, rfc3339
from kaito.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.resources import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS
from kaito.kube.transport import Request

NAME: Final = "namespace"
ROOT_CA: Final = "kube-root-ca.crt"
DEFAULT_ACCOUNT: Final = "default"
RECHECK: Final = 1.0
"""Seconds between two looks at a namespace whose content is still going away."""


def namespace_controller(cache: Cache, client: Client, clock: Clock, ca_pem: str) -> Controller:
    """Gives a namespace its ServiceAccount and the cluster's CA; empties it when it goes."""
    namespaces = cache.informer(NAMESPACES).store
    accounts = cache.informer(SERVICEACCOUNTS).store
    configs = cache.informer(CONFIGMAPS).store

    def namespace_of(record: Record) -> Iterable[ObjectKey]:
        given = record.meta.name in (ROOT_CA, DEFAULT_ACCOUNT)
        return (ObjectKey("", record.meta.namespace),) if given else ()

    @final
    class Reconciler:
        async def reconcile(self, key: ObjectKey) -> Result:
            namespace = namespaces.get(key)
            if namespace is None:
                return Done()
            if namespace.meta.deleting:
                return await empty(client, namespace, rfc3339(clock.wall()))
            if accounts.get(ObjectKey(key.name, DEFAULT_ACCOUNT)) is None:
                await self._give(SERVICEACCOUNTS, key.name, DEFAULT_ACCOUNT)
            if configs.get(ObjectKey(key.name, ROOT_CA)) is None:
                await self._give(CONFIGMAPS, key.name, ROOT_CA, data={"ca.crt": ca_pem})
            return Done()

        async def _give(
            self, resource: Resource, namespace: str, name: str, **fields: Json
        ) -> None:
            obj = {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": name, "namespace": namespace},
                **fields,
            }
            with suppress(AlreadyExists, NotFound):
                await client.create(resource, obj)

    sources = [
        for_object(NAMESPACES),
        mapped(SERVICEACCOUNTS, namespace_of),
        mapped(CONFIGMAPS, namespace_of),
    ]
    return Controller(NAME, Reconciler(), sources)


async def empty(client: Client, namespace: Record, now: str) -> Result:
    """Delete everything in a namespace and tell what stays; when nothing does, let it go itself."""
    name = namespace.meta.name
    found: list[Resource] = []
    async for resource in namespaced_resources(client):
        for record in (await client.list(resource, namespace=name)).items:
            if resource not in found:
                found.append(resource)
            if not record.meta.deleting:
                with suppress(NotFound):
                    await client.delete(resource, record.key, uid=record.meta.uid)
    left = {r: (await client.list(r, namespace=name)).items for r in found}
    await _tell(client, namespace, conditions({r: some for r, some in left.items() if some}), now)
    if found:
        return Again(RECHECK)
    await _finalize(client, name)
    return Done()


def conditions(left: Mapping[Resource, Iterable[Record]]) -> list[Json]:
    """What a namespace that is going says about what is left in it."""
    held = Counter(f for some in left.values() for one in some for f in one.meta.finalizers)
    remaining = sorted(f"{r.plural}.{r.group} has {_instances(some)}" for r, some in left.items())
    finalizers = sorted(f"{name} in {count} resource instances" for name, count in held.items())
    deleted = "All content successfully deleted, may be waiting on finalization"
    return [
        _condition("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", _DISCOVERED),
        _condition("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", _PARSED),
        _condition("NamespaceDeletionContentFailure", "ContentDeleted", deleted),
        _condition("NamespaceContentRemaining", "SomeResourcesRemain", _REMAIN, remaining)
        if remaining
        else _condition("NamespaceContentRemaining", "ContentRemoved", _REMOVED),
        _condition("NamespaceFinalizersRemaining", "SomeFinalizersRemain", _HELD, finalizers)
        if finalizers
        else _condition("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", _LET_GO),
    ]


_DISCOVERED: Final = "All resources successfully discovered"
_PARSED: Final = "All legacy kube types successfully parsed"
_REMAIN: Final = "Some resources are remaining: "
_REMOVED: Final = "All content successfully removed"
_HELD: Final = "Some content in the namespace has finalizers remaining: "
_LET_GO: Final = "All content-preserving finalizers finished"


def _instances(some: Iterable[Record]) -> str:
    return f"{len(list(some))} resource instances"


def _condition(type_: str, reason: str, message: str, what: Sequence[str] = ()) -> Json:
    """True when there is something to name."""
    return {
        "type": type_,
        "status": "True" if what else "False",
        "reason": reason,
        "message": f"{message}{', '.join(what)}",
    }


async def _tell(client: Client, namespace: Record, wanted: list[Json], now: str) -> None:
    known = {one["type"]: one for one in namespace.get("status", "conditions") or ()}
    stamped = []
    for one in wanted:
        before: Json = known.get(one["type"], {})
        same = before.get("status") == one["status"]
        since = before.get("lastTransitionTime") if same else None
        stamped.append({**one, "lastTransitionTime": since or now})
    if stamped == [known.get(one["type"]) for one in wanted]:
        return
    patch = {"metadata": {"uid": namespace.meta.uid}, "status": {"conditions": stamped}}
    with suppress(NotFound, Conflict):
        await client.merge_patch(NAMESPACES, namespace.key, patch, subresource="status")


async def _finalize(client: Client, namespace: str) -> None:
    try:
        obj = await client.get_json(NAMESPACES, ObjectKey("", namespace))
    except NotFound:
        return
    obj["spec"] = {}
    body = msgspec.json.encode(obj)
    path = NAMESPACES.path(name=namespace, subresource="finalize")
    headers = {"content-type": "application/json"}
    with suppress(NotFound, Conflict):
        await client.raw(Request(method="PUT", path=path, headers=headers, body=body))


async def namespaced_resources(client: Client) -> AsyncIterator[Resource]:
    """Every kind with objects in namespaces that can be listed and deleted, by discovery."""
    for path, group, version in await _group_versions(client):
        try:
            answer = await client.raw(Request(method="GET", path=path))
        except ApiError:
            continue  # a group that has just gone, or is not served
        for entry in msgspec.json.decode(answer.body)["resources"]:
            listed = {"list", "delete"} <= set(entry.get("verbs", ()))
            if entry["namespaced"] and listed and "/" not in entry["name"]:
                yield Resource(group, version, entry["name"], entry["kind"])


async def _group_versions(client: Client) -> list[tuple[str, str, str]]:
    answer = await client.raw(Request(method="GET", path="/apis"))
    groups = msgspec.json.decode(answer.body).get("groups", ())
    found = [("/api/v1", "", "v1")]
    for group in groups:
        version = group["preferredVersion"]["version"]
        found.append((f"/apis/{group['name']}/{version}", group["name"], version))
    return found
