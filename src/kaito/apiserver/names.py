"""Which names are names. The regular expressions and the sentences are the real server's."""

import re
from random import Random
from typing import Final

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"

_LABEL_1035: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"

_SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_BASE: Final = 63 - _SUFFIX_LENGTH


def generate(base: str, random: Random) -> str:
    """`generateName` plus five characters that make no words and no look-alikes."""
    suffix = "".join(random.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return base[:_LONGEST_BASE] + suffix


def dns_subdomain(name: str) -> str | None:
    """Most kinds: RFC 1123 subdomain, at most 253 characters."""
    if len(name) > 253:
        return "must be no more than 253 bytes"
    if re.fullmatch(_SUBDOMAIN, name):
        return None
    return (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
        "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "
        rf"used for validation is '{_SUBDOMAIN}')"
    )


def dns_label(name: str) -> str | None:
    """Namespaces and Services: RFC 1123 label, at most 63 characters."""
    if len(name) > 63:
        return "must be no more than 63 bytes"
    if re.fullmatch(_LABEL, name):
        return None
    return (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
        "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
        f"used for validation is '{_LABEL}')"
    )


def dns_1035_label(name: str) -> str | None:
    """The names in a CustomResourceDefinition: RFC 1035 label, at most 63 characters."""
    if len(name) > 63:
        return "must be no more than 63 bytes"
    if re.fullmatch(_LABEL_1035, name):
        return None
    return (
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
        "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
        f"'abc-123', regex used for validation is '{_LABEL_1035}')"
    )


def path_segment(name: str) -> str | None:
    """RBAC kinds: anything that can stand in a URL path."""
    if name in (".", ".."):
        return f"may not be '{name}'"
    for part in ("/", "%"):
        if part in name:
            return f"may not contain '{part}'"
    return None
