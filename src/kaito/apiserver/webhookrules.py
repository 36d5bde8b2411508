"""What a webhook configuration must look like: a bad one would only be met when somebody writes."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from kaito.apiserver.kinds import Draft
from kaito.apiserver.status import (
    Cause,
    invalid,
    invalid_value,
    required_value,
    unsupported_value,
)
from kaito.kube.objects import Json
from kaito.kube.schema.fields import quote

_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_CHOICES: Final = {
    "failurePolicy": ("Fail", "Ignore"),
    "matchPolicy": ("Equivalent", "Exact"),
    "sideEffects": ("None", "NoneOnDryRun"),
    "reinvocationPolicy": ("IfNeeded", "Never"),
}
_REVIEWS: Final = ("v1", "v1beta1")


def check(draft: Draft) -> None:
    """Raises Invalid, with the real server's words. A hook of both kinds of configurations."""
    causes: list[Cause] = []
    names: set[str] = set()
    for index, webhook in enumerate(draft.obj.get("webhooks") or ()):
        where, name = f"webhooks[{index}]", str(webhook.get("name") or "")
        causes += _webhook(where, name, webhook)
        if name in names:
            told = f"Duplicate value: {quote(name)}"
            causes.append(Cause(f"{where}.name", "FieldValueDuplicate", told))
        names.add(name)
    if causes:
        kind, name = draft.obj["kind"], draft.obj["metadata"].get("name") or ""
        raise invalid("admissionregistration.k8s.io", kind, name, causes)


def _webhook(where: str, name: str, webhook: Json) -> Iterator[Cause]:
    if len([part for part in name.split(".") if part]) < 3:
        why = "should be a domain with at least three segments separated by dots"
        yield invalid_value(f"{where}.name", quote(name), why)
    for index, rule in enumerate(webhook.get("rules") or ()):
        yield from _rule(f"{where}.rules[{index}]", rule)
    if not webhook.get("sideEffects"):
        known = ", ".join(_CHOICES["sideEffects"])
        yield required_value(f"{where}.sideEffects", f"must specify one of {known}")
    for field, known_values in _CHOICES.items():
        value = webhook.get(field)
        if value and value not in known_values:
            yield unsupported_value(f"{where}.{field}", quote(value), known_values)
    timeout = webhook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        why = "the timeout value must be between 1 and 30 seconds"
        yield invalid_value(f"{where}.timeoutSeconds", str(timeout), why)
    yield from _client(f"{where}.clientConfig", webhook.get("clientConfig") or {})
    yield from _versions(f"{where}.admissionReviewVersions", webhook)


def _rule(where: str, rule: Json) -> Iterator[Cause]:
    for index, operation in enumerate(rule.get("operations") or ()):
        if operation not in _OPERATIONS:
            at = f"{where}.operations[{index}]"
            yield unsupported_value(at, quote(operation), _OPERATIONS)
    for field in ("operations", "apiGroups", "apiVersions", "resources"):
        if not rule.get(field):
            yield required_value(f"{where}.{field}", "")


def _client(where: str, client: Json) -> Iterator[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required_value(where, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(f"{where}.url", url)
    else:
        yield from _service(f"{where}.service", service or {})


def _url(where: str, url: str) -> Iterator[Cause]:
    parts = urlsplit(url)
    if parts.scheme != "https":
        form = "desired format: https://host[/path]"
        why = f"'https' is the only allowed URL scheme; {form}"
        yield invalid_value(where, quote(parts.scheme), why)
    if parts.query:
        why = "query parameters are not permitted in the URL"
        yield invalid_value(where, quote(parts.query), why)


def _service(where: str, service: Json) -> Iterator[Cause]:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required_value(f"{where}.{field}", f"service {field} is required")
    port: Any = service.get("port", 443)
    if not 1 <= port <= 65535:
        why = "port is not valid: must be between 1 and 65535, inclusive"
        yield invalid_value(f"{where}.port", str(port), why)
    path = service.get("path")
    if path and not path.startswith("/"):
        yield invalid_value(f"{where}.path", quote(path), "must start with a '/'")


def _versions(where: str, webhook: Json) -> Iterator[Cause]:
    versions = webhook.get("admissionReviewVersions") or []
    if not versions:
        yield required_value(where, f"must specify one of {', '.join(_REVIEWS)}")
    elif not set(versions) & set(_REVIEWS):
        told = "[" + ",".join(map(quote, versions)) + "]"
        why = f"must include at least one of {', '.join(_REVIEWS)}"
        yield invalid_value(where, told, why)
