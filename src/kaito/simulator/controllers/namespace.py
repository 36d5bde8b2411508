"""Namespaces: what each one gets when it is made, and how it is emptied when it is deleted."""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Final, final

import msgspec

from kaito.framework.cache import Cache
from kaito.framework.controller import Controller
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.sources import for_object, mapped
from kaito.kube.client import Client
from kaito.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.resources import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS
from kaito.kube.transport import Request

NAME: Final = "namespace"
ROOT_CA: Final = "kube-root-ca.crt"
DEFAULT_ACCOUNT: Final = "default"
RECHECK: Final = 1.0
"""Seconds between two looks at a namespace whose content is still going away."""


def namespace_controller(cache: Cache, client: Client, ca_pem: str) -> Controller:
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
                return await empty(client, key.name)
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


async def empty(client: Client, namespace: str) -> Result:
    """Delete everything in a namespace; when nothing is left, let the namespace itself go."""
    left = 0
    async for resource in namespaced_resources(client):
        for record in (await client.list(resource, namespace=namespace)).items:
            left += 1
            if not record.meta.deleting:
                with suppress(NotFound):
                    await client.delete(resource, record.key, uid=record.meta.uid)
    if left:
        return Again(RECHECK)
    await _finalize(client, namespace)
    return Done()


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
