"""One pass over the bytes of a watch event: its type, its metadata, the rest as it came.

To split an object into its top-level fields and then decode some of them reads the metadata twice.
A struct that names the fields is decoded in one go, but nobody tells us beforehand which fields
a kind has. So they are learned: the struct knows the names seen so far and forbids any other,
and who meets another decodes that event the general way and tells us its names.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal, final

import msgspec

from kaito.kube.objects import Meta, Record, Resource

Change = Literal["ADDED", "MODIFIED", "DELETED"]

PARTIAL = "PartialObjectMetadata"
"""The kind of what comes when metadata alone was asked for."""

_FIRST = ("spec", "status")
_MOST = 32
"""Names that are learned; a kind with more top-level fields than that has no fixed ones."""


@final
class OnePass:
    """Decodes lines of one resource. With `metadata_only` it drops all but the head."""

    def __init__(self, resource: Resource, *, metadata_only: bool = False) -> None:
        self._api_version, self._kind = resource.api_version, resource.kind
        # What the server leaves out is what was asked for.
        self._heads = {("", ""), ("", self._kind), (self._api_version, self._kind)}
        if metadata_only:
            self._heads.add(("meta.k8s.io/v1", PARTIAL))
        self._metadata_only = metadata_only
        self._names: tuple[str, ...] = () if metadata_only else _FIRST
        self._decode = _decoder(self._names, strict=not metadata_only)

    def __call__(self, line: bytes | memoryview) -> tuple[Change, Record] | None:
        """The change and the object. None when this is anything else, or has a field that was not
        learned: then somebody has to look closer.
        """
        try:
            event = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        api_version, kind, meta, *raws = msgspec.structs.astuple(event.object)
        if (api_version, kind) not in self._heads:
            return None
        if meta is None or not meta.name or not meta.resource_version:
            return None
        fields: dict[str, bytes] = {}
        for name, raw in zip(self._names, raws, strict=True):
            if raw is not None:
                fields[name] = bytes(raw)
        # These two texts are shared by all records.
        record = Record(api_version=self._api_version, kind=self._kind, meta=meta, fields=fields)
        return event.type, record

    def learn(self, names: Iterable[str]) -> None:
        """Objects have these fields too."""
        new = [name for name in names if name not in self._names]
        if new and not self._metadata_only and len(self._names) + len(new) <= _MOST:
            self._names = (*self._names, *new)
            self._decode = _decoder(self._names, strict=True)


@lru_cache(maxsize=256)
def _decoder(names: tuple[str, ...], *, strict: bool) -> Callable[[bytes | memoryview], Any]:
    """Of `{type, object}`; `strict`: raises for fields of the object that are not among `names`."""
    spelled = {f"field_{number}": name for number, name in enumerate(names)}
    fields = [("api_version", str, ""), ("kind", str, ""), ("metadata", Meta | None, None)]
    shape = msgspec.defstruct(
        "Object",
        [*fields, *((field, msgspec.Raw, None) for field in spelled)],
        rename={"api_version": "apiVersion", **spelled},
        forbid_unknown_fields=strict,
        gc=False,
    )
    event = msgspec.defstruct("Event", [("type", Change), ("object", shape)], gc=False)
    return msgspec.json.Decoder(event).decode
