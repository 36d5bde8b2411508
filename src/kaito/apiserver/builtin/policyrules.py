"""What an admission policy and its binding must be."""

from collections.abc import Iterator
from typing import Final

from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]
_REASONS: Final = ("Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge")
_NAMES: Final = ("object", "oldObject", "request", "namespaceObject", "variables", "authorizer")
_NOT_FOUND: Final = ("Deny", "Allow")
_TWICE: Final = (
    "must not contain both Deny and Warn (repeating the same validation failure information in "
    "the API response and headers serves no purpose)"
)


def policy(obj: Json, _: Json | None) -> Findings:
    spec = obj.get("spec") or {}
    wanted = spec.get("paramKind")
    if wanted is not None:
        yield from _param_kind(wanted)
    if not spec.get("matchConstraints"):
        yield fields.required("spec.matchConstraints")
    yield from _expressions(spec.get("matchConditions"), "spec.matchConditions", wanted, "bool")
    yield from _expressions(spec.get("variables"), "spec.variables", wanted, "")
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        why = "validations or auditAnnotations must contain at least one item"
        yield fields.required("spec.validations", why)
        yield fields.required("spec.auditAnnotations", why)
    for index, validation in enumerate(spec.get("validations") or ()):
        reason = validation.get("reason")
        if reason is not None and reason not in _REASONS:
            yield fields.not_supported(f"spec.validations[{index}].reason", reason, _REASONS)
    yield from _expressions(spec.get("validations"), "spec.validations", wanted, "bool")


def _param_kind(wanted: Json) -> Findings:
    version = wanted.get("apiVersion") or ""
    if not version:
        yield fields.required("spec.paramKind.apiVersion")
    elif version.count("/") > 1:
        why = f"unexpected GroupVersion string: {version}"
        yield fields.invalid("spec.paramKind.apiVersion", version, why)
    if not wanted.get("kind"):
        yield fields.required("spec.paramKind.kind")


def _expressions(found: list[Json] | None, path: str, wanted: Json | None, result: str) -> Findings:
    """`expression` of each has to compile, and be of type `result`; `messageExpression` a text."""
    for index, one in enumerate(found or ()):
        for word, type_ in (("expression", result), ("messageExpression", "string")):
            if text := one.get(word):
                yield from _compiled(text, f"{path}[{index}].{word}", wanted, type_)


def _compiled(text: str, where: str, wanted: Json | None, result: str) -> Findings:
    from kaito.kube.schema.cel import verdict  # late: the CEL library takes long to import
    from kaito.kube.schema.cel_types import DYN

    names = dict.fromkeys(_NAMES if wanted is None else (*_NAMES, "params"), DYN)
    found = verdict(text, names)
    if found.complaint:
        yield fields.invalid(where, text, f"compilation failed: {found.complaint}")
    elif result and found.result != DYN and str(found.result) != result:
        yield fields.invalid(where, text, f"must evaluate to {result} but got {found.result}")


def binding(obj: Json, _: Json | None) -> Findings:
    spec = obj.get("spec") or {}
    actions = spec.get("validationActions") or []
    if not actions:
        yield fields.required(
            "spec.validationActions", "at least one validation action is required"
        )
    if {"Deny", "Warn"} <= set(actions):
        yield fields.invalid("spec.validationActions", actions, _TWICE)
    if (reference := spec.get("paramRef")) is not None:
        yield from _param_ref(reference, "spec.paramRef")


def _param_ref(reference: Json, path: str) -> Findings:
    name, selector = reference.get("name"), reference.get("selector")
    if name and selector is not None:
        why = "name and selector are mutually exclusive"
        yield fields.forbidden(f"{path}.name", why)
        yield fields.forbidden(f"{path}.selector", why)
    elif not name and selector is None:
        yield fields.required(path, "one of name or selector must be specified")
    action = reference.get("parameterNotFoundAction")
    if not action:
        yield fields.required(f"{path}.parameterNotFoundAction")
    elif action not in _NOT_FOUND:
        yield fields.not_supported(f"{path}.parameterNotFoundAction", action, _NOT_FOUND)
