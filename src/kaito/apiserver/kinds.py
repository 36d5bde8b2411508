"""What is served: kinds, how each behaves when written, and the register of all of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, final

import msgspec

from kaito.apiserver.names import dns_subdomain
from kaito.apiserver.storage import Storage
from kaito.apiserver.webhookcalls import Endpoint
from kaito.kube.objects import Json, Resource

COLLECTION_VERBS: Final = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a Table. `cell` reads the object; the age of things needs `now`."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    cell: Callable[[Json, "Moment"], Any]
    description: str = ""


@final
@dataclass(frozen=True, slots=True)
class Moment:
    """When a Table is drawn: seconds since the epoch."""

    now: float


class Draft(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An object about to be written. Hooks edit `obj` in place, or raise `Refused`."""

    obj: Json
    old: Json | None
    """What it replaces; None at creation."""
    storage: Storage
    random: Random
    warn: Callable[[str], None]
    demands_accounts: bool = False
    """A pod must have a ServiceAccount."""


Hook = Callable[[Draft], None]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a kind differs from the plainest one when it is written, read or deleted."""

    defaults: tuple[Hook, ...] = ()
    """Run with the schema's defaults: the writer owns what they set."""
    admit: tuple[Hook, ...] = ()
    """Admission that needs nobody's answer: run on creates before mutating webhooks are asked, and
    again on what they made of the object. Nobody owns what they set."""
    verify: tuple[Hook, ...] = ()
    """Run on what is valid: raise what nobody may write."""
    prepare: tuple[Hook, ...] = ()
    """Run on creates and on updates of the whole object: nobody owns what they set."""
    generation: bool = False
    """`metadata.generation` counts the changes of everything but metadata and status."""
    counts_annotations: bool = False
    """... and those of annotations."""
    terminate: Hook | None = None
    """Run when an object is marked as being deleted."""
    deletion_counts: bool = True
    """Marking for deletion is a new generation."""
    name: Callable[[str], str | None] = dns_subdomain
    """Why a name may not be given, or None."""
    fields: Mapping[str, Callable[[Json], str]] = field(default_factory=dict)
    """Field labels besides metadata.name and metadata.namespace."""
    returns_deleted: bool = False
    """DELETE answers with the object, not with a `Status`."""
    orphans: bool = False
    """Without a propagation policy, dependents are orphaned."""
    graceful: bool = False
    """Deletion waits for a grace period that somebody (the kubelet) ends."""
    status_keeps: tuple[str, ...] = ()
    """Fields of metadata that a write of `status` cannot change."""
    keeps_status: bool = False
    """A created object may bring its status along."""
    creates_on_update: bool = False
    """PUT creates what does not exist."""


@final
@dataclass(frozen=True, slots=True)
class Conversion:
    """Between the stored form and this version of a kind. Each takes what it may edit."""

    load: Callable[[Json], Json]
    store: Callable[[Json], Json]


@final
@dataclass(frozen=True, slots=True)
class Webhook:
    """Who converts the objects of a definition, and the version of the reviews it wants."""

    endpoint: Endpoint
    review: str


PLAIN: Final = Strategy()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One served version of one kind."""

    resource: Resource
    singular: str
    list_kind: str
    bucket: str
    """Where its objects are stored: the same for every version, and for core and other Events."""
    stored: Resource
    """The version whose schema stored objects follow."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = COLLECTION_VERBS
    subresources: tuple[str, ...] = ()
    strategy: Strategy = PLAIN
    columns: tuple[Column, ...] = ()
    conversion: Conversion | None = None
    webhook: Webhook | None = None
    """Converts between versions; None: they differ in apiVersion alone."""
    custom: bool = False
    scale: "ScalePaths | None" = None
    deprecation: str = ""
    """What every request for this version is warned with."""
    head: bytes = field(default=b"", init=False)
    """The first bytes of every object of this kind."""

    def __post_init__(self) -> None:
        head = f'{{"kind":"{self.resource.kind}","apiVersion":"{self.resource.api_version}",'
        object.__setattr__(self, "head", head.encode())

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def whole(self, tail: bytes) -> bytes:
        """A stored object's JSON with this kind's first line."""
        return self.head + tail[1:]


@final
@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a kind keeps what its `scale` subresource shows (dotted, without leading dot)."""

    replicas: str
    status_replicas: str
    selector: str = ""
    """Empty: the kind has no selector. A string there is taken as it is; a map is formatted."""


@final
class Kinds:
    """Everything served now. Custom kinds come and go."""

    def __init__(self) -> None:
        self._by_plural: dict[tuple[str, str, str], Kind] = {}
        self._groups: dict[str, list[str]] = {}
        self.generation = 0
        """Grows with every change; what is derived from the register is cached by it."""

    def add(self, kind: Kind) -> None:
        resource = kind.resource
        self._by_plural[resource.group, resource.version, resource.plural] = kind
        versions = self._groups.setdefault(resource.group, [])
        if resource.version not in versions:
            versions.append(resource.version)
            versions.sort(key=version_order)
        self.generation += 1

    def remove(self, group: str, plural: str) -> None:
        """Every version of a kind; a group or version without kinds goes too."""
        gone = [key for key in self._by_plural if key[0] == group and key[2] == plural]
        for key in gone:
            del self._by_plural[key]
        left = {key[1] for key in self._by_plural if key[0] == group}
        self._groups[group] = [v for v in self._groups.get(group, []) if v in left]
        if not self._groups[group]:
            del self._groups[group]
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_plural.get((group, version, plural))

    def of_kind(self, group: str, version: str, kind: str) -> Kind | None:
        for found in self._by_plural.values():
            if found.resource.kind == kind and found.resource[:2] == (group, version):
                return found
        return None

    def versions(self, group: str) -> tuple[str, ...]:
        """Served versions, the preferred one first; empty for an unknown group."""
        return tuple(self._groups.get(group, ()))

    def groups(self) -> tuple[str, ...]:
        """Every group but the core one, in the order in which they came."""
        return tuple(group for group in self._groups if group)

    def of_version(self, group: str, version: str) -> tuple[Kind, ...]:
        """By plural name, as discovery lists them."""
        found = [k for key, k in self._by_plural.items() if key[:2] == (group, version)]
        return tuple(sorted(found, key=lambda kind: kind.resource.plural))

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._by_plural.values()))


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sort key of API versions: GA before beta before alpha, newest first, then other names."""
    rest = version[1:] if version.startswith("v") else ""
    for rank, stage in ((2, "alpha"), (1, "beta")):
        major, found, minor = rest.partition(stage)
        if found and major.isdigit() and (minor.isdigit() or not minor):
            return (rank, -int(major), -int(minor or 0), version)
    if rest.isdigit():
        return (0, -int(rest), 0, version)
    return (3, 0, 0, version)
