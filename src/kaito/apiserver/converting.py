"""Conversion webhooks: an object of one version of a kind as another, from whom its definition
names.

What a webhook answers is checked as the real server does, in its words: the object must be the same
one, and of its metadata only labels and annotations may differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from kaito.apiserver.asking import Question, Unanswered
from kaito.apiserver.core import Call, encode
from kaito.apiserver.goprint import type_name
from kaito.apiserver.kinds import Webhook
from kaito.apiserver.status import Refused
from kaito.apiserver.webhookcalls import CallFailed, unread
from kaito.kube.labels import key_problems, value_problems
from kaito.kube.objects import Json

_GROUP: Final = "apiextensions.k8s.io"
_SECONDS: Final = 30
"""How long a real server waits for a conversion."""
_BATCH: Final = 100
"""Objects of one review: as many as a page of a list, whose size a webhook is prepared for."""


@final
@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an object cannot be had in another version."""

    why: str


class _Response(msgspec.Struct, rename="camel"):
    uid: str = ""
    converted_objects: list[msgspec.Raw] | None = None
    result: Json = {}


class _Review(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    response: _Response | None = None


_decode: Final = msgspec.json.Decoder(_Review).decode


def convert(call: Call, obj: Json, wanted: str) -> Json:
    """`obj`, head included, as its equivalent of the apiVersion `wanted`. Do not write into it.

    Raises Unanswered, and Refused (500) when the webhook does not do it.
    """
    webhook = call.kind.webhook
    if obj["apiVersion"] == wanted or webhook is None:
        return {**obj, "apiVersion": wanted}
    found = _known(call, obj, wanted)
    if found is None:
        raise Unanswered([_question(webhook, [_bare(obj)], wanted)])
    if isinstance(found, _Failure):
        raise Refused(500, "", found.why)
    version = obj["metadata"].get("resourceVersion")
    if version is None:
        return found
    return {**found, "metadata": {**found["metadata"], "resourceVersion": version}}


def expect(call: Call, objects: Sequence[Json], wanted: str) -> None:
    """Ask about all of them at once, in as few reviews as may be. Raises Unanswered."""
    webhook = call.kind.webhook
    if webhook is None:
        return
    missing = [
        _bare(obj)
        for obj in objects
        if obj["apiVersion"] != wanted and _known(call, obj, wanted) is None
    ]
    if missing:
        batches = [missing[first : first + _BATCH] for first in range(0, len(missing), _BATCH)]
        raise Unanswered([_question(webhook, batch, wanted) for batch in batches])


def _known(call: Call, obj: Json, wanted: str) -> Json | _Failure | None:
    if call.answers is None:
        raise LookupError(f"nobody can be asked to convert {call.kind.resource.kind}")
    found: Json | _Failure | None = call.answers.known.get(_key(_bare(obj), wanted))
    return found


def _key(bare: Json, wanted: str) -> bytes:
    return encode(["convert", wanted, bare])


def _bare(obj: Json) -> Json:
    """As it is shown: what is stored does not know its own version."""
    meta = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return {**obj, "metadata": meta}


def _question(webhook: Webhook, objects: list[Json], wanted: str) -> Question:
    def read(answer: bytes | CallFailed, uid: str) -> Mapping[bytes, Any]:
        found = _read(answer, uid, objects, wanted, webhook.review)
        return {_key(obj, wanted): one for obj, one in zip(objects, found, strict=True)}

    return Question(
        endpoint=webhook.endpoint,
        timeout=_SECONDS,
        review={
            "kind": "ConversionReview",
            "apiVersion": f"{_GROUP}/{webhook.review}",
            "request": {"uid": "", "desiredAPIVersion": wanted, "objects": objects},
            "response": {"uid": "", "convertedObjects": None, "result": {"metadata": {}}},
        },
        read=read,
    )


def _read(
    answer: bytes | CallFailed, uid: str, objects: list[Json], wanted: str, review: str
) -> list[Json | _Failure]:
    """Each object converted, or why it is not."""
    who = _subject(objects[0])
    try:
        if isinstance(answer, CallFailed):
            raise answer
        converted = _converted(answer, uid, review)
    except CallFailed as failed:
        return [_Failure(f"{_subject(obj)} failed: {failed}") for obj in objects]
    if len(converted) != len(objects):
        why = f"{who} returned {len(converted)} objects, expected {len(objects)}"
        return [_Failure(why)] * len(objects)
    return [_checked(obj, raw, wanted) for obj, raw in zip(objects, converted, strict=True)]


def _subject(obj: Json) -> str:
    return f"conversion webhook for {obj['apiVersion']}, Kind={obj['kind']}"


def _converted(body: bytes, uid: str, version: str) -> list[msgspec.Raw]:
    """The objects of an answer. Raises CallFailed."""
    try:
        review = _decode(body)
    except msgspec.DecodeError as error:
        raise CallFailed(unread(body, error)) from error
    if review.kind != "ConversionReview":
        raise CallFailed(
            f'no kind "{review.kind}" is registered for version "{review.api_version}" in scheme '
            '"pkg/runtime/scheme.go:111"'
        )
    if review.api_version != f"{_GROUP}/{version}":
        given = review.api_version.rpartition("/")[2]
        raise CallFailed(
            f"converting ({given}.ConversionReview) to ({version}.ConversionReview): unknown "
            "conversion"
        )
    response = review.response
    if response is None:
        raise CallFailed("no response provided")
    # The first version of reviews did not ask for the uid to be repeated.
    if version != "v1beta1" and response.uid != uid:
        raise CallFailed(f'expected response.uid="{uid}", got "{response.uid}"')
    status = response.result.get("status") or ""
    if status != "Success":
        why = f"response.result.status was '{status}', not 'Success'"
        raise CallFailed(response.result.get("message") or why)
    return response.converted_objects or []


def _checked(obj: Json, raw: msgspec.Raw, wanted: str) -> Json | _Failure:
    """What the webhook made of `obj`, if it is still the same object."""
    converted = _object(raw)
    if isinstance(converted, _Failure):
        return converted
    who = _subject(obj)
    for why in _strange(obj, converted, wanted):
        return _Failure(f"{who} returned invalid object{why}")
    meta = dict(obj["metadata"])
    given = converted.get("metadata") or {}
    for part in ("labels", "annotations"):
        if given.get(part) is None:
            meta.pop(part, None)
            continue
        if why := _unfit(part, given[part], meta.get(part)):
            return _Failure(f"{who} returned invalid metadata: {why}")
        meta[part] = given[part]
    return {**converted, "metadata": meta}


def _object(raw: msgspec.Raw) -> Json | _Failure:
    text = bytes(raw)
    if text == b"null":
        return _Failure("unexpected end of JSON input")
    found = msgspec.json.decode(text)
    if not isinstance(found, dict):
        given = type_name(found)
        told = f"json: cannot unmarshal {given} into Go value of type map[string]interface {{}}"
        return _Failure(told)
    if not found.get("kind"):
        return _Failure(f"Object 'Kind' is missing in '{text.decode()}'")
    return found


def _strange(obj: Json, converted: Json, wanted: str) -> Iterator[str]:
    """Why this is another object, or of another version than was asked for."""
    version, kind = converted.get("apiVersion") or "", converted["kind"]
    if version != wanted:
        yield f" at index 0: invalid groupVersion (expected {wanted}, received {version})"
    if kind != obj["kind"]:
        yield f" at index 0: invalid kind (expected {obj['kind']}, received {kind})"
    given = converted.get("metadata")
    meta = given if isinstance(given, dict) else {}
    for field, told in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        before, after = obj["metadata"].get(field) or "", meta.get(field) or ""
        if before != after:
            yield f": must have the same {told}: {before} != {after}"


def _unfit(part: str, given: Any, before: Json | None) -> str:
    """What is wrong with labels or annotations that a webhook sent."""
    if not isinstance(given, dict):
        return f"invalid metadata.{part} of type {type_name(given)} in converted object"
    for name, value in given.items():
        if not isinstance(value, str):
            kind = type_name(value)
            return f"metadata.{part}[{name}] must be a string, but is {kind} in converted object"
    if given == (before or {}):
        return ""
    told = list(_problems(part, given))
    return told[0] if len(told) == 1 else f"[{', '.join(told)}]" if told else ""


def _problems(part: str, given: dict[str, str]) -> Iterator[str]:
    # The real server says "annotation" here, for one as for many.
    where = "metadata.labels" if part == "labels" else "metadata.annotation"
    for name, value in given.items():
        key = name if part == "labels" else name.lower()
        for why in key_problems(key):
            yield f'{where}: Invalid value: "{name}": {why}'
        for why in value_problems(value) if part == "labels" else ():
            yield f'{where}: Invalid value: "{value}": {why}'
