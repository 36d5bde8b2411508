"""What is missing or unknown in a built-in object: required fields and closed choices.

The real server checks by hand-written code; this is the part of it that the schema tells. What the
schema cannot tell stands in `rules.py`.
"""

from collections.abc import Iterator
from typing import Any, Final

from kaito.apiserver.builtin.library import JSON_SCHEMA, OBJECT_META, QUANTITY
from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError
from kaito.kube.schema.structural import Schema, join

_NOT_DEMANDED: Final = frozenset(
    {
        # OpenAPI calls these required; the server accepts objects without them.
        ("EndpointSlice", "endpoints"),
        ("TokenRequestSpec", "audiences"),
        ("TopologySelectorLabelRequirement", "values"),
        ("PolicyRule", "verbs"),
        ("StatefulSetSpec", "serviceName"),
        ("NodeSelectorTerm", "matchExpressions"),
        ("CustomResourceDefinitionNames", "kind"),
        ("CustomResourceDefinitionSpec", "versions"),
        ("Event", "metadata"),
        ("Event", "involvedObject"),
        ("CSIDriver", "spec"),
        ("DaemonSetSpec", "selector"),
        ("HTTPGetAction", "port"),
        ("ValidatingAdmissionPolicyBindingSpec", "validationActions"),
        ("TCPSocketAction", "port"),
    }
)
_CHOSEN_ELSEWHERE: Final = frozenset({("PodSpec", "restartPolicy"), ("Taint", "effect")})
"""Closed choices that `rules.py` judges: what may be chosen depends on the place."""
_SKIPPED: Final = frozenset({OBJECT_META, JSON_SCHEMA, QUANTITY})
_BY_HAND: Final = frozenset({"CustomResourceConversion", "MutatingWebhook", "ValidatingWebhook"})
"""Judged as a whole by `rules.py`."""


def check(obj: Json, schema: Schema) -> list[FieldError]:
    """Findings about everything but metadata and status."""
    return list(_object(obj, schema, "", top=True))


def _object(obj: Json, schema: Schema, path: str, *, top: bool = False) -> Iterator[FieldError]:
    if schema.name in _SKIPPED:
        return
    kind = schema.name.rpartition(".")[2]
    if kind in _BY_HAND:
        return
    for name in schema.required:
        elsewhere = (kind, name) in _NOT_DEMANDED or (kind, name) in _CHOSEN_ELSEWHERE
        if obj.get(name) in (None, "", []) and not elsewhere:
            yield fields.required(join(path, name))
    for name, value in obj.items():
        if top and name == "status":
            continue
        child = schema.properties.get(name)
        elsewhere = (kind, name) in _CHOSEN_ELSEWHERE
        if child is not None and value is not None and not elsewhere:
            yield from _value(value, child, join(path, name))


def _value(value: Any, schema: Schema, path: str) -> Iterator[FieldError]:
    if isinstance(value, dict):
        if schema.properties:
            yield from _object(value, schema, path)
        elif schema.additional is not None and schema.additional.properties:
            for key, item in value.items():
                yield from _value(item, schema.additional, f"{path}[{key}]")
    elif isinstance(value, list):
        if schema.items is not None and (schema.items.properties or schema.items.raw.get("enum")):
            for index, item in enumerate(value):
                yield from _value(item, schema.items, f"{path}[{index}]")
    elif schema.raw.get("enum") and value != "" and value not in schema.raw["enum"]:
        yield fields.not_supported(path, value, schema.raw["enum"])
