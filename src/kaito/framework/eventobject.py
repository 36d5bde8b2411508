"""The `events.k8s.io/v1` object of one event and its repetitions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, final

import msgspec

from kaito.kube.clock import Timer, rfc3339_micro
from kaito.kube.objects import Json, ObjectKey, Record

EventType = Literal["Normal", "Warning"]

_NOTE_BYTES = 1024
"""The longest note that the API server accepts."""


class Reference(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The object an event is about. Thousands are remembered, unseen by the garbage collector."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def json(self) -> Json:
        fields: dict[str, Any] = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
        return {name: value for name, value in fields.items() if value}


def reference(obj: Record | Json) -> Reference:
    """The reference to an object in either form."""
    if isinstance(obj, Record):
        meta = obj.meta
        return Reference(
            api_version=obj.api_version,
            kind=obj.kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
        )
    metadata = obj.get("metadata") or {}
    return Reference(
        api_version=obj.get("apiVersion") or "",
        kind=obj.get("kind") or "",
        namespace=metadata.get("namespace") or "",
        name=metadata.get("name") or "",
        uid=metadata.get("uid") or "",
    )


class What(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What happened. Two equal ones are the same event twice."""

    component: str
    instance: str
    regarding: Reference
    related: Reference | None
    type: EventType
    reason: str
    action: str
    note: str


@final
@dataclass(slots=True, kw_only=True, eq=False)
class Series:
    """One event object: what happened, how often, and how much of that the server knows."""

    what: What
    name: str
    first: datetime
    last: float
    last_wall: datetime
    count: int = 1
    written: int = 0
    """The count that the server knows; 0: the object does not exist yet."""
    written_at: float | None = None
    queued: bool = False
    timer: Timer | None = None

    @property
    def key(self) -> ObjectKey:
        """Events about cluster-scoped objects live in `default`."""
        return ObjectKey(self.what.regarding.namespace or "default", self.name)

    def repeat(self, now: float, wall: datetime) -> None:
        """It happened again."""
        self.count += 1
        self.last = now
        self.last_wall = wall

    def counts(self) -> Json:
        """`series`."""
        return {"count": self.count, "lastObservedTime": rfc3339_micro(self.last_wall)}

    def json(self) -> Json:
        """The whole object."""
        what = self.what
        event: Json = {
            "metadata": {"namespace": self.key.namespace, "name": self.name},
            "eventTime": rfc3339_micro(self.first),
            "reportingController": what.component,
            "reportingInstance": what.instance[:128],
            "action": what.action,
            "reason": what.reason,
            "regarding": what.regarding.json(),
            "note": _cut(what.note),
            "type": what.type,
        }
        if what.related is not None:
            event["related"] = what.related.json()
        if self.count > 1:
            event["series"] = self.counts()
        return event


def _cut(note: str) -> str:
    text = note.encode()
    if len(text) <= _NOTE_BYTES:
        return note
    return text[: _NOTE_BYTES - 3].decode("utf-8", "ignore") + "..."
