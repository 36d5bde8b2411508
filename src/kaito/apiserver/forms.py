"""The forms of an object: what is stored, and what the version that a request names makes of it.

A custom object is stored in the version that was the storage version when it was written, and
stays so until it is written again. Reading it prunes and defaults by the schema it was stored by,
converts it, and prunes by the schema of the version that is wanted.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Final

import msgspec

from kaito.apiserver import converting
from kaito.apiserver.core import Call, encode, loaded, unloaded
from kaito.apiserver.storage import Stored
from kaito.kube.objects import Json

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def shown(call: Call, stored: Stored, *, fresh: bool = False) -> Json:
    """A stored object, head included, in the version of the request; the caller's own.

    `fresh`: convert it for this request, as reads of one object do; others take what is known.
    """
    if not _converts(call, stored):
        return loaded(call.kind, stored.json())
    wanted = call.kind.resource.api_version
    known = None if fresh else _known(call, stored)
    if known is None:
        known = encode(_converted(call, _whole(call, stored), wanted))
        stored.memo[wanted] = (call.kind, known)
    return _decode(known)


def text(call: Call, stored: Stored, *, fresh: bool = False) -> bytes:
    """The same as JSON."""
    if not _converts(call, stored):
        if call.kind.conversion is None:
            return call.kind.whole(stored.tail)
        return encode(loaded(call.kind, stored.json()))
    known = None if fresh else _known(call, stored)
    return encode(shown(call, stored, fresh=fresh)) if known is None else known


class _Metadata(msgspec.Struct):
    metadata: msgspec.Raw


_metadata: Final = msgspec.json.Decoder(_Metadata).decode


def metadata(call: Call, stored: Stored) -> bytes | None:
    """The metadata alone as JSON, where it is stored as it is shown."""
    if _converts(call, stored) or call.kind.conversion is not None:
        return None
    return bytes(_metadata(stored.tail).metadata)


def expect(call: Call, objects: Iterable[Stored], *, fresh: bool = False) -> None:
    """All of these are going to be shown: ask about them together. Raises Unanswered."""
    if call.kind.webhook is None:
        return
    unknown = [s for s in objects if _converts(call, s) and (fresh or _known(call, s) is None)]
    whole = [_whole(call, stored) for stored in unknown]
    converting.expect(call, whole, call.kind.resource.api_version)


def kept(call: Call, obj: Json) -> Json:
    """What storage takes of `obj`, which stays as it is: in the storage version."""
    kind = call.kind
    if not kind.custom or kind.resource == kind.stored:
        return unloaded(kind, dict(obj))
    wanted = kind.stored.api_version
    converted = _converted(call, obj, wanted)
    _default(call, converted)
    return unloaded(kind, converted)


def reread(call: Call, taken: Json) -> Json:
    """What storage is about to take, as the next read will show it."""
    kind = call.kind
    return _converted(call, {"kind": kind.resource.kind, **taken}, kind.resource.api_version)


def stale(call: Call, stored: Stored) -> bool:
    """Whether a write that changes nothing still stores the object in another version."""
    return call.kind.custom and stored.written != call.kind.stored.api_version


def _converts(call: Call, stored: Stored) -> bool:
    return call.kind.webhook is not None and stored.written != call.kind.resource.api_version


def _known(call: Call, stored: Stored) -> bytes | None:
    kind, known = stored.memo.get(call.kind.resource.api_version, (None, None))
    return known if kind is call.kind else None


def _whole(call: Call, stored: Stored) -> Json:
    return {"apiVersion": stored.written, "kind": call.kind.resource.kind, **stored.json()}


def _converted(call: Call, obj: Json, api_version: str) -> Json:
    """A copy of `obj` in another version, without what that one does not know."""
    converted = deepcopy(converting.convert(call, obj, api_version))
    schemas, resource = call.core.schemas, call.kind.resource
    schema = schemas.lookup(resource.group, api_version.rpartition("/")[2], resource.kind)
    if schema is not None:
        schemas.decode(schema, converted)
    return converted


def _default(call: Call, obj: Json) -> None:
    """By the storage version's schema, as whoever reads the object would."""
    stored = call.kind.stored
    schema = call.core.schemas.lookup(stored.group, stored.version, stored.kind)
    if schema is not None:
        call.core.schemas.default(schema, obj)
