"""`kubectl apply`, as far as `kaito up -f` and the demo need it: client-side, with the same trace.

The object is left exactly as kubectl would leave it (annotation and field manager included), so
that a later `kubectl apply` of the same file goes on from there and warns about nothing.
"""

from collections.abc import Sequence
from typing import Final, Literal, final

import msgspec

from kaito.cli.failure import REFUSED, USAGE, Failure
from kaito.cli.inputs import Document
from kaito.kube.client import Client
from kaito.kube.errors import ApiError, NotFound
from kaito.kube.objects import Json, ObjectKey, Record, Resource
from kaito.kube.patches import merge_diff, merge_patch
from kaito.kube.transport import Request

Outcome = Literal["created", "configured", "unchanged"]

MANAGER: Final = "kubectl-client-side-apply"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

_FIRST: Final = ("Namespace", "CustomResourceDefinition")
_LAST: Final = ("Workspace",)


def in_order(documents: Sequence[Document]) -> list[Document]:
    """Namespaces first, Workspaces last: what a Workspace refers to is there when it comes."""

    def rank(document: Document) -> int:
        return 0 if document.kind in _FIRST else 2 if document.kind in _LAST else 1

    return sorted(documents, key=rank)


@final
class Applier:
    """Applies objects of any kind that the server knows; asks it once for each group version."""

    def __init__(self, client: Client, *, namespace: str = "default") -> None:
        self._client = client
        self._namespace = namespace
        self._known: dict[str, dict[str, Resource]] = {}

    async def apply(self, document: Document) -> tuple[Resource, Record, Outcome]:
        """Make the object so. Raises Failure, with file and line, for what the server refuses."""
        try:
            resource = await self._resource(document)
            return resource, *await self._apply(resource, document.obj)
        except ApiError as error:
            at = next((cause.field for cause in error.causes if cause.field), "metadata.name")
            raise Failure(f"{document.source}:{document.line(at)}: {error}", REFUSED) from error

    async def _apply(self, resource: Resource, given: Json) -> tuple[Record, Outcome]:
        metadata = dict(given.get("metadata") or {})
        if resource.namespaced:
            metadata.setdefault("namespace", self._namespace)
        wanted = {**given, "metadata": {"annotations": {}, **metadata}}
        key = ObjectKey(metadata.get("namespace", ""), metadata.get("name", ""))
        try:
            live = await self._client.get_json(resource, key)
        except NotFound:
            made = await self._client.create(resource, _traced(wanted), field_manager=MANAGER)
            return made, "created"
        patch = three_way(_last_applied(live), _traced(wanted), live)
        if not patch:
            return await self._client.get(resource, key), "unchanged"
        before = live["metadata"]["resourceVersion"]
        now = await self._client.merge_patch(resource, key, patch, field_manager=MANAGER)
        return now, "unchanged" if now.meta.resource_version == before else "configured"

    async def _resource(self, document: Document) -> Resource:
        version = str(document.obj.get("apiVersion") or "")
        if not version or not document.kind:
            where = f"{document.source}:{document.line('apiVersion')}"
            raise Failure(f"{where}: no apiVersion or no kind: not a Kubernetes object", USAGE)
        if version not in self._known:
            self._known[version] = await self._discover(version)
        found = self._known[version].get(document.kind)
        if found is None:
            where = f"{document.source}:{document.line('kind')}"
            raise Failure(f'{where}: the cluster knows no kind "{document.kind}" in {version}')
        return found

    async def _discover(self, version: str) -> dict[str, Resource]:
        group, _, number = version.rpartition("/")
        path = f"/apis/{group}/{number}" if group else f"/api/{number}"
        try:
            answer = await self._client.raw(Request(method="GET", path=path))
        except NotFound:
            return {}
        listed = msgspec.json.decode(answer.body).get("resources") or ()
        return {
            entry["kind"]: Resource(
                group, number, entry["name"], entry["kind"], bool(entry["namespaced"])
            )
            for entry in listed
            if "/" not in entry["name"]
        }


def three_way(last: Json, wanted: Json, live: Json) -> Json:
    """The merge patch that sets what is wanted and removes what was wanted before and is not now.

    What others set, and nobody asked for here, stays.
    """
    return merge_diff(live, merge_patch(merge_patch(live, _removals(last, wanted)), wanted))


def _removals(last: Json, wanted: Json) -> Json:
    """`null` for every field of `last` that `wanted` has no more."""
    found: Json = {}
    for name, value in last.items():
        if name not in wanted:
            found[name] = None
        elif isinstance(value, dict) and isinstance(wanted[name], dict):
            inner = _removals(value, wanted[name])
            if inner:
                found[name] = inner
    return found


def _traced(wanted: Json) -> Json:
    """With the annotation by which the next apply knows what this one asked for."""
    metadata = wanted["metadata"]
    told = msgspec.json.encode(wanted, order="deterministic").decode() + "\n"
    annotations = {**(metadata.get("annotations") or {}), LAST_APPLIED: told}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def _last_applied(live: Json) -> Json:
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        value = msgspec.json.decode(text) if text else {}
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
