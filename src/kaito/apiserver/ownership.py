"""The seam between requests and field ownership: what a call's kind looks like to it."""

from functools import lru_cache, partial
from typing import Final

from kaito.apiserver import scaleowners
from kaito.apiserver.builtin import defaulting
from kaito.apiserver.converting import convert
from kaito.apiserver.core import Call
from kaito.apiserver.fieldsets import FieldSet
from kaito.apiserver.managedfields import UPDATE, Manager, Shape, track
from kaito.apiserver.options import WriteOptions
from kaito.apiserver.schemas import KindSchema
from kaito.apiserver.typed import ANYTHING, Type
from kaito.kube.objects import Json
from kaito.kube.schema.structural import Schema

_KINDS: Final = 512
"""Kinds whose types are kept: built-in ones for ever, custom ones until others take their place."""
_NOTHING: Final = FieldSet()
_STATUS: Final = FieldSet.of("status")
_ALL_BUT_STATUS: Final = FieldSet.of("spec", "metadata")


def shape_of(call: Call) -> Shape:
    """What tracking must know about the kind that a call is for."""
    kind = call.kind
    group = kind.resource.group
    schemas = call.core.schemas

    def type_of(api_version: str) -> Type | None:
        version = api_version.rpartition("/")[2]
        if api_version.rpartition("/")[0] != group:
            return None
        found = schemas.lookup(group, version, kind.resource.kind)
        if found is None:
            return Type(ANYTHING) if version == kind.resource.version else None
        return _type(found)

    schema = call.core.schema(kind)
    return Shape(
        version=kind.resource.api_version,
        type_of=type_of,
        ignored=_ignored(call),
        empty={"metadata": {}} if schema is None or schema.custom else _empty(schema),
        subresource=call.target.subresource,
        convert=None if kind.webhook is None else partial(convert, call),
    )


def _ignored(call: Call) -> FieldSet:
    """What a write through this path cannot change."""
    if call.target.subresource == "status":
        return _ALL_BUT_STATUS if call.kind.custom else _kept(call.kind.strategy.status_keeps)
    return _STATUS if call.kind.has_status and not call.target.subresource else _NOTHING


@lru_cache(_KINDS)
def _kept(fields: tuple[str, ...]) -> FieldSet:
    """What a write of a built-in object's status leaves as it is."""
    return FieldSet.of("spec", *(f"metadata.{field}" for field in fields))


@lru_cache(_KINDS)
def _type(schema: KindSchema) -> Type:
    if not schema.custom:
        return Type(schema.schema)
    return Type(_rooted(schema.schema))


@lru_cache(_KINDS)
def _rooted(schema: Schema) -> Schema:
    """A custom kind's schema with the head that every object has."""
    return Schema({**schema.raw, "x-kubernetes-embedded-resource": True})


def _empty(schema: KindSchema) -> Json:
    """A built-in object that says nothing, as Go prints it. Do not write."""
    return _emptied(schema.schema)


@lru_cache(_KINDS)
def _emptied(schema: Schema) -> Json:
    empty = defaulting.empty(schema)
    empty.setdefault("metadata", {})
    return empty


def track_update(call: Call, old: Json | None, obj: Json, options: WriteOptions) -> None:
    """Make the caller the owner of what it changed in `obj`."""
    scale = call.kind.scale if call.target.subresource == "scale" else None
    if scale is not None and not scaleowners.has_owner(obj, scale.replicas):
        return
    shape = shape_of(call)
    manager = Manager(options.manager, UPDATE, shape.version, shape.subresource)
    # The real server leaves the time out of what it writes for `scale`.
    now = "" if call.target.subresource == "scale" else call.core.now()
    track(old, obj, manager, shape, now)
