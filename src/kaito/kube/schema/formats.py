"""String formats that a schema may demand, as the API server understands them.

An unknown format is no constraint. Names are compared without dashes (`date-time` is `datetime`).
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date
from email.utils import parseaddr
from urllib.parse import urlsplit

_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})")
_LABEL = r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_GO_DURATION = re.compile(r"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_WORDY_DURATION = re.compile(r"\d+\s*(ns|nano|us|µs|micro|ms|milli|s|m|h|d|w)", re.IGNORECASE)


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _is_datetime(text: str) -> bool:
    day, separator, rest = text.lower().partition("t")
    found = _TIME.fullmatch(rest)
    if not separator or found is None or not _is_date(day):
        return False
    return found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def _is_byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return text.startswith("/") or bool(parts.scheme)


def _is_email(text: str) -> bool:
    address = parseaddr(text)[1]
    return "@" in address and not address.startswith("@") and not address.endswith("@")


def _is_hostname(text: str) -> bool:
    labels = text.split(".")
    return len(text) <= 255 and all(re.fullmatch(_LABEL, label) for label in labels)


def _is_duration(text: str) -> bool:
    return bool(_GO_DURATION.fullmatch(text) or _WORDY_DURATION.search(text))


_HEX = "[0-9a-f]"
_CHECKS: dict[str, Callable[[str], bool]] = {
    "byte": _is_byte,
    "cidr": _is_cidr,
    "date": _is_date,
    "datetime": _is_datetime,
    "duration": _is_duration,
    "email": _is_email,
    "hexcolor": _matches(r"#?([0-9a-f]{3}|[0-9a-f]{6})"),
    "hostname": _is_hostname,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "k8slongname": _matches(
        r"(?-i:[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)"
    ),
    "k8sshortname": _matches(r"(?-i:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)"),
    "mac": _matches(rf"{_HEX}{{2}}([:-]{_HEX}{{2}}){{5,7}}"),
    "password": lambda _: True,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": _is_uri,
    "uuid": _matches(_UUID % (_HEX, _HEX)),
    "uuid3": _matches(_UUID % ("3", _HEX)),
    "uuid4": _matches(_UUID % ("4", "[89ab]")),
    "uuid5": _matches(_UUID % ("5", "[89ab]")),
}

_NUMERIC = {"integer": ("int32", "int64"), "number": ("float", "double")}


def known(type_: str, format_: str) -> str:
    """The format if it constrains a value of this type, else the empty string."""
    if type_ in ("", "string"):
        return format_ if format_.replace("-", "") in _CHECKS else ""
    return format_ if format_ in _NUMERIC.get(type_, ()) else ""


def fits(format_: str, text: str) -> bool:
    """Whether a string has this format."""
    check = _CHECKS.get(format_.replace("-", ""))
    return check is None or check(text)


def pattern(text: str) -> re.Pattern[str]:
    """Compile an RE2 pattern with Python's engine: `$` and `\\z` mean the very end.

    Raises ValueError for one that Python cannot compile.
    """
    translated = re.sub(r"\\z", r"\\Z", _END.sub(lambda m: m[0] if len(m[0]) > 1 else r"\Z", text))
    try:
        return re.compile(translated)
    except re.error as error:
        raise ValueError(f"{text}: {error}") from error


# An escaped character or a character class is passed over as a whole; a bare `$` is one character.
_END = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\$", re.DOTALL)
