"""What the server says when it says no: `Status` bodies, in the words of the real server.

Every error is raised as `Refused` and becomes a response in one place (`server.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kaito.kube.objects import Json, Resource

REASON_INVALID: Final = "FieldValueInvalid"
REASON_REQUIRED: Final = "FieldValueRequired"
REASON_FORBIDDEN: Final = "FieldValueForbidden"
REASON_NOT_SUPPORTED: Final = "FieldValueNotSupported"


class Refused(Exception):
    """The request ends here, with this `Status` (or, for `text`, with a plain body)."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        metadata: Json | None = None,
        text: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata = metadata or {}
        self.text = text

    def status(self) -> Json:
        """The `Status` object, in the field order of the real server."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field, as `details.causes[]` tells it."""

    field: str
    reason: str
    message: str


def invalid_value(field: str, value: str, why: str) -> Cause:
    """`Invalid value: VALUE: why`; `value` is written as given (quote it first when a string)."""
    return Cause(field, REASON_INVALID, f"Invalid value: {value}: {why}")


def required_value(field: str, why: str) -> Cause:
    return Cause(field, REASON_REQUIRED, f"Required value: {why}" if why else "Required value")


def forbidden_value(field: str, why: str) -> Cause:
    return Cause(field, REASON_FORBIDDEN, f"Forbidden: {why}")


def unsupported_value(field: str, value: str, supported: Sequence[str]) -> Cause:
    known = ", ".join(f'"{name}"' for name in supported)
    message = f"Unsupported value: {value}: supported values: {known}"
    return Cause(field, REASON_NOT_SUPPORTED, message)


def _details(name: str, group: str, kind: str) -> Json:
    details: Json = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    return details


def of_resource(resource: Resource, name: str = "") -> Json:
    """`details` naming a resource (its plural stands in `kind`, as on the real server)."""
    return _details(name, resource.group, resource.plural)


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def not_found(resource: Resource, name: str) -> Refused:
    message = f'{resource.group_resource} "{name}" not found'
    return Refused(404, "NotFound", message, details=of_resource(resource, name))


def no_such_resource() -> Refused:
    message = "the server could not find the requested resource"
    return Refused(404, "NotFound", message, details={})


def no_such_path() -> Refused:
    """What the real server's mux says about paths it does not know: plain text."""
    return Refused(404, "", "404 page not found\n", text=True)


def method_not_allowed() -> Refused:
    message = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", message, details={})


def not_implemented(what: str) -> Refused:
    """For what a real server does and this one does not; `what` says what to do instead."""
    return Refused(501, "NotImplemented", what, details={})


def already_exists(resource: Resource, name: str, *, deleting: bool = False) -> Refused:
    message = f'{resource.group_resource} "{name}" already exists'
    if deleting:
        message = f"object is being deleted: {message}"
    return Refused(409, "AlreadyExists", message, details=of_resource(resource, name))


def conflict(
    resource: Resource, name: str, why: str, *, group_resource: str | None = None
) -> Refused:
    """`group_resource` replaces the resource where the real server names the kind instead."""
    message = (
        f'Operation cannot be fulfilled on {group_resource or resource.group_resource} "{name}": '
        f"{why}"
    )
    details = of_resource(resource, name)
    if group_resource is not None:
        details["kind"] = group_resource.partition(".")[0]
    return Refused(409, "Conflict", message, details=details)


MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> Refused:
    """422. The message joins the causes as the real server does (in brackets when several)."""
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    told = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    group_kind = f"{kind}.{group}" if group else kind
    details = _details(name, group, kind)
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    return Refused(422, "Invalid", f'{group_kind} "{name}" is invalid: {told}', details=details)


def forbidden(resource: Resource, name: str, why: str) -> Refused:
    subject = f'{resource.group_resource} "{name}"' if name else resource.group_resource
    message = f"{subject} is forbidden: {why}"
    return Refused(403, "Forbidden", message, details=of_resource(resource, name))


def forbidden_path(user: str, verb: str, path: str) -> Refused:
    message = f'forbidden: User "{user}" cannot {verb} path "{path}"'
    return Refused(403, "Forbidden", message, details={})


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def too_large(limit: int) -> Refused:
    message = f"Request entity too large: limit is {limit}"
    return Refused(413, "RequestEntityTooLarge", message)


def unsupported_media(accepted: Sequence[str]) -> Refused:
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return Refused(415, "UnsupportedMediaType", message)


def expired(message: str, *, continue_: str = "") -> Refused:
    """410. With `continue_`, a reader may go on from there, inconsistently."""
    return Refused(410, "Expired", message, metadata={"continue": continue_} if continue_ else {})


def too_large_version(asked: int, current: int) -> Refused:
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return Refused(504, "Timeout", message, details=details)


def success(resource: Resource, name: str, uid: str) -> Json:
    """What a finished DELETE answers."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {**of_resource(resource, name), "uid": uid},
    }
