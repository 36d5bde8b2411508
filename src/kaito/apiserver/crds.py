"""Custom kinds: a CustomResourceDefinition is served from the moment it is stored.

The definitions' own bucket drives this: every change of it is followed at once, as the real
server's controllers do a moment later, and written back as conditions in `status`.
"""

import json
from collections.abc import Callable
from typing import Any, Final, final

from kaito.apiserver import jsonpath
from kaito.apiserver.builtin.clients import REVIEWS
from kaito.apiserver.core import Core
from kaito.apiserver.kinds import Column, Draft, Kind, Moment, ScalePaths, Strategy, Webhook
from kaito.apiserver.representing import age, age_cell, name_cell
from kaito.apiserver.storage import Bucket, Change, Stored
from kaito.apiserver.webhookcalls import endpoint_of
from kaito.kube.objects import Json, Resource
from kaito.kube.resources import CRDS
from kaito.kube.schema.sanity import unrecognized_formats

CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
_ACCEPTED: Final = (
    # type, reason, message
    ("NamesAccepted", "NoConflicts", "no conflicts found"),
    ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
)
_VERBS: Final = (
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
)


def prepare(draft: Draft) -> None:
    """What a new definition's status says, and which formats of its schema mean nothing."""
    spec = draft.obj.setdefault("spec", {})
    for version in spec.get("versions") or ():
        for name in unrecognized_formats(version.get("schema")):
            draft.warn(f'unrecognized format "{name}"')
    storage = [v["name"] for v in spec.get("versions") or [] if v.get("storage")]
    if draft.old is None:
        draft.obj["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": storage,
        }
        return
    status = draft.obj["status"] = draft.obj.get("status") or {}
    stored = status.get("storedVersions") or []
    if stored and spec == draft.old.get("spec"):
        return  # Who migrates objects says by itself in which versions there are some left.
    status["storedVersions"] = [*stored, *(name for name in storage if name not in stored)]


def terminate(draft: Draft) -> None:
    """A deleted definition waits for its objects to go."""
    finalizers = draft.obj["metadata"].setdefault("finalizers", [])
    if CLEANUP not in finalizers:
        finalizers.append(CLEANUP)
    condition = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": draft.obj["metadata"]["deletionTimestamp"],
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will "
        "begin soon",
    }
    status = draft.obj.setdefault("status", {})
    others = [c for c in status.get("conditions") or [] if c["type"] != "Terminating"]
    status["conditions"] = [*others, condition]


Delete = Callable[[Kind, Stored], None]
"""Deletes one object as a client's DELETE would."""


@final
class CustomKinds:
    """Keeps the register of kinds in step with the stored definitions."""

    def __init__(self, core: Core, delete: Delete) -> None:
        self._core = core
        self._delete = delete
        self._bucket = core.storage.bucket(CRDS.group_resource)
        self._position = self._bucket.next_position()
        self._busy = False
        self._going: dict[str, Callable[[], None]] = {}
        self._bucket.listen(self._follow)

    def _follow(self) -> None:
        """Handle every change once, those that handling makes included."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._position < self._bucket.next_position():
                index = max(0, self._position - self._bucket.first)
                change = self._bucket.changes[index]
                self._position = self._bucket.first + index + 1
                self._handle(change)
        finally:
            self._busy = False

    def _handle(self, change: Change) -> None:
        crd = change.new.json()
        if change.type == "DELETED":
            self._forget(crd)
        elif self._bucket.get(change.new.key) is change.new:
            if crd["metadata"].get("deletionTimestamp"):
                self._end(crd)
            else:
                self._serve(crd, change.old)

    def _serve(self, crd: Json, old: Stored | None) -> None:
        spec = crd["spec"]
        if old is None or old.json()["spec"] != spec or self._is_new(crd):
            self._core.kinds.remove(spec["group"], spec["names"]["plural"])
            self._core.schemas.define(crd)
            for kind in kinds_of(crd):
                self._core.kinds.add(kind)
            self._reread(crd)
            self._core.storage.bucket(crd["metadata"]["name"]).notify()
        status = accepted(crd, self._core.now())
        if status != crd.get("status"):
            crd["status"] = status
            self._core.storage.write(self._bucket, crd)

    def _is_new(self, crd: Json) -> bool:
        conditions = (crd.get("status") or {}).get("conditions") or []
        return not any(condition["type"] == "Established" for condition in conditions)

    def _reread(self, crd: Json) -> None:
        """Show stored objects as the present schema of the version in which they are stored has
        them, without a new version of them."""
        group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
        bucket = self._core.storage.bucket(crd["metadata"]["name"])
        for stored in tuple(bucket.scan()):
            version = stored.written.rpartition("/")[2]
            schema = self._core.schemas.lookup(group, version, kind)
            if schema is None:
                continue
            obj = {"kind": kind, "apiVersion": stored.written, **stored.json()}
            self._core.schemas.decode(schema, obj)
            self._core.schemas.default(schema, obj)
            del obj["kind"], obj["apiVersion"]
            bucket.refresh(stored, obj)

    def _end(self, crd: Json) -> None:
        """Delete the objects of a going kind; when the last is gone, so is the definition."""
        name = crd["metadata"]["name"]
        kind = next(iter(kinds_of(crd)), None)
        bucket = self._core.storage.bucket(name)
        if kind is not None and name not in self._going:
            self._going[name] = bucket.listen(lambda: self._check_gone(name, bucket))
            for stored in tuple(bucket.scan()):
                self._delete(kind, stored)
        self._check_gone(name, bucket)

    def _check_gone(self, name: str, bucket: Bucket) -> None:
        stored = self._bucket.objects.get(name)
        if len(bucket) or stored is None:
            return
        crd = stored.json()
        metadata = crd["metadata"]
        metadata["finalizers"] = [f for f in metadata.get("finalizers") or [] if f != CLEANUP]
        if metadata["finalizers"]:
            return
        del metadata["finalizers"]
        self._core.storage.remove(self._bucket, stored.key, crd)

    def _forget(self, crd: Json) -> None:
        stop = self._going.pop(crd["metadata"]["name"], None)
        if stop is not None:
            stop()
        spec = crd["spec"]
        self._core.kinds.remove(spec["group"], spec["names"]["plural"])
        self._core.schemas.forget(spec["group"], spec["names"]["kind"])
        self._core.storage.bucket(crd["metadata"]["name"]).notify()


def accepted(crd: Json, now: str) -> Json:
    """The status of a definition whose names are its own."""
    status = dict(crd.get("status") or {})
    before = {condition["type"]: condition for condition in status.get("conditions") or []}
    conditions = [
        before.pop(kind)
        if before.get(kind, {}).get("status") == "True"
        else {
            "type": kind,
            "status": "True",
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        for kind, reason, message in _ACCEPTED
    ]
    types = {kind for kind, _, _ in _ACCEPTED}
    others = [condition for kind, condition in before.items() if kind not in types]
    status["conditions"] = [*conditions, *others]
    status["acceptedNames"] = crd["spec"]["names"]
    return status


def kinds_of(crd: Json) -> list[Kind]:
    """Every served version of a definition, as a kind."""
    spec = crd["spec"]
    versions = spec["versions"]
    storage = next((version["name"] for version in versions if version.get("storage")), "")
    preferred = [version for version in versions if version.get("served")]
    return [_kind(spec, version, storage, preferred) for version in preferred]


def _kind(spec: Json, version: Json, storage: str, served: list[Json]) -> Kind:
    names = spec["names"]
    resource = Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        namespaced=spec["scope"] == "Namespaced",
    )
    parts = version.get("subresources") or {}
    scale = parts.get("scale")
    return Kind(
        resource=resource,
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        bucket=resource.group_resource,
        stored=resource._replace(version=storage),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=_VERBS,
        subresources=tuple(part for part in ("status", "scale") if parts.get(part) is not None),
        strategy=Strategy(generation=True, fields=_fields(version)),
        columns=columns(version.get("additionalPrinterColumns")),
        webhook=_webhook(spec.get("conversion") or {}),
        custom=True,
        scale=_scale(scale) if scale is not None else None,
        deprecation=_deprecation(spec, version, served),
    )


def _webhook(conversion: Json) -> Webhook | None:
    """Who converts, asked by the first version of reviews that is known here."""
    if conversion.get("strategy") != "Webhook":
        return None
    found: Json = conversion.get("webhook") or {}
    reviews = [v for v in found.get("conversionReviewVersions") or () if v in REVIEWS]
    endpoint = endpoint_of(found.get("clientConfig") or {}, "30s")
    return Webhook(endpoint, reviews[0] if reviews else REVIEWS[0])


def _scale(scale: Json) -> ScalePaths:
    return ScalePaths(
        scale["specReplicasPath"].lstrip("."),
        scale["statusReplicasPath"].lstrip("."),
        (scale.get("labelSelectorPath") or "").lstrip("."),
    )


def _deprecation(spec: Json, version: Json, served: list[Json]) -> str:
    if not version.get("deprecated"):
        return ""
    if text := version.get("deprecationWarning"):
        return str(text)
    group, kind = spec["group"], spec["names"]["kind"]
    told = f"{group}/{version['name']} {kind} is deprecated"
    better = next((v["name"] for v in served if not v.get("deprecated")), None)
    return f"{told}; use {group}/{better} {kind}" if better else told


def _fields(version: Json) -> dict[str, Callable[[Json], str]]:
    paths = [field["jsonPath"] for field in version.get("selectableFields") or []]
    return {path.lstrip("."): _field_text(path) for path in paths}


def _field_text(path: str) -> Callable[[Json], str]:
    def read(obj: Json) -> str:
        found = jsonpath.find(path, obj)
        if not found or found[0] is None:
            return ""
        value = found[0]
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read


def columns(printed: list[Json] | None) -> tuple[Column, ...]:
    """The name, then the definition's own columns; without any, the age."""
    name = Column(name="Name", format="name", cell=name_cell)
    if not printed:
        return (name, Column(name="Age", type="date", cell=age_cell))
    return (name, *(_column(column) for column in printed))


def _column(column: Json) -> Column:
    path, kind = column["jsonPath"], column["type"]

    def cell(obj: Json, moment: Moment) -> Any:
        found = jsonpath.find(path, obj)
        return _shown(kind, found[0], moment) if found else None

    return Column(
        name=column["name"],
        type=kind,
        format=column.get("format") or "",
        priority=column.get("priority") or 0,
        description=column.get("description")
        or f"Custom resource definition column (in JSONPath format): {path}",
        cell=cell,
    )


def _shown(kind: str, value: Any, moment: Moment) -> Any:
    """A value as a cell of the column's type; None where it does not fit."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return _text(value)
        case "integer" if number:
            return int(value)
        case "number" if number:
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            try:
                return age(value, moment)
            except ValueError:
                return "<invalid>"
        case _:
            return None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
