"""What is checked of a webhook's address, and of the reviews that it reads: of admission webhooks
and of those that convert alike."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from kaito.apiserver.names import dns_1035_label
from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]

REVIEWS: Final = ("v1", "v1beta1")
_LAST_PORT: Final = 65535


def check(where: str, client: Json) -> Findings:
    """Of a `clientConfig`."""
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield fields.required(where, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(f"{where}.url", url)
    else:
        yield from _service(f"{where}.service", service or {})


def _url(where: str, url: str) -> Findings:
    form = "desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        yield fields.required(where, f"url must be a valid URL: {error}; {form}")
        return
    if parts.scheme != "https":
        why = f"'https' is the only allowed URL scheme; {form}"
        yield fields.invalid(where, parts.scheme, why)
    user, _, host = parts.netloc.rpartition("@")
    if not host:
        yield fields.invalid(where, host, f"host must be specified; {form}")
    for value, told in (
        (user, "user information is"),
        (parts.fragment, "fragments are"),
        (parts.query, "query parameters are"),
    ):
        if value:
            yield fields.invalid(where, value, f"{told} not permitted in the URL")


def _service(where: str, service: Json) -> Findings:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield fields.required(f"{where}.{field}")
    port: Any = service.get("port", 443)
    if not 1 <= port <= _LAST_PORT:
        why = f"port is not valid: must be between 1 and {_LAST_PORT}, inclusive"
        yield fields.invalid(f"{where}.port", port, why)
    path = service.get("path")
    if path:
        yield from _path(f"{where}.path", path)


def _path(where: str, path: str) -> Findings:
    if path == "/":
        return
    if not path.startswith("/"):
        yield fields.invalid(where, path, "must start with a '/'")
    *steps, last = path[1:].split("/")
    for index, step in enumerate([*steps, last] if last else steps):
        if not step:
            yield fields.invalid(where, path, f"segment[{index}] may not be empty")


def reviews(where: str, versions: list[str] | None, demanded: str) -> Findings:
    """Of the versions of reviews that a webhook reads; `demanded`: what is said without any."""
    if not versions:
        yield fields.required(where, demanded)
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield fields.invalid(f"{where}[{index}]", version, "duplicate version")
        elif why := dns_1035_label(version):
            yield fields.invalid(f"{where}[{index}]", version, why)
    if not set(versions) & set(REVIEWS):
        why = f"must include at least one of {', '.join(REVIEWS)}"
        yield fields.invalid(where, versions, why)
