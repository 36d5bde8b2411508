"""Names of things elsewhere, such as Secrets, images and URLs: what is wrong with one, if any."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_HOST_LABEL: Final = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
_COMPONENT: Final = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_PLACEHOLDER: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|<[^<>\s]+>")


def is_dns_label(name: str) -> bool:
    """Whether a name is a DNS-1123 label: what Workspaces are called, as pods and Services are."""
    return len(name) <= 63 and _DNS_LABEL.fullmatch(name) is not None


def is_dns_subdomain(name: str) -> bool:
    """Whether an object of most kinds can have this name (RFC 1123, lower case)."""
    return 0 < len(name) <= 253 and all(_DNS_LABEL.fullmatch(part) for part in name.split("."))


def placeholders(text: str) -> tuple[str, ...]:
    """Words in `text` that look as if they were left to be filled in, such as IMAGE_NAME_HERE."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))


def object_name_fault(name: str) -> str:
    """Why no Secret or ConfigMap can have this name; empty when one can."""
    if is_dns_subdomain(name):
        return ""
    return (
        "names are lower-case letters, digits, '-' and '.', and begin and end with one of the first"
    )


def _host_fault(host: str) -> str:
    name, _, port = host.partition(":")
    if port and not port.isdigit():
        return f"the port {port} is not a number"
    if not all(_HOST_LABEL.fullmatch(part) for part in name.split(".")):
        return f"no registry can be called {name}: host names are letters, digits, '-' and '.'"
    return ""


def _split_host(image: str) -> tuple[str, str]:
    first, slash, rest = image.partition("/")
    if slash and (any(c in first for c in ".:") or first == "localhost" or first != first.lower()):
        return first, rest
    return "", image


def image_fault(image: str) -> str:
    """Why this image reference cannot exist; empty when it can.

    The grammar is `[host[:port]/]path[:tag][@digest]`, path in lower case, as registries have it.
    """
    rest, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return f"the digest {digest} is not of the form sha256:<hex>"
    host, path = _split_host(rest)
    fault = _host_fault(host) if host else ""
    path, colon, tag = path.partition(":")
    if not fault and not path:
        fault = "it has no repository"
    if not fault and path != path.lower():
        fault = f"the repository {path} must be lower case"
    if not fault and not all(_COMPONENT.fullmatch(part) for part in path.split("/")):
        fault = f"the repository {path} has characters a registry does not allow"
    if not fault and colon and not _TAG.fullmatch(tag):
        fault = f"the tag {tag or '(empty)'} is not allowed"
    return fault


_LOCAL_HOSTS: Final = frozenset(
    {"localhost", "metadata.google.internal", "metadata.google", "instance-data.ec2.internal"}
)


def url_fault(url: str) -> str:
    """Why training data cannot come from this URL; empty when it can.

    A pod inside the cluster fetches it, so it must not lead to what only the inside can reach.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return "it is not a URL"
    if not host:
        return "it has no host"
    if parts.scheme not in ("http", "https"):
        return "it must be http or https"
    if host in _LOCAL_HOSTS or host.endswith(".localhost"):
        return f"{host} is a local or metadata address"
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    return "" if address.is_global else f"{host} is not a public address"
