"""What a configuration of admission webhooks must look like: a bad one would only be met when
somebody writes. In the real server's words."""

from collections.abc import Iterator, Sequence
from typing import Final

from kaito.apiserver.builtin import clients
from kaito.apiserver.names import dns_subdomain
from kaito.kube.labels import key_problems, value_problems
from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]

_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_CHOICES: Final = {
    "failurePolicy": ("Fail", "Ignore"),
    "matchPolicy": ("Equivalent", "Exact"),
    "sideEffects": ("None", "NoneOnDryRun"),
    "reinvocationPolicy": ("IfNeeded", "Never"),
}
_SCOPES: Final = ("*", "Cluster", "Namespaced")
_SEGMENTS: Final = 3
_LONGEST_TIMEOUT: Final = 30


def check(obj: Json, _old: Json | None) -> Findings:
    """Findings about every webhook of either kind of configuration."""
    names: set[str] = set()
    for index, webhook in enumerate(obj.get("webhooks") or ()):
        where, name = f"webhooks[{index}]", str(webhook.get("name") or "")
        yield from _webhook(where, name, webhook)
        if name and name in names:
            yield fields.duplicate(f"{where}.name", name)
        names.add(name)


def _webhook(where: str, name: str, webhook: Json) -> Findings:
    yield from _name(f"{where}.name", name)
    for index, rule in enumerate(webhook.get("rules") or ()):
        yield from _rule(f"{where}.rules[{index}]", rule)
    if not webhook.get("sideEffects"):
        known = ", ".join(_CHOICES["sideEffects"])
        yield fields.required(f"{where}.sideEffects", f"must specify one of {known}")
    for field, known_values in _CHOICES.items():
        value = webhook.get(field)
        if value and value not in known_values:
            yield fields.not_supported(f"{where}.{field}", value, known_values)
    timeout = webhook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= _LONGEST_TIMEOUT:
        why = f"the timeout value must be between 1 and {_LONGEST_TIMEOUT} seconds"
        yield fields.invalid(f"{where}.timeoutSeconds", timeout, why)
    for field in ("namespaceSelector", "objectSelector"):
        yield from _selector(f"{where}.{field}", webhook.get(field) or {})
    yield from _conditions(f"{where}.matchConditions", webhook.get("matchConditions") or ())
    yield from clients.check(f"{where}.clientConfig", webhook.get("clientConfig") or {})
    versions = f"{where}.admissionReviewVersions"
    demanded = f"must specify one of {', '.join(clients.REVIEWS)}"
    yield from clients.reviews(versions, webhook.get("admissionReviewVersions"), demanded)


def _name(where: str, name: str) -> Findings:
    if not name:
        yield fields.required(where)
    elif why := dns_subdomain(name):
        yield fields.invalid(where, name, why)
    elif len(name.split(".")) < _SEGMENTS:
        why = "should be a domain with at least three segments separated by dots"
        yield fields.invalid(where, name, why)


def _rule(where: str, rule: Json) -> Findings:
    operations = rule.get("operations") or []
    yield from _alone(f"{where}.operations", operations, "operations")
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            at = f"{where}.operations[{index}]"
            yield fields.not_supported(at, operation, _OPERATIONS)
    yield from _alone(f"{where}.apiGroups", rule.get("apiGroups") or [], "API groups")
    versions = rule.get("apiVersions") or []
    yield from _alone(f"{where}.apiVersions", versions, "API versions")
    for index, version in enumerate(versions):
        if not version:
            yield fields.required(f"{where}.apiVersions[{index}]")
    yield from _resources(f"{where}.resources", rule.get("resources") or [])
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        yield fields.not_supported(f"{where}.scope", scope, _SCOPES)


def _alone(where: str, values: list[str], told: str) -> Findings:
    if not values:
        yield fields.required(where)
    elif "*" in values and len(values) > 1:
        yield fields.invalid(where, values, f"if '*' is present, must not specify other {told}")


def _resources(where: str, resources: list[str]) -> Findings:
    if not resources:
        yield fields.required(where)
    for index, name in enumerate(resources):
        if not name:
            yield fields.required(f"{where}[{index}]")
    yield from _covered(where, resources)
    if "*/*" in resources and len(resources) > 1:
        why = "if '*/*' is present, must not specify other resources"
        yield fields.invalid(where, resources, why)
    if "*" in resources and any(name != "*" and "/" not in name for name in resources):
        why = "if '*' is present, must not specify other resources without subresources"
        yield fields.invalid(where, resources, why)


def _covered(where: str, resources: list[str]) -> Findings:
    """What is covered by what stands before it is a mistake of whoever wrote it."""
    for index, name in enumerate(resources):
        resource, slash, part = name.partition("/")
        before = resources[:index] if slash else ()
        for pattern in (f"{resource}/*", f"*/{part}"):
            if pattern in before:
                why = f"if '{pattern}' is present, must not specify {name}"
                yield fields.invalid(f"{where}[{index}]", name, why)


def _selector(where: str, selector: Json) -> Findings:
    for name, value in (selector.get("matchLabels") or {}).items():
        for why in key_problems(name):
            yield fields.invalid(f"{where}.matchLabels", name, why)
        for why in value_problems(value):
            yield fields.invalid(f"{where}.matchLabels", value, why)
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        yield from _term(f"{where}.matchExpressions[{index}]", term)


def _term(where: str, term: Json) -> Findings:
    operator, values = term.get("operator") or "", term.get("values") or []
    match operator:
        case "In" | "NotIn":
            if not values:
                why = "must be specified when `operator` is 'In' or 'NotIn'"
                yield fields.required(f"{where}.values", why)
        case "Exists" | "DoesNotExist":
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield fields.forbidden(f"{where}.values", why)
        case _:
            yield fields.invalid(f"{where}.operator", operator, "not a valid selector operator")
    for why in key_problems(term.get("key") or ""):
        yield fields.invalid(f"{where}.key", term.get("key") or "", why)
    for index, value in enumerate(values):
        for why in value_problems(value):
            yield fields.invalid(f"{where}.values[{index}]", value, why)


def _conditions(where: str, conditions: Sequence[Json]) -> Findings:
    names: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name = f"{where}[{index}]", condition.get("name") or ""
        yield from _expression(f"{at}.expression", condition.get("expression") or "")
        if not name:
            yield fields.required(f"{at}.name")
            continue
        for why in key_problems(name):
            yield fields.invalid(f"{at}.name", name, why)
        if name in names:
            yield fields.duplicate(f"{at}.name", name)
        names.add(name)


def _expression(where: str, text: str) -> Findings:
    if not text.strip():
        yield fields.required(where)
        return
    from kaito.kube.schema.cel import compile_error

    if why := compile_error(text):
        yield fields.invalid(where, text, f"compilation failed: {why}")
