"""What can go wrong on the wire.

    KubeError
    ├── TransportError            no answer: refused, reset, DNS, TLS, closed
    │   ├── RequestTimeout        no complete answer in time; the outcome of a write is unknown
    │   └── IdleTimeout           a stream stayed silent for too long
    ├── UnreadableAnswer          the server answered with something that is not what was asked for
    └── ApiError                  the server answered with a `Status`
        ├── BadRequest            400
        ├── Unauthorized          401
        ├── Forbidden             403
        ├── NotFound              404
        ├── MethodNotAllowed      405
        ├── AlreadyExists         409, reason AlreadyExists
        ├── Conflict              409, any other reason
        ├── Gone                  410: the resource version or continue token is too old
        ├── Invalid               422: `causes` names the fields
        ├── TooManyRequests       429
        └── ServerError           5xx; `Timeout`, `ServerTimeout`, `InternalError` by reason

Statuses are classified here, once, by code and reason; nobody reads message text.
"""

from dataclasses import dataclass

import msgspec


class KubeError(Exception):
    """Base of everything this room raises."""


class TransportError(KubeError):
    """No answer came. `sent` tells whether the request may have reached the server."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class RequestTimeout(TransportError):
    """No complete answer within the time allowed."""


class IdleTimeout(TransportError):
    """A stream delivered nothing for longer than its idle timeout."""


class UnreadableAnswer(KubeError):
    """The answer is a success, but not the JSON that the API promises."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One of `status.details.causes`."""

    field: str
    reason: str
    message: str


class ApiError(KubeError):
    """The server answered with an error. The text is the server's own message."""

    def __init__(
        self,
        message: str,
        *,
        code: int,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


class BadRequest(ApiError):
    pass


class Unauthorized(ApiError):
    pass


class Forbidden(ApiError):
    pass


class NotFound(ApiError):
    pass


class MethodNotAllowed(ApiError):
    pass


class AlreadyExists(ApiError):
    pass


class Conflict(ApiError):
    pass


class Gone(ApiError):
    pass


class Invalid(ApiError):
    pass


class TooManyRequests(ApiError):
    pass


class ServerError(ApiError):
    pass


_BY_CODE: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


class _Cause(msgspec.Struct):
    field: str = ""
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct, rename="camel"):
    causes: list[_Cause] | None = None
    retry_after_seconds: int | None = None


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_STATUS = msgspec.json.Decoder(_Status, strict=False)


def error_of(status: int, body: bytes, retry_after: float | None = None) -> ApiError:
    """The typed error of an answer with `status` >= 400 and its body (a `Status`, or any text)."""
    try:
        decoded = _STATUS.decode(body)
    except msgspec.DecodeError:
        decoded = _Status(message=body[:1024].decode("utf-8", "replace").strip())
    code = decoded.code or status
    details = decoded.details or _Details()
    kind = _BY_CODE.get(code, ServerError if code >= 500 else ApiError)
    if code == 409 and decoded.reason == "AlreadyExists":
        kind = AlreadyExists
    if decoded.reason == "Expired":
        kind = Gone
    seconds = details.retry_after_seconds
    return kind(
        decoded.message or f"the server answered {code}",
        code=code,
        reason=decoded.reason,
        causes=tuple(Cause(c.field, c.reason, c.message) for c in details.causes or ()),
        retry_after=retry_after if retry_after is not None else seconds,
    )
