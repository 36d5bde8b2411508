"""Query parameters and bodies that steer a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, final

import msgspec

from kaito.apiserver import gojson, protobuf
from kaito.apiserver.core import Call
from kaito.apiserver.routing import is_true
from kaito.apiserver.status import (
    Cause,
    Refused,
    bad_request,
    forbidden_value,
    invalid,
    invalid_value,
    unsupported_value,
)
from kaito.kube.objects import Json
from kaito.kube.schema.fields import quote
from kaito.kube.transport import Request

Validation = Literal["Strict", "Warn", "Ignore"]

APPLY_PATCH: Final = "application/apply-patch+yaml"
_LONGEST_MANAGER: Final = 128
_KIND_OF_OPTIONS: Final = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}


class WriteOptions(msgspec.Struct, frozen=True, gc=False, kw_only=True):
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
    causes = [*_manager_causes(request.param("fieldManager")), *_force_causes(request)]
    if causes:
        raise _options_invalid(call, causes)
    return WriteOptions(
        dry_run=_dry_run(call, [value for name, value in request.query if name == "dryRun"]),
        manager=_manager(request),
        validation=_validation(call),
        force=is_true(request.param("force")),
    )


def _manager_causes(manager: str) -> Iterator[Cause]:
    where = "fieldManager"
    if len(manager.encode()) > _LONGEST_MANAGER:
        yield Cause(
            where, "FieldValueTooLong", f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
        )
    for index, char in enumerate(manager):
        if not char.isprintable():
            why = f"invalid character U+{ord(char):04X} (at position {index})"
            yield invalid_value(where, quote(manager), why)


def _force_causes(request: Request) -> Iterator[Cause]:
    applies = request.headers.get("content-type", "").startswith(APPLY_PATCH)
    if request.method == "PATCH" and request.param("force") and not applies:
        yield forbidden_value("force", "may not be specified for non-apply patch")


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
        if propagation:
            why = "orphanDependents and deletionPropagation cannot be both set"
            cause = invalid_value("propagationPolicy", f'"{propagation}"', why)
            raise _options_invalid(call, [cause])
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
        raise _unrecognized(body, kind, gojson.complaint(body) or str(error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        why = f"json: cannot unmarshal {_go_type(value)} into Go value of type {_TYPE_META}"
        raise _unrecognized(body, kind, why)
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name) or "", str):
            given = _go_type(value[name])
            why = f"json: cannot unmarshal {given} into Go struct field .{name} of type string"
            raise _unrecognized(body, kind, why)
    return value


_TYPE_META: Final = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
    'Kind string "json:\\"kind,omitempty\\"" }'
)


def _unrecognized(body: bytes, kind: str, why: str) -> Refused:
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind}): couldn't get "
        f"version/kind; json parse error: {why} ({gojson.shown(body)})"
    )


def _go_type(value: object) -> str:
    match value:
        case list():
            return "array"
        case str():
            return "string"
        case bool():
            return "bool"
        case dict():
            return "object"
        case _:
            return "number"


def list_limit(request: Request) -> int:
    text = request.param("limit")
    if not text:
        return 0
    try:
        return max(0, int(text))
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def version_of(text: str) -> int:
    """A resourceVersion; empty is 0. What is no number is the server's own fault, as it says."""
    if not text:
        return 0
    if not text.isdigit():
        raise Refused(
            500,
            "",
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
            "invalid syntax",
        )
    return int(text)


def list_version(text: str) -> int:
    """A list's resourceVersion; a list blames the client."""
    try:
        return version_of(text)
    except Refused as refused:
        raise bad_request(f"invalid resource version: {refused.message}") from refused


def version_match(call: Call) -> str:
    """`resourceVersionMatch`, checked against what it may stand with."""
    request = call.request
    match = request.param("resourceVersionMatch")
    causes = list(_match_causes(request, match))
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    return match


def _match_causes(request: Request, match: str) -> Iterator[Cause]:
    where, version = "resourceVersionMatch", request.param("resourceVersion")
    if match and not version:
        yield forbidden_value(where, f"{where} is forbidden unless resourceVersion is provided")
    if match and request.param("continue"):
        yield forbidden_value(where, f"{where} is forbidden when continue is provided")
    if match not in ("", "NotOlderThan", "Exact"):
        yield unsupported_value(where, f'"{match}"', ["Exact", "NotOlderThan", ""])
    if match == "Exact" and version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        yield forbidden_value(where, why)
    if request.param("sendInitialEvents"):
        yield forbidden_value("sendInitialEvents", "sendInitialEvents is forbidden for list")
