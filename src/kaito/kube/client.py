"""The typed verbs of the Kubernetes API over any transport.

Reads hand out `Record`s, writes take plain dicts. Nothing is cached here and nothing is retried
except what the server asks to have retried and what never reached it (`kaito.kube.retrying`).
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, final

import msgspec

from kaito.kube.clock import Clock
from kaito.kube.errors import Conflict, UnreadableAnswer
from kaito.kube.objects import Json, ObjectKey, Record, Resource, key_of, record, record_of_fields
from kaito.kube.retrying import RequestMetrics, Sender
from kaito.kube.transport import Query, Request, Response, Transport
from kaito.kube.watching import WatchEvent, open_watch

__all__ = ["Client", "RecordList", "RequestMetrics", "WatchEvent"]

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=1,application/json"

_CONFLICT_TRIES = 5
_CONFLICT_PAUSE = 0.010
"""Seconds. Both as client-go's DefaultRetry has them, jitter 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordList:
    """One page of a collection."""

    items: list[Record]
    resource_version: str
    """The version of the collection from which a watch may start."""
    continue_: str = ""
    """The token for the next page; empty on the last one."""
    remaining: int | None = None
    """How many items follow after this page, if the server says."""
    problems: tuple[str, ...] = ()
    """What was wrong with the items that are missing from `items`."""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class _List(msgspec.Struct):
    items: list[msgspec.Raw] | None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


_LIST = msgspec.json.Decoder(_List)
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY: msgspec.json.Decoder[Json] = msgspec.json.Decoder(dict[str, Any])


@final
class Client:
    """One identity at one API server."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        random: random.Random,
        user_agent: str = "kaito",
        metrics: RequestMetrics | None = None,
        host: str = "",
        timeout: float = 30.0,
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        """`timeout`: seconds for one call, waits between tries included (client-go's default for
        leader election and kubectl's for discovery lie in the same range; watches have their own).
        `on_warning` is told every `Warning:` that the server attaches to an answer.
        """
        self._clock = clock
        self._random = random
        self._transport = transport
        self._sender = Sender(
            transport,
            clock=clock,
            random=random,
            user_agent=user_agent,
            metrics=metrics,
            host=host,
            timeout=timeout,
            on_warning=on_warning,
        )

    async def raw(self, request: Request, *, timeout: float | None = None) -> Response:
        """Send any request. Raises ApiError for a status of 400 or more, else TransportError."""
        return await self._sender.send(request, timeout=timeout)

    # Reads.

    async def get(self, resource: Resource, key: ObjectKey) -> Record:
        """One object, live. Raises NotFound."""
        return await self._read(Request(method="GET", path=_path(resource, key)))

    async def get_json(self, resource: Resource, key: ObjectKey, *, subresource: str = "") -> Json:
        """One object as the caller's own dict, live and with everything, managedFields too."""
        response = await self.raw(Request(method="GET", path=_path(resource, key, subresource)))
        try:
            return _ANY.decode(response.body)
        except msgspec.DecodeError as error:
            raise _unreadable(response, error) from error

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
        metadata_only: bool = False,
        timeout: float | None = None,
    ) -> RecordList:
        """One page of a collection; everything when `limit` is 0.

        With `resource_version=""` the read is consistent; with "0" the server may answer with an
        older state of its own. Raises Gone when `continue_` or the version is too old.
        """
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            **{"continue": continue_},
            resourceVersion=resource_version,
            resourceVersionMatch=resource_version_match,
        )
        headers = {"accept": _METADATA_LIST} if metadata_only else {}
        path = resource.path(_segment(namespace))
        response = await self.raw(
            Request(method="GET", path=path, query=query, headers=headers), timeout=timeout
        )
        return _record_list(response, resource, metadata_only=metadata_only)

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        send_initial_events: bool = False,
        timeout_seconds: int,
        idle_timeout: float,
        metadata_only: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Open a watch; see `kaito.kube.watching.open_watch`. It is never reopened here."""
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(timeout_seconds),
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            sendInitialEvents="true" if send_initial_events else "",
            resourceVersionMatch="NotOlderThan" if send_initial_events else "",
        )
        return open_watch(
            self._sender,
            resource,
            Request(method="GET", path=resource.path(_segment(namespace)), query=query),
            idle_timeout=idle_timeout,
            metadata_only=metadata_only,
        )

    # Writes. One whose outcome is unknown raises TransportError and is never sent again.

    async def create(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str = "",
        field_validation: str = "",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """POST. With `subresource` (`eviction`, `binding`, `token`) to the object's subresource.

        Raises AlreadyExists.
        """
        namespace, name = key_of(obj)
        if subresource:
            path = _path(resource, ObjectKey(namespace, name), subresource)
        else:
            path = resource.path(_segment(namespace))
        query = _write_query(field_manager, field_validation, dry_run=dry_run)
        return await self._write("POST", path, query, _JSON, _typed(resource, obj))

    async def replace(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str = "",
        field_validation: str = "",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """PUT. Raises Conflict when `metadata.resourceVersion` is set and no longer current."""
        path = _path(resource, key_of(obj), subresource)
        query = _write_query(field_manager, field_validation, dry_run=dry_run)
        return await self._write("PUT", path, query, _JSON, _typed(resource, obj))

    async def merge_patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: Json,
        *,
        field_manager: str = "",
        field_validation: str = "",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """RFC 7386. With `metadata.resourceVersion` or `uid` in the patch, it is a precondition:
        Conflict is raised when the live object has another.
        """
        path = _path(resource, key, subresource)
        query = _write_query(field_manager, field_validation, dry_run=dry_run)
        return await self._write("PATCH", path, query, _MERGE, patch)

    async def json_patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: Sequence[Json],
        *,
        field_manager: str = "",
        field_validation: str = "",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """RFC 6902. Raises Invalid when a `test` fails or a path is missing."""
        path = _path(resource, key, subresource)
        query = _write_query(field_manager, field_validation, dry_run=dry_run)
        return await self._write("PATCH", path, query, _JSON_PATCH, list(patch))

    async def apply(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str,
        force: bool,
        field_validation: str = "",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Record:
        """Server-side apply. Raises Conflict, whose causes name the fields and their managers,
        when another manager owns a field and `force` is false, and when the uid in `obj` is not
        that of the live object.
        """
        path = _path(resource, key_of(obj), subresource)
        query = _write_query(field_manager, field_validation, dry_run=dry_run, force=force)
        return await self._write("PATCH", path, query, _APPLY, _typed(resource, obj))

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "Background",
        grace_seconds: int | None = None,
        dry_run: bool = False,
    ) -> Record | None:
        """The object as it is now when it goes later (finalizers, grace), None when it is gone.

        Raises NotFound; Conflict when `uid` or `resource_version` is not the live one.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: Json = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": propagation,
            "preconditions": {name: value for name, value in preconditions.items() if value},
            "gracePeriodSeconds": grace_seconds,
            "dryRun": ["All"] if dry_run else None,
        }
        body = {name: value for name, value in options.items() if value not in (None, "", {})}
        gone = await self._write("DELETE", _path(resource, key), (), _JSON, body)
        return None if gone.kind == "Status" else gone

    async def edit(
        self,
        resource: Resource,
        key: ObjectKey,
        change: Callable[[Json], Json | None],
        *,
        field_manager: str = "",
        subresource: str = "",
    ) -> Record | None:
        """Read live, change, replace; on Conflict again with a fresh read, at most five times.

        `change` may mutate and return what it is given, or return None to leave it; then None is
        returned. For objects nobody else keeps writing; controllers patch instead.
        """
        for attempt in range(1, _CONFLICT_TRIES + 1):
            changed = change(await self.get_json(resource, key, subresource=subresource))
            if changed is None:
                return None
            try:
                return await self.replace(
                    resource, changed, field_manager=field_manager, subresource=subresource
                )
            except Conflict:
                if attempt == _CONFLICT_TRIES:
                    raise
            await self._clock.sleep(_CONFLICT_PAUSE * (1 + 0.1 * self._random.random()))
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def _read(self, request: Request) -> Record:
        response = await self.raw(request)
        try:
            return record(response.body)
        except msgspec.DecodeError as error:
            raise _unreadable(response, error) from error

    async def _write(
        self, method: str, path: str, query: Query, content_type: str, body: Any
    ) -> Record:
        return await self._read(
            Request(
                method=method,
                path=path,
                query=query,
                headers={"content-type": content_type},
                body=msgspec.json.encode(body),
            )
        )


def _segment(text: str) -> str:
    """What goes into a URL path must stay in its segment, as the server's own rule has it."""
    if text in (".", "..") or "/" in text or "%" in text:
        raise ValueError(f"{text!r} cannot be part of a URL path")
    return text


def _path(resource: Resource, key: ObjectKey, subresource: str = "") -> str:
    if not key.name:
        raise ValueError(f"the name of a {resource.kind} may not be empty")
    if resource.namespaced and not key.namespace:
        raise ValueError(f"the namespace of {resource.kind} {key.name!r} may not be empty")
    return resource.path(_segment(key.namespace), _segment(key.name), subresource)


def _query(**parameters: str) -> Query:
    return tuple((name, value) for name, value in parameters.items() if value)


def _write_query(
    field_manager: str, field_validation: str, *, dry_run: bool, force: bool = False
) -> Query:
    return _query(
        fieldManager=field_manager,
        fieldValidation=field_validation,
        dryRun="All" if dry_run else "",
        force="true" if force else "",
    )


def _typed(resource: Resource, obj: Json) -> Json:
    """With apiVersion and kind, which the server insists on, first; a subresource has its own."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _unreadable(response: Response, error: Exception) -> UnreadableAnswer:
    """Quotes a page of a proxy, but no object: that may be a Secret."""
    start = response.body[:80].decode("utf-8", "replace").lstrip()
    quoted = "" if start.startswith(("{", "[")) else f": {start!r}"
    return UnreadableAnswer(f"the server's answer is no Kubernetes object: {error}{quoted}")


def _record_list(response: Response, resource: Resource, *, metadata_only: bool) -> RecordList:
    try:
        decoded = _LIST.decode(response.body)
    except msgspec.DecodeError as error:
        raise _unreadable(response, error) from error
    items: list[Record] = []
    problems: list[str] = []
    for index, raw in enumerate(decoded.items or ()):
        try:
            items.append(_item(raw, resource, metadata_only=metadata_only))
        except msgspec.DecodeError as error:
            problems.append(f"items[{index}]: {error}")
    meta = decoded.metadata
    return RecordList(
        items=items,
        resource_version=meta.resource_version,
        continue_=meta.continue_,
        remaining=meta.remaining_item_count,
        problems=tuple(problems),
    )


def _item(raw: msgspec.Raw, resource: Resource, *, metadata_only: bool) -> Record:
    top = _TOP.decode(raw)
    if metadata_only:
        # The kind says PartialObjectMetadata, or the server gave more than was asked for.
        top = {"metadata": top["metadata"]} if "metadata" in top else {}
    item = record_of_fields(top, api_version=resource.api_version, kind=resource.kind)
    if not item.meta.name:
        raise msgspec.ValidationError("the object has no metadata.name")
    return item
