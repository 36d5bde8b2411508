"""PATCH by content type: JSON patch, merge patch, strategic merge patch, apply."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kaito.apiserver import metadata, writing
from kaito.apiserver.core import Call
from kaito.apiserver.options import WriteOptions
from kaito.apiserver.status import Refused, bad_request
from kaito.apiserver.writing import Written
from kaito.kube.objects import Json
from kaito.kube.patches import PatchError, json_patch, merge_patch

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


def patch(call: Call, options: WriteOptions) -> Written:
    """Alter what is stored as the patch says."""
    return writing.change(call, options, lambda live: _altered(call, live, options))


def _content(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def patched(call: Call, live: Json) -> Json:
    """`live` as the request's patch makes it."""
    media = call.request.headers.get("content-type", "").partition(";")[0]
    alter = _ALTERATIONS.get(media)
    if alter is None:
        raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
    new = alter(call, live, _content(call.request.body))
    if not isinstance(new, dict):
        raise bad_request("the patch does not leave an object")
    return new


def _altered(call: Call, live: Json, options: WriteOptions) -> Json:
    new = patched(call, live)
    writing.check_head(call, new)
    metadata.check_name(new, call.target.name)
    writing.clean(call, new, options, [])
    return new


def _merge(_: Call, live: Json, content: Any) -> Json:
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
        patched: Json = json_patch(live, content)
    except PatchError as error:
        message = "the server rejected our request due to an error in our request"
        raise Refused(422, "Invalid", message, details={}) from error
    return patched


_ALTERATIONS: Final[dict[str, Callable[[Call, Json, Any], Json]]] = {
    MERGE_PATCH: _merge,
    JSON_PATCH: _json,
}
