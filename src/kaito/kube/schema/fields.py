"""What is wrong with one field, worded as the API server words it.

The reasons are `metav1.CauseType` values; the texts before the colon belong to them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

INVALID = "FieldValueInvalid"
TYPE_INVALID = "FieldValueTypeInvalid"
REQUIRED = "FieldValueRequired"
DUPLICATE = "FieldValueDuplicate"
NOT_SUPPORTED = "FieldValueNotSupported"
FORBIDDEN = "FieldValueForbidden"
TOO_LONG = "FieldValueTooLong"
TOO_MANY = "FieldValueTooMany"
NOT_FOUND = "FieldValueNotFound"

_TITLES = {
    INVALID: "Invalid value",
    TYPE_INVALID: "Invalid value",
    REQUIRED: "Required value",
    DUPLICATE: "Duplicate value",
    NOT_SUPPORTED: "Unsupported value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    NOT_FOUND: "Not found",
}
_WITHOUT_VALUE = frozenset({REQUIRED, FORBIDDEN, TOO_LONG})

ROOT = "<nil>"
"""How the server writes the path of the object itself."""


def quote(text: str) -> str:
    """`%q` of Go for the texts that occur here."""
    return json.dumps(text, ensure_ascii=False)


def compact(value: Any) -> str:
    """JSON as Go's encoder writes it: sorted keys, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(_whole(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


MISSING: Any = object()
"""There is no such value, not even null."""

OMITTED: Any = object()
"""The value of an error that is not to be shown."""


def _whole(value: Any) -> Any:
    """Floats without a fraction as integers, as Go prints them."""
    if isinstance(value, float):
        return int(value) if value == value // 1 and abs(value) < 1e21 else value
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class FieldError:
    """One finding. `reason` is one of the constants above; `value` is the offending value."""

    path: str
    reason: str
    detail: str = ""
    value: Any = ""

    @property
    def message(self) -> str:
        """The text without the path: `status.details.causes[].message`."""
        title = _TITLES[self.reason]
        bare = self.reason in _WITHOUT_VALUE or self.value is OMITTED
        text = title if bare else f"{title}: {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.path or ROOT}: {self.message}"


class Verbatim(str):
    """A value that is shown as it stands, without quotes."""

    __slots__ = ()


def _shown(value: Any) -> str:
    if isinstance(value, Verbatim):
        return value
    if isinstance(value, str):
        return quote(value)
    return compact(value)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(path, INVALID, detail, value)


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(path, REQUIRED, detail)


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError(path, FORBIDDEN, detail)


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, DUPLICATE, "", value)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    detail = "supported values: " + ", ".join(quote(item) for item in supported)
    return FieldError(path, NOT_SUPPORTED, detail if supported else "", value)


def too_long(path: str, limit: int) -> FieldError:
    unit = "byte" if limit == 1 else "bytes"
    return FieldError(path, TOO_LONG, f"may not be more than {limit} {unit}")


def too_many(path: str, actual: int, limit: int) -> FieldError:
    unit = "item" if limit == 1 else "items"
    return FieldError(path, TOO_MANY, f"must have at most {limit} {unit}", actual)


def aggregate(errors: Iterable[FieldError]) -> str:
    """All of them as one text: alone as it is, several in brackets, repeated ones once."""
    texts = list(dict.fromkeys(map(str, errors)))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
