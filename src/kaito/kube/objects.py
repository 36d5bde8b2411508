"""Objects as they travel: keys, kinds, and records that nobody can change by accident.

A `Record` is what every read hands out. Its metadata is decoded once; every other top-level
field stays as the JSON bytes that arrived and is decoded only when asked for, so holding ten
thousand pods costs little more than their JSON. `managedFields` are dropped on the way in.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

Json = dict[str, Any]
"""A JSON object. The one place in this code base where `Any` is the honest type."""

T = TypeVar("T")


class ObjectKey(NamedTuple):
    """Names one object of a kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Resource(NamedTuple):
    """One served version of a kind, and where it lives in the URL space."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_kind(self) -> str:
        """`Kind.group`, the form in which messages name a kind."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def group_resource(self) -> str:
        """`plural.group`, the form in which `Status` messages name a resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of a subresource of it."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            prefix = f"{prefix}/namespaces/{namespace}"
        tail = "/".join(part for part in (self.plural, name, subresource) if part)
        return f"{prefix}/{tail}"


class OwnerReference(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True
):
    """`metadata.ownerReferences[]`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


_NO_STRINGS: Mapping[str, str] = MappingProxyType({})


class Meta(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """`metadata`, without `managedFields`. Timestamps stay RFC 3339 text."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    label_map: dict[str, str] | None = msgspec.field(default=None, name="labels")
    annotation_map: dict[str, str] | None = msgspec.field(default=None, name="annotations")
    owner_references: tuple[OwnerReference, ...] | None = None
    finalizer_list: tuple[str, ...] | None = msgspec.field(default=None, name="finalizers")

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)

    @property
    def labels(self) -> Mapping[str, str]:
        """A read-only view."""
        return MappingProxyType(self.label_map) if self.label_map else _NO_STRINGS

    @property
    def annotations(self) -> Mapping[str, str]:
        """A read-only view."""
        return MappingProxyType(self.annotation_map) if self.annotation_map else _NO_STRINGS

    @property
    def finalizers(self) -> tuple[str, ...]:
        return self.finalizer_list or ()

    @property
    def owners(self) -> tuple[OwnerReference, ...]:
        return self.owner_references or ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that has `controller: true`, if any."""
        return next((owner for owner in self.owners if owner.controller), None)

    @property
    def deleting(self) -> bool:
        return self.deletion_timestamp is not None

    def json(self) -> Json:
        """A fresh dict, as it would be decoded from JSON: lists, never tuples."""
        return _ANY.decode(msgspec.json.encode(self))


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One object as it was read. Immutable; `json()` gives a copy that the caller owns."""

    api_version: str
    kind: str
    meta: Meta
    fields: dict[str, bytes]
    """Every top-level field except apiVersion, kind and metadata, as JSON text. Do not write."""

    def __repr__(self) -> str:
        """Which object and which version; never its content, which may be secret."""
        return f"<{self.kind} {self.key} @{self.meta.resource_version}>"

    @property
    def key(self) -> ObjectKey:
        return self.meta.key

    def raw(self, field: str) -> bytes | None:
        """The JSON text of one top-level field (`spec`, `status`, `data` ...), or None."""
        return self.fields.get(field)

    def field(self, name: str, type: type[T]) -> T | None:  # noqa: A002 - reads as what it is
        """Decode one top-level field into `type`; None when it is absent.

        Raises msgspec.ValidationError when the JSON does not fit the type.
        """
        text = self.fields.get(name)
        return None if text is None else msgspec.json.decode(text, type=type)

    def get(self, *path: str) -> Any:
        """Decode the top-level field `path[0]` and walk down; None where anything is absent."""
        text = self.fields.get(path[0])
        if text is None:
            return None
        value = msgspec.json.decode(text)
        for step in path[1:]:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    def json(self) -> Json:
        """The whole object (less managedFields) as a fresh dict."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": self.meta.json(),
            **{name: msgspec.json.decode(text) for name, text in self.fields.items()},
        }

    def with_fields(self, **values: Any) -> "Record":
        """A record like this one with some top-level fields replaced; for cache transforms."""
        replaced = {name: msgspec.json.encode(value) for name, value in values.items()}
        return msgspec.structs.replace(self, fields={**self.fields, **replaced})

    def size(self) -> int:
        """Bytes of JSON held (metadata not counted)."""
        return sum(map(len, self.fields.values()))


_ANY: msgspec.json.Decoder[Json] = msgspec.json.Decoder(Json)
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_META = msgspec.json.Decoder(Meta | None)


def record(text: bytes | msgspec.Raw) -> Record:
    """Decode one object. The bytes are copied, never kept alive as part of a larger buffer.

    Raises msgspec.DecodeError (of which ValidationError is one) when it is not an object.
    """
    return record_of_fields(_TOP.decode(text))


def record_of_fields(
    top: dict[str, msgspec.Raw], *, api_version: str = "", kind: str = ""
) -> Record:
    """The record of an object that is split into its top-level fields; `top` is used up.

    `api_version` and `kind` are for items of a list, which the server leaves without them.
    Raises msgspec.DecodeError when one of the three head fields is not what it should be.
    """
    given_version, given_kind = top.pop("apiVersion", None), top.pop("kind", None)
    metadata = top.pop("metadata", None)
    return Record(
        api_version=_TEXT.decode(given_version) if given_version is not None else api_version,
        kind=_TEXT.decode(given_kind) if given_kind is not None else kind,
        meta=_META.decode(metadata) or _NO_META if metadata is not None else _NO_META,
        fields={name: bytes(raw) for name, raw in top.items()},
    )


_NO_META = Meta()


def record_of(obj: Json) -> Record:
    """The record of an object that exists as a dict (tests, rendered objects)."""
    return record(msgspec.json.encode(obj))


def key_of(obj: Json) -> ObjectKey:
    """The key of a JSON object."""
    metadata = obj.get("metadata") or {}
    return ObjectKey(metadata.get("namespace") or "", metadata.get("name") or "")


def walk(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every leaf of a JSON value with its path, depth first, in the order of the document."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from walk(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from walk(child, (*path, index))
    else:
        yield path, value
