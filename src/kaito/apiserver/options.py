"""Query parameters and bodies that steer a request."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import msgspec

from kaito.apiserver import protobuf
from kaito.apiserver.core import Call
from kaito.apiserver.routing import is_true
from kaito.apiserver.status import (
    Cause,
    Refused,
    bad_request,
    invalid,
    unsupported_value,
)
from kaito.kube.objects import Json
from kaito.kube.transport import Request

Validation = Literal["Strict", "Warn", "Ignore"]

_LONGEST_MANAGER: Final = 128
_KIND_OF_OPTIONS: Final = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """CreateOptions, UpdateOptions and PatchOptions in one."""

    dry_run: bool = False
    manager: str = ""
    validation: Validation = "Warn"
    force: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    dry_run: bool = False
    grace_seconds: int | None = None
    propagation: str = ""
    uid: str = ""
    version: str = ""


def write_options(call: Call) -> WriteOptions:
    """Of this request; raises `Refused` for values that mean nothing."""
    request = call.request
    return WriteOptions(
        dry_run=_dry_run(call, [value for name, value in request.query if name == "dryRun"]),
        manager=_manager(request),
        validation=_validation(call),
        force=is_true(request.param("force")),
    )


def _options_invalid(call: Call, causes: list[Cause]) -> Refused:
    return invalid("meta.k8s.io", _KIND_OF_OPTIONS[call.target.verb], "", causes)


def _dry_run(call: Call, values: list[str]) -> bool:
    if not values:
        return False
    if any(value != "All" for value in values):
        told = "[" + ", ".join(f'"{value}"' for value in values) + "]"
        raise _options_invalid(call, [unsupported_value("dryRun", told, ["All"])])
    return True


def _validation(call: Call) -> Validation:
    match call.request.param("fieldValidation"):
        case "Strict":
            return "Strict"
        case "Warn" | "":
            return "Warn"
        case "Ignore":
            return "Ignore"
        case other:
            known = ["", "Ignore", "Strict", "Warn"]
            cause = unsupported_value("fieldValidation", f'"{other}"', known)
            raise _options_invalid(call, [cause])


def _manager(request: Request) -> str:
    """`fieldManager`, else the user agent's first word: as the real server names writers."""
    given = request.param("fieldManager")
    if given:
        return given
    agent = request.headers.get("user-agent", "").partition("/")[0]
    return agent[:_LONGEST_MANAGER] or "unknown"


def delete_options(call: Call) -> DeleteOptions:
    """From the body, or from the query where there is no body."""
    body = call.request.body
    given = _decoded_options(call) if body.strip() else _query_options(call.request)
    preconditions = given.get("preconditions") or {}
    propagation = given.get("propagationPolicy") or ""
    if given.get("orphanDependents") is not None:
        propagation = "Orphan" if given["orphanDependents"] else "Background"
    if propagation not in ("", "Orphan", "Background", "Foreground"):
        known = ["Foreground", "Background", "Orphan", "nil"]
        cause = unsupported_value("propagationPolicy", f'"{propagation}"', known)
        raise _options_invalid(call, [cause])
    grace = given.get("gracePeriodSeconds")
    if grace is not None and grace < 0:
        grace = 1  # the real server's own reading of negative grace
    return DeleteOptions(
        dry_run=_dry_run(call, given.get("dryRun") or []),
        grace_seconds=grace,
        propagation=propagation,
        uid=preconditions.get("uid") or "",
        version=preconditions.get("resourceVersion") or "",
    )


def _decoded_options(call: Call) -> Json:
    """The body, as strictly typed as the real server has it."""
    wrapped = {"deleteOptions": body_object(call.request.body, "DeleteOptions")}
    try:
        _typed(call, wrapped, "policy", "Eviction")
    except Refused as refused:
        why = refused.message.partition(": ")[2]
        raise bad_request(why.replace("Eviction.deleteOptions", "DeleteOptions")) from refused
    found: Json = wrapped.get("deleteOptions") or {}
    return found


def typed_body(call: Call, group: str, kind: str) -> Json:
    """The body as an object of a built-in kind that is not the path's. Raises 400."""
    return _typed(call, body_object(call.request.body, kind), group, kind)


def _typed(call: Call, obj: Json, group: str, kind: str) -> Json:
    schema = call.core.schemas.lookup(group, "v1", kind)
    if schema is not None:
        call.core.schemas.decode(schema, obj)
    return obj


def _query_options(request: Request) -> Json:
    given: Json = {}
    if (grace := request.param("gracePeriodSeconds")) != "":
        try:
            given["gracePeriodSeconds"] = int(grace)
        except ValueError as error:
            raise bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax') from error
    given["propagationPolicy"] = request.param("propagationPolicy")
    if (orphan := request.param("orphanDependents")) != "":
        given["orphanDependents"] = is_true(orphan)
    given["dryRun"] = [value for name, value in request.query if name == "dryRun"]
    return given


def body_object(body: bytes, kind: str) -> Json:
    """The body (JSON or protobuf) as an object, or 400 in the words of the real server."""
    if body.startswith(protobuf.MAGIC):
        try:
            return protobuf.decode(body)
        except protobuf.Malformed as error:
            message = f"the object provided is unrecognized (must be of type {kind}): {error}"
            raise bad_request(message) from error
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        shown = body.decode("utf-8", "replace") if body.strip() else "<empty>"
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get "
            f"version/kind; json parse error: {_go_words(body, error)} ({shown})"
        ) from error
    if not isinstance(value, dict):
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get "
            "version/kind; json parse error: json: cannot unmarshal "
            f"{_go_type(value)} into Go value of type struct"
        )
    return value


def _go_words(body: bytes, error: msgspec.DecodeError) -> str:
    if not body.strip() or "truncated" in str(error):
        return "unexpected end of JSON input"
    return str(error)


def _go_type(value: object) -> str:
    match value:
        case list():
            return "array"
        case str():
            return "string"
        case bool():
            return "bool"
        case _:
            return "number"


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, told apart from an array."""


def duplicates(body: bytes) -> list[str]:
    """`duplicate field "a.b"` for every key that an object of the body has twice."""
    found: list[str] = []

    def visit(value: Any, path: str) -> None:
        # Objects arrive as lists of pairs; lists of anything else as lists.
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for key, child in value:
                here = f"{path}.{key}" if path else key
                if key in seen:
                    found.append(f'duplicate field "{here}"')
                seen.add(key)
                visit(child, here)
        elif isinstance(value, list):
            for index, child in enumerate(value):
                visit(child, f"{path}[{index}]")

    visit(json.loads(body, object_pairs_hook=_Pairs), "")
    return found


def list_limit(request: Request) -> int:
    text = request.param("limit")
    if not text:
        return 0
    try:
        return max(0, int(text))
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def version_of(text: str) -> int:
    """A resourceVersion; empty is 0."""
    if not text:
        return 0
    if not text.isdigit():
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def version_match(call: Call) -> str:
    """`resourceVersionMatch`, checked against what it may stand with."""
    request = call.request
    match = request.param("resourceVersionMatch")
    if match in ("", "NotOlderThan", "Exact"):
        return match
    cause = unsupported_value("resourceVersionMatch", f'"{match}"', ["Exact", "NotOlderThan", ""])
    raise invalid("meta.k8s.io", "ListOptions", "", [cause])
