"""GET and LIST: one object, or a page of them as of one moment."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

import msgspec

from kaito.apiserver import forms, gojson
from kaito.apiserver.core import Call, encode
from kaito.apiserver.negotiation import accepted
from kaito.apiserver.options import list_limit, list_version, version_match, version_of
from kaito.apiserver.representing import JSON_HEADERS, drawn, respond
from kaito.apiserver.selecting import Selection, selection
from kaito.apiserver.status import (
    Refused,
    bad_request,
    expired,
    too_large_version,
)
from kaito.apiserver.storage import Bucket, Stored, path_of
from kaito.apiserver.writing import current
from kaito.kube.objects import Json
from kaito.kube.transport import Response

_PAGING_VERSION: Final = "meta.k8s.io/v1"


def get(call: Call) -> Response:
    """One object, in the shape that the client accepts."""
    how = accepted(call.request)
    asked = version_of(call.request.param("resourceVersion"))
    if asked > call.core.storage.revision:
        raise too_large_version(asked, call.core.storage.revision)
    stored = current(call, call.key)
    if how.shape == "object" and not how.yaml:
        body = forms.text(call, stored, fresh=True)
        return Response(status=200, headers=JSON_HEADERS, body=body)
    return respond(call, forms.shown(call, stored, fresh=True), 200, how)


@final
@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, and where the next part begins."""

    items: list[Stored]
    version: int
    continue_: str = ""
    remaining: int | None = None


@final
class Token(msgspec.Struct, rename={"version": "v"}):
    """What a continue token says: the moment of the list, and the last key that was sent."""

    version: str
    rv: int
    start: str


def list_(call: Call) -> Response:
    """A page of the objects that the request selects."""
    how = accepted(call.request)
    chosen = selection(call)
    page = page_of(call, chosen)
    forms.expect(call, page.items)
    if how.shape != "object":
        objects = [forms.shown(call, stored) for stored in page.items]
        return respond(call, drawn(call, objects, _list_meta(page), how), 200, how, drawn=True)
    body = _body(call, page)
    if how.yaml:
        return respond(call, msgspec.json.decode(body), 200, how)
    return Response(status=200, headers=JSON_HEADERS, body=body)


def _list_meta(page: Page) -> Json:
    metadata: Json = {"resourceVersion": str(page.version)}
    if page.continue_:
        metadata["continue"] = page.continue_
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    return metadata


def _body(call: Call, page: Page) -> bytes:
    kind = call.kind
    meta = _list_meta(page)
    if kind.custom:
        meta = {"continue": "", **meta}  # As the real server has it, and only here.
    head = (
        f'{{"kind":"{kind.list_kind}","apiVersion":"{kind.resource.api_version}","metadata":'
    ).encode()
    return b"".join((head, encode(meta), b',"items":[', b",".join(_items(call, page.items)), b"]}"))


def _items(call: Call, stored: Iterable[Stored]) -> Iterable[bytes]:
    """Items of built-in kinds bear no apiVersion and kind, those of custom kinds do."""
    kind = call.kind
    if kind.custom:
        return (forms.text(call, one) for one in stored)
    if kind.conversion is not None:
        return (encode(kind.conversion.load(one.json())) for one in stored)
    return (one.tail for one in stored)


def page_of(call: Call, chosen: Selection) -> Page:
    """The page that `limit`, `continue` and `resourceVersion` ask for."""
    request = call.request
    bucket = call.core.bucket(call.kind)
    limit = list_limit(request)
    match = version_match(call)
    asked = list_version(request.param("resourceVersion"))
    text = request.param("continue")
    if text:
        token = read_token(text)
        if request.param("resourceVersion") not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        if request.param("resourceVersion") == "0":
            limit = 0  # from the cache, which does not cut
        return _continued(call, bucket, chosen, limit, token)
    if asked > call.core.storage.revision:
        raise too_large_version(asked, call.core.storage.revision)
    exact = match == "Exact" or (limit and asked and not match)
    if exact and asked < call.core.storage.revision:
        return _past(call, bucket, chosen, limit, asked, after="")
    found = chosen.of(bucket.scan(chosen.namespace))
    return _cut(found, limit, call.core.storage.revision, chosen)


def _cut(found: list[Stored], limit: int, version: int, chosen: Selection) -> Page:
    if not limit or len(found) <= limit:
        return Page(found, version)
    token = Token(_PAGING_VERSION, version, path_of(found[limit - 1].key))
    remaining = len(found) - limit if chosen.everything else None
    return Page(found[:limit], version, write_token(token), remaining)


def _continued(call: Call, bucket: Bucket, chosen: Selection, limit: int, token: Token) -> Page:
    if token.rv < 0:
        found = chosen.of(bucket.scan(chosen.namespace, token.start))
        return _cut(found, limit, call.core.storage.revision, chosen)
    return _past(call, bucket, chosen, limit, token.rv, after=token.start)


def _past(
    call: Call, bucket: Bucket, chosen: Selection, limit: int, version: int, *, after: str
) -> Page:
    """The list as it was at `version`, behind the key `after`."""
    if version < call.core.storage.oldest(bucket):
        if after:
            fresh = write_token(Token(_PAGING_VERSION, -1, after))
            raise expired(_CONTINUE_EXPIRED, continue_=fresh)
        raise expired("The resourceVersion for the provided list is too old.")
    objects = bucket.as_of(version)
    found = chosen.of(stored for path, stored in objects.items() if path > after)
    return _cut(found, limit, version, chosen)


_CONTINUE_EXPIRED: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


def write_token(token: Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def read_token(text: str) -> Token:
    """Raises 400 for what this server did not write."""
    decoded = b""
    try:
        padded = text + "=" * (-len(text) % 4)
        decoded = base64.urlsafe_b64decode(padded)
        token = msgspec.json.decode(decoded, type=Token)
    except (ValueError, msgspec.DecodeError) as error:
        raise _invalid_token(gojson.complaint(decoded) or str(error)) from error
    if token.version != _PAGING_VERSION:
        raise _invalid_token(f"server does not recognize this encoded version {token.version}")
    if token.rv == 0:
        why = f"incorrect encoded start resourceVersion (version {token.version})"
        raise _invalid_token(why)
    return token


def _invalid_token(why: str) -> Refused:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
