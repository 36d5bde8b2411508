"""`metadata`: what the server fills in, what clients may not change, what is well-formed."""

import json
from collections.abc import Callable, Iterator
from typing import Final

from kaito.apiserver import names
from kaito.apiserver.core import Core
from kaito.apiserver.kinds import Kind
from kaito.apiserver.status import (
    Cause,
    Refused,
    bad_request,
    forbidden_value,
    invalid_value,
    required_value,
)
from kaito.kube.labels import key_problems, value_problems
from kaito.kube.objects import Json
from kaito.kube.schema.fields import compact

_LONGEST_ANNOTATIONS: Final = 256 * 1024
"""Bytes of all annotations together: `TotalAnnotationSizeLimitB` of apimachinery."""


def meta(obj: Json) -> Json:
    """The object's `metadata`, made if it is missing. Raises `Refused` when it is not an object."""
    found = obj.setdefault("metadata", {})
    if found is None:
        found = obj["metadata"] = {}
    if not isinstance(found, dict):
        raise bad_request("metadata must be an object")
    return found


def check_namespace(kind: Kind, obj: Json, namespace: str) -> None:
    """The body's namespace, if any, must be the path's; then it is the path's."""
    metadata = meta(obj)
    given = metadata.get("namespace") or ""
    if not kind.resource.namespaced:
        metadata.pop("namespace", None)
        return
    if given and given != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = namespace


def check_name(obj: Json, name: str) -> None:
    """The body of an update must bear the name of the path."""
    given = meta(obj).get("name") or ""
    if not given:
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: "
            "name must be provided"
        )
    if given != name:
        raise bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )


def fill_new(core: Core, kind: Kind, obj: Json) -> None:
    """What the server decides about a new object: name, uid, time, generation."""
    metadata = meta(obj)
    if metadata.get("resourceVersion"):
        raise Refused(500, "", "resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = names.generate(metadata["generateName"], core.random)
    for field in (
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
        "generation",
    ):
        metadata.pop(field, None)
    ordered = {
        "name": metadata.pop("name", ""),
        **_take(metadata, "generateName", "namespace"),
        "uid": core.storage.new_uid(),
        "resourceVersion": "",
    }
    if kind.strategy.generation:
        ordered["generation"] = 1
    metadata.pop("uid", None)
    metadata.pop("creationTimestamp", None)
    ordered["creationTimestamp"] = core.now()
    obj["metadata"] = {**ordered, **metadata}


def _take(metadata: Json, *fields: str) -> Json:
    taken = {field: metadata.pop(field, None) for field in fields}
    return {field: value for field, value in taken.items() if value}


def keep_old(obj: Json, old: Json) -> None:
    """What an update cannot change, or need not repeat."""
    metadata, before = meta(obj), old["metadata"]
    if not metadata.get("uid"):
        metadata["uid"] = before["uid"]
    for field in ("creationTimestamp", "deletionTimestamp", "generation"):
        if field in before:
            metadata[field] = before[field]
        elif field != "deletionTimestamp" or not metadata.get(field):
            metadata.pop(field, None)
    if metadata.get("deletionGracePeriodSeconds") is None:
        _copy(before, metadata, "deletionGracePeriodSeconds")
    metadata.pop("selfLink", None)


def _copy(before: Json, metadata: Json, field: str) -> None:
    metadata.pop(field, None)
    if field in before:
        metadata[field] = before[field]


def new_causes(kind: Kind, obj: Json) -> list[Cause]:
    """What is wrong with the metadata of a new object."""
    metadata = meta(obj)
    name = metadata.get("name") or ""
    causes: list[Cause] = []
    if not name:
        causes.append(required_value("metadata.name", "name or generateName is required"))
    elif why := kind.strategy.name(name):
        causes.append(invalid_value("metadata.name", f'"{name}"', why))
    return [*causes, *_shared(kind, metadata)]


def update_causes(kind: Kind, obj: Json, old: Json) -> list[Cause]:
    """What is wrong with the metadata of an update."""
    metadata, before = meta(obj), old["metadata"]
    causes = list(_shared(kind, metadata))
    for field in ("name", "namespace", "uid"):
        if metadata.get(field) != before.get(field):
            value = f'"{metadata.get(field) or ""}"'
            causes.append(invalid_value(f"metadata.{field}", value, "field is immutable"))
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(field) != before.get(field):
            shown = compact(metadata.get(field))
            causes.append(invalid_value(f"metadata.{field}", shown, "field is immutable"))
    if before.get("deletionTimestamp"):
        kept = before.get("finalizers") or []
        added = [name for name in metadata.get("finalizers") or [] if name not in kept]
        if added:
            told = ", ".join(f'"{name}"' for name in added)
            why = (
                "no new finalizers can be added if the object is being deleted, found new "
                f"finalizers []string{{{told}}}"
            )
            causes.append(forbidden_value("metadata.finalizers", why))
    return causes


def _shared(kind: Kind, metadata: Json) -> Iterator[Cause]:
    yield from _labels(metadata)
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        size += len(key) + len(str(value).encode())
        for why in key_problems(key.lower()):
            yield invalid_value("metadata.annotations", f'"{key}"', why)
    if size > _LONGEST_ANNOTATIONS:
        why = f"Too long: may not be more than {_LONGEST_ANNOTATIONS} bytes"
        yield Cause("metadata.annotations", "FieldValueTooLong", why)
    yield from _owners(metadata)
    yield from _finalizers(kind, metadata)


_STANDARD_FINALIZERS: Final = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def _finalizers(kind: Kind, metadata: Json) -> Iterator[Cause]:
    """Well-formed; those of built-in kinds name their owner's domain too."""
    for index, given in enumerate(metadata.get("finalizers") or []):
        name = given or ""
        where = f"metadata.finalizers[{index}]"
        for why in key_problems(name):
            yield invalid_value("metadata.finalizers", f'"{name}"', why)
        if not kind.custom and "/" not in name and name not in _STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(where, f'"{name}"', why)
    if {"orphan", "foregroundDeletion"} <= set(metadata.get("finalizers") or []):
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid_value("metadata.finalizers", compact(metadata["finalizers"]), why)


def _labels(metadata: Json) -> Iterator[Cause]:
    for key, value in (metadata.get("labels") or {}).items():
        for why in key_problems(key):
            yield invalid_value("metadata.labels", f'"{key}"', why)
        for why in value_problems(str(value)):
            yield invalid_value("metadata.labels", f'"{value}"', why)


def _owners(metadata: Json) -> Iterator[Cause]:
    controllers = []
    where = "metadata.ownerReferences"
    for owner in metadata.get("ownerReferences") or []:
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                yield invalid_value(f"{where}.{field}", '""', "must not be empty")
        if not owner.get("apiVersion"):
            yield invalid_value(f"{where}.apiVersion", '""', "version must not be empty")
        if owner.get("apiVersion") == "v1" and owner.get("kind") == "Event":
            why = "/v1, Kind=Event is disallowed from being an owner"
            yield invalid_value(where, _shown([owner])[1:-1], why)
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        why = (
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {" and ".join(controllers[:2])}'
        )
        yield invalid_value(where, _shown(metadata["ownerReferences"]), why)


def unique_owners(obj: Json, warn: Callable[[str], None], *, patched: bool) -> None:
    """Each owner once, and a warning where one was named twice."""
    metadata = meta(obj)
    owners = metadata.get("ownerReferences")
    if not owners or len(owners) < 2:
        return
    unique = [owner for index, owner in enumerate(owners) if owner not in owners[:index]]
    if len(unique) == len(owners):
        return
    twice = [o for index, o in enumerate(owners) if o in owners[:index]]
    told = ", ".join(dict.fromkeys(owner.get("uid") or "" for owner in twice))
    when = " after mutating admission happens" if patched else ""
    warn(
        f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner "
        "references in 1.20+, and may reject such requests as early as 1.24; please fix your "
        f"requests; duplicate UID(s) observed: {told}"
    )
    metadata["ownerReferences"] = unique


_OWNER_FIELDS: Final = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")


def _shown(owners: list[Json]) -> str:
    """References as Go writes them: fields in the order of the type."""
    told = [{name: one[name] for name in _OWNER_FIELDS if name in one} for one in owners]
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)
