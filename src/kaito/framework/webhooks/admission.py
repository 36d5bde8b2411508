"""Admission: what an API server asks, what may be answered, and how both are written down.

A handler is a function from an `AdmissionRequest` to an answer; it needs no server to be tested.
"""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import msgspec

from kaito.framework.webhooks.difference import difference
from kaito.kube.objects import Json, ObjectKey

API_VERSION: Final = "admission.k8s.io/v1"

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


class BadReview(Exception):
    """The body is not a review of the kind that was expected. The message may be shown."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo:
    """Who wants to write."""

    name: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRequest:
    """One write that waits for an answer. The objects are the handler's own: it may edit them."""

    uid: str
    operation: Operation
    group: str
    version: str
    kind: str
    resource: str = ""
    subresource: str = ""
    name: str = ""
    """Empty when the server has yet to make one of `generateName`."""
    namespace: str = ""
    object: Json | None = field(default=None, repr=False)
    """What will be stored; None for a deletion."""
    old_object: Json | None = field(default=None, repr=False)
    """What is stored; None for a creation."""
    dry_run: bool = False
    user: UserInfo = UserInfo()
    options: Json = field(default_factory=dict, repr=False)
    timeout: float | None = None
    """Seconds until the API server stops waiting."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The write may go on. Each warning is shown to whoever wrote."""

    warnings: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Denied:
    """The write is refused; `code` and `reason` as in a `Status` (403 Forbidden by default)."""

    message: str
    reason: str = "Forbidden"
    code: int = 403
    causes: tuple[Json, ...] = ()
    """`{field, reason, message}` each, shown in the `Status`."""
    warnings: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mutated:
    """The write goes on with `object` in place of what was sent."""

    object: Json = field(repr=False)
    warnings: tuple[str, ...] = ()


Verdict = Allowed | Denied
Change = Allowed | Denied | Mutated
Validator = Callable[[AdmissionRequest], Verdict | Awaitable[Verdict]]
Mutator = Callable[[AdmissionRequest], Change | Awaitable[Change]]


def read_review(body: bytes, *, timeout: float | None = None) -> AdmissionRequest:
    """Decode an AdmissionReview v1. Raises BadReview."""
    request = request_of(body, API_VERSION, "AdmissionReview")
    kind, resource, user = (request.get(name) or {} for name in ("kind", "resource", "userInfo"))
    return AdmissionRequest(
        uid=request["uid"],
        operation=request.get("operation", "CREATE"),
        group=kind.get("group", ""),
        version=kind.get("version", ""),
        kind=kind.get("kind", ""),
        resource=resource.get("resource", ""),
        subresource=request.get("subResource", ""),
        name=request.get("name", ""),
        namespace=request.get("namespace", ""),
        object=request.get("object"),
        old_object=request.get("oldObject"),
        dry_run=bool(request.get("dryRun")),
        user=UserInfo(
            name=user.get("username", ""),
            uid=user.get("uid", ""),
            groups=tuple(user.get("groups") or ()),
        ),
        options=request.get("options") or {},
        timeout=timeout,
    )


def request_of(body: bytes, api_version: str, kind: str) -> Json:
    """The `request` of a review, which has a uid. Raises BadReview."""
    try:
        review = _decode(body)
    except msgspec.DecodeError as error:
        raise BadReview(f"the body is not a JSON object: {error}") from error
    if (review.get("apiVersion"), review.get("kind")) != (api_version, kind):
        told = f"{review.get('apiVersion')}, {review.get('kind')}"
        raise BadReview(f"expected {api_version}, {kind}, got {told}")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise BadReview("the review has no request with a uid")
    return request


def write_review(uid: str, answer: Change, raw: Json | None) -> bytes:
    """Encode the answer. `raw` is the object as it came; only what differs from it is patched.

    Both sides of the difference are raw JSON, so fields that nobody here knows survive.
    """
    response: Json = {"uid": uid, "allowed": not isinstance(answer, Denied)}
    if isinstance(answer, Denied):
        response["status"] = _status(answer)
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    if isinstance(answer, Mutated) and (operations := difference(raw, answer.object)):
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(_encode(operations)).decode()
    return _encode(
        {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response},
    )


def _status(denied: Denied) -> Json:
    status: Json = {"status": "Failure", "message": denied.message}
    if denied.reason:
        status["reason"] = denied.reason
    if denied.causes:
        status["details"] = {"causes": list(denied.causes)}
    return {**status, "code": denied.code}
