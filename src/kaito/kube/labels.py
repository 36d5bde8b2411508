"""What a label key and a label value may look like, in the API server's words."""

import re

_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_NAME_RE = re.compile(_NAME, re.ASCII)
_VALUE_RE = re.compile(f"({_NAME})?", re.ASCII)
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN, re.ASCII)

_MAX_NAME = 63
_MAX_SUBDOMAIN = 253

_CHARACTERS = (
    "consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_NAME_ERROR = (
    f"must {_CHARACTERS} (e.g. 'MyName',  or 'my.name',  or '123-abc', "
    f"regex used for validation is '{_NAME}')"
)
_KEY_ERROR = (
    f"a valid label key {_NAME_ERROR} with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
)
_VALUE_ERROR = (
    f"a valid label must be an empty string or {_CHARACTERS} (e.g. 'MyValue',  or 'my_value',  or "
    f"'12345', regex used for validation is '({_NAME})?')"
)
_SUBDOMAIN_ERROR = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', "
    rf"regex used for validation is '{_SUBDOMAIN}')"
)


def subdomain_problems(text: str) -> list[str]:
    """Why this is no DNS-1123 subdomain (the shape of most object names); empty when it is one."""
    problems = []
    if len(text.encode()) > _MAX_SUBDOMAIN:
        problems.append(f"must be no more than {_MAX_SUBDOMAIN} bytes")
    if not _SUBDOMAIN_RE.fullmatch(text):
        problems.append(_SUBDOMAIN_ERROR)
    return problems


def key_problems(key: str) -> list[str]:
    """Why this is no label key (a "qualified name"); empty when it is one."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [_KEY_ERROR]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {problem}" for problem in subdomain_problems(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name.encode()) > _MAX_NAME:
        problems.append(f"name part must be no more than {_MAX_NAME} bytes")
    if not _NAME_RE.fullmatch(name):
        problems.append(f"name part {_NAME_ERROR}")
    return problems


def value_problems(value: str) -> list[str]:
    """Why this is no label value; empty when it is one."""
    problems = []
    if len(value.encode()) > _MAX_NAME:
        problems.append(f"must be no more than {_MAX_NAME} bytes")
    if not _VALUE_RE.fullmatch(value):
        problems.append(_VALUE_ERROR)
    return problems
