"""What an admission policy and its binding must be."""

from collections.abc import Iterator
from typing import Final

from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]
_REASONS: Final = ("Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge")
_TWICE: Final = (
    "must not contain both Deny and Warn (repeating the same validation failure information in "
    "the API response and headers serves no purpose)"
)


def policy(obj: Json, _: Json | None) -> Findings:
    from kaito.kube.schema.cel import compile_error

    spec = obj.get("spec") or {}
    if not spec.get("matchConstraints"):
        yield fields.required("spec.matchConstraints")
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        why = "validations or auditAnnotations must contain at least one item"
        yield fields.required("spec.validations", why)
        yield fields.required("spec.auditAnnotations", why)
    for index, validation in enumerate(spec.get("validations") or ()):
        where = f"spec.validations[{index}]"
        reason = validation.get("reason")
        if reason is not None and reason not in _REASONS:
            yield fields.not_supported(f"{where}.reason", reason, _REASONS)
        expression = validation.get("expression") or ""
        if expression and (error := compile_error(expression)):
            yield fields.invalid(f"{where}.expression", expression, f"compilation failed: {error}")


def binding(obj: Json, _: Json | None) -> Findings:
    spec = obj.get("spec") or {}
    actions = spec.get("validationActions") or []
    if not actions:
        yield fields.required(
            "spec.validationActions", "at least one validation action is required"
        )
    if {"Deny", "Warn"} <= set(actions):
        yield fields.invalid("spec.validationActions", actions, _TWICE)
