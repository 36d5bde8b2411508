"""PATCH by content type: JSON patch, merge patch, strategic merge patch, apply."""

import re
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
import yaml

from kaito.apiserver import bodies, gojson, metadata, writing
from kaito.apiserver.apply import apply
from kaito.apiserver.core import Call
from kaito.apiserver.goprint import plain
from kaito.apiserver.options import APPLY_PATCH, WriteOptions
from kaito.apiserver.ownership import shape_of
from kaito.apiserver.status import (
    Refused,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    not_found,
    required_value,
    unsupported_media,
)
from kaito.apiserver.strategic import StrategicPatchError, strategic_merge
from kaito.apiserver.typed import ANYTHING
from kaito.apiserver.writing import Written
from kaito.kube.objects import Json
from kaito.kube.patches import PatchError, json_patch, merge_patch
from kaito.kube.schema.fields import compact, quote

_HEAD: Final = frozenset({"kind", "apiVersion", "metadata"})
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"


def patch(call: Call, options: WriteOptions) -> Written:
    """Alter what is stored as the patch says; an apply may create it."""
    if _media(call) == APPLY_PATCH:
        return _apply(call, options)
    return writing.change(call, options, lambda live: _altered(call, live, options))


def _media(call: Call) -> str:
    return call.request.headers.get("content-type", "").partition(";")[0]


def _content(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(f"error decoding patch: {gojson.complaint(body) or error}") from error


def patched(call: Call, live: Json) -> Json:
    """`live` as the request's patch makes it."""
    media = _media(call)
    alter = _ALTERATIONS.get(media)
    if alter is None or (media == STRATEGIC_PATCH and call.kind.custom):
        if call.kind.custom:
            raise unsupported_media(_CUSTOM)
        raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
    new = alter(call, live, _content(call.request.body))
    if not isinstance(new, dict):
        raise bad_request("the patch does not leave an object")
    return new


def _altered(call: Call, live: Json, options: WriteOptions) -> Json:
    new = patched(call, live)
    _check_head(call, new)
    metadata.check_name(new, call.target.name)
    # What the patch left alone has been decoded before.
    same = {name: value for name, value in new.items() if value == live.get(name)}
    kept = {name: value for name, value in same.items() if name not in _HEAD}
    altered = {name: value for name, value in new.items() if name not in kept}
    strict = call.kind.custom and options.validation == "Strict"
    told = compact(new) if strict else ""  # decoding prunes in place
    try:
        bodies.clean(call, altered, options, _repeated(call))
    except Refused as refused:
        raise _unfit(call, new, refused, told) from refused
    return {**altered, **kept}


def _check_head(call: Call, new: Json) -> None:
    try:
        bodies.check_head(call, new)
    except Refused as refused:
        if call.kind.custom:
            raise
        raise _unfit(call, new, refused) from refused


def _repeated(call: Call) -> list[str]:
    """What the patch says twice, or says in vain."""
    content = _content(call.request.body)
    if _media(call) != JSON_PATCH:
        return gojson.doubled(call.request.body, content)
    doubles = gojson.doubled(call.request.body, content)
    unknown = (
        f'unknown field "[{index}].{name}"'
        for index, one in enumerate(content)
        for name in one
        if name not in _OPERATION
    )
    return [f"json patch {text}" for text in (*doubles, *unknown)]


_OPERATION: Final = frozenset({"op", "path", "from", "value"})


_JSON_ERROR: Final = re.compile(
    r"json: cannot unmarshal (number|string|bool) into Go struct field \S+ of type "
    r"(string|bool|int32|int64)"
)
_CONVERTED: Final = {"number": "int64"}


def _unconverted(found: re.Match[str]) -> str:
    """A strategic patch is not read as JSON: its values are converted, in other words."""
    return f"cannot convert {_CONVERTED.get(found[1], found[1])} to {found[2]}"


def _unfit(call: Call, new: Json, refused: Refused, told: str = "") -> Refused:
    """422 about the whole patched object (or strategic patch), as the real server says it."""
    why = refused.message.partition("cannot be handled as a ")[2].partition(": ")[2]
    if _media(call) == STRATEGIC_PATCH:
        shown = quote(plain(_content(call.request.body)))
        why = _JSON_ERROR.sub(_unconverted, why)
    else:
        shown = quote(told or msgspec.json.encode(new).decode())
    return invalid("", "", "", [invalid_value("patch", shown, why or refused.message)])


def _merge(_: Call, live: Json, content: Any) -> Json:
    if content is None:
        raise bad_request("Invalid JSON Patch")
    if not isinstance(content, dict):
        kind = "array" if isinstance(content, list) else type(content).__name__
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type "
            "map[string]interface {}"
        )
    merged: Json = merge_patch(live, content)
    return merged


def _json(_: Call, live: Json, content: Any) -> Json:
    if not isinstance(content, list):
        kind = "object" if isinstance(content, dict) else type(content).__name__
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type "
            "[]handlers.jsonPatchOp"
        )
    try:
        return _json_patched(live, content)
    except PatchError as error:
        message = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", message, details={}) from error


def _json_patched(live: Json, operations: list[Any]) -> Json:
    """By the RFC, but a real server adds what `replace` does not find, and copies it as null."""
    try:
        return cast(Json, json_patch(live, operations))
    except PatchError:
        if not all(isinstance(one, dict) for one in operations):
            raise
    patched: Any = live
    for one in operations:
        patched = json_patch(patched, [_leniently(patched, one)])
    return cast(Json, patched)


def _leniently(value: Any, operation: Json) -> Json:
    kind, path = operation.get("op"), operation.get("path")
    if kind == "replace" and _lacks_member(value, str(path)):
        return {**operation, "op": "add"}
    if kind == "copy" and _lacks_member(value, str(operation.get("from"))):
        return {"op": "add", "path": path, "value": None}
    return operation


def _lacks_member(value: Any, path: str) -> bool:
    *parents, member = (part.replace("~1", "/").replace("~0", "~") for part in path.split("/"))
    for step in parents[1:]:
        value = value.get(step) if isinstance(value, dict) else None
    return isinstance(value, dict) and member not in value


def _strategic(call: Call, live: Json, content: Any) -> Json:
    if not isinstance(content, dict):
        kind = "array" if isinstance(content, list) else type(content).__name__
        raise bad_request(
            f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    schema = call.core.schema(call.kind)
    try:
        return strategic_merge(live, content, schema.schema if schema is not None else ANYTHING)
    except StrategicPatchError as error:
        raise Refused(500, "", str(error)) from error


def _apply(call: Call, options: WriteOptions) -> Written:
    """Server-side apply: creates what does not exist."""
    resource = call.kind.resource
    config = configuration(call, resource.kind, resource.api_version)
    stored = call.core.bucket(call.kind).get(call.key)
    if stored is None:
        return _apply_new(call, config, options)
    return writing.change(
        call, options, lambda live: _applied(call, live, config, options), owned=True
    )


def is_apply(call: Call) -> bool:
    return call.target.verb == "patch" and _media(call) == APPLY_PATCH


def configuration(call: Call, kind: str, api_version: str) -> Json:
    """The body of an apply: an object of exactly this kind. It must say who applies."""
    if not call.request.param("fieldManager"):
        cause = required_value("fieldManager", "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    try:
        config = yaml.load(call.request.body, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: it is not an object")
    given, version = config.get("kind", ""), config.get("apiVersion", "")
    if (given, version) != (kind, api_version):
        shown = version if "/" in str(version) else f"/{version}"
        raise bad_request(f"invalid object type: {shown}, Kind={given}")
    metadata.meta(config)
    return config


def _apply_new(call: Call, config: Json, options: WriteOptions) -> Written:
    if call.target.subresource:
        raise not_found(call.kind.resource, call.target.name)
    given = metadata.meta(config)
    if uid := given.get("uid"):
        why = (
            f"uid mismatch: the provided object specified uid {uid}, "
            "and no existing object was found"
        )
        raise conflict(call.kind.resource, call.target.name, why)
    # A version is a condition on what exists; nothing does.
    given.pop("resourceVersion", None)
    obj = _applied(call, None, config, options)
    return writing.create(call, obj, options, owned=True)


def _applied(call: Call, live: Json | None, config: Json, options: WriteOptions) -> Json:
    applied = apply(
        live,
        config,
        manager=options.manager,
        force=options.force,
        shape=shape_of(call),
        now=call.core.now(),
    )
    obj = applied.obj
    metadata.check_name(obj, call.target.name)
    bodies.clean(call, obj, options, [])
    return obj


_ALTERATIONS: Final[dict[str, Callable[[Call, Json, Any], Json]]] = {
    MERGE_PATCH: _merge,
    JSON_PATCH: _json,
    STRATEGIC_PATCH: _strategic,
}
_CUSTOM: Final = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
