"""What every part of the server shares: the storage, the register, the schemas, time and chance."""

from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final, final

import msgspec

from kaito.apiserver.asking import Answers
from kaito.apiserver.kinds import Kind, Kinds
from kaito.apiserver.routing import Target
from kaito.apiserver.schemas import KindSchema, Schemas
from kaito.apiserver.storage import Bucket, Storage
from kaito.kube.clock import Clock, rfc3339
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.transport import Request

encode: Final = msgspec.json.Encoder().encode


@final
@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What else whoever authenticated the user knows, by key."""


ADMIN: Final = User("admin", ("system:masters", "system:authenticated"))
ANONYMOUS: Final = User("system:anonymous", ("system:unauthenticated",))


@final
@dataclass(slots=True, kw_only=True)
class Core:
    """The server's state. Handlers are functions that take it."""

    clock: Clock
    random: Random
    storage: Storage
    kinds: Kinds
    schemas: Schemas
    demands_accounts: bool = False
    """Pods must have a ServiceAccount, and get what it brings."""
    moment: datetime | None = None
    """When the request at hand is answered, however often that is attempted."""

    def wall(self) -> datetime:
        return self.clock.wall() if self.moment is None else self.moment

    def now(self) -> str:
        return rfc3339(self.wall())

    def bucket(self, kind: Kind) -> Bucket:
        return self.storage.bucket(kind.bucket)

    def schema(self, kind: Kind) -> KindSchema | None:
        resource = kind.resource
        return self.schemas.lookup(resource.group, resource.version, resource.kind)


@final
@dataclass(slots=True, kw_only=True)
class Call:
    """One authorized request for a resource that exists."""

    core: Core
    user: User
    request: Request
    target: Target
    kind: Kind
    warnings: list[str] = field(default_factory=list)
    answers: Answers | None = None
    """What webhooks said; None where none can be asked."""
    reviewed: bool = False
    """Webhooks of admission are asked."""

    @property
    def key(self) -> ObjectKey:
        """The object that the path names."""
        namespace = self.target.namespace if self.kind.resource.namespaced else ""
        return ObjectKey(namespace, self.target.name)

    def warn(self, text: str) -> None:
        """Tell the client by a `Warning` header, once."""
        if text not in self.warnings:
            self.warnings.append(text)


def loaded(kind: Kind, obj: Json) -> Json:
    """A stored object (without head) as this version of its kind, head included."""
    if kind.conversion is not None:
        obj = kind.conversion.load(obj)
    return {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, **obj}


def unloaded(kind: Kind, obj: Json) -> Json:
    """The reverse: what storage takes, which of a custom object has its apiVersion. Edits `obj`."""
    obj.pop("kind", None)
    if kind.custom:
        obj["apiVersion"] = kind.stored.api_version
    else:
        obj.pop("apiVersion", None)
    return kind.conversion.store(obj) if kind.conversion is not None else obj
