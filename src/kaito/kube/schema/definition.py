"""A CustomResourceDefinition from a pydantic type.

The document is plain JSON: `kubectl apply -f -` takes it, and so does an API server.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, final, get_args

from pydantic import BaseModel, WithJsonSchema

from kaito.kube.objects import Json, Resource
from kaito.kube.schema.pydantic_schema import structural_schema

_CONDITION: Final[Json] = {
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": {"type": "string", "maxLength": 316},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
        "message": {"type": "string", "maxLength": 32768},
    },
}

Conditions = Annotated[
    list[dict[str, Any]],
    WithJsonSchema(
        {
            "type": "array",
            "description": "Observations, one per type.",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }
    ),
]
"""The type of `status.conditions`: a list of `metav1.Condition`, one per type."""


@final
@dataclass(frozen=True, slots=True)
class Column:
    """Beside a field's type, `Annotated[int, Column("Copies")]`: `kubectl get` prints the field."""

    title: str
    condition: str = ""
    """Of a field of `Conditions`: the type of the one whose status is printed."""
    priority: int = 0
    """Above 0: only with `-o wide`."""


def definition(
    resource: Resource,
    model: type[BaseModel],
    *,
    short_names: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    older: Mapping[str, type[BaseModel]] | None = None,
    conversion: Json | None = None,
) -> Json:
    """The definition of a kind, whose content is `model`.

    `resource` names the version that is stored; `older` are others that are served beside it, by
    name. Where they differ, `conversion` is the `clientConfig` of the webhook that converts.
    `model` describes `spec`, `status` and whatever else there is beside the metadata. With a field
    `status`, the status is a subresource: it is written apart from the rest. `kubectl get` prints
    the fields that have a `Column`, then `columns`, a title and a JSON path each; the age comes
    last by itself.
    Raises `pydantic_schema.Unrepresentable`.
    """
    models = {resource.version: model, **(older or {})}
    versions = [
        {**_version(name, each, columns or {}), "storage": each is model}
        for name, each in models.items()
    ]
    singular = resource.kind.lower()
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": singular,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.group_resource},
        "spec": {
            "group": resource.group,
            "names": {**names, **({"shortNames": list(short_names)} if short_names else {})},
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": versions,
            **({} if conversion is None else {"conversion": _by_webhook(conversion)}),
        },
    }


def _version(name: str, model: type[BaseModel], columns: Mapping[str, str]) -> Json:
    schema = structural_schema(model)
    version: Json = {
        "name": name,
        "served": True,
        "additionalPrinterColumns": [*_fields(model, schema, ""), *_columns(columns)],
        "schema": {"openAPIV3Schema": schema},
    }
    if "status" in schema.get("properties", {}):
        version["subresources"] = {"status": {}}
    return version


def _by_webhook(client_config: Json) -> Json:
    webhook = {"clientConfig": client_config, "conversionReviewVersions": ["v1"]}
    return {"strategy": "Webhook", "webhook": webhook}


def _fields(model: type[BaseModel], schema: Json, path: str) -> Iterator[Json]:
    """The columns of the fields of a model and of the models in it, in their order."""
    for name, field in model.model_fields.items():
        name = field.serialization_alias or field.alias or name
        inner = schema["properties"].get(name, {})
        for column in field.metadata:
            if isinstance(column, Column):
                yield _column(column, inner, f"{path}.{name}")
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _fields(part, inner, f"{path}.{name}")


def _column(column: Column, schema: Json, path: str) -> Json:
    kind = schema.get("type", "string")
    if column.condition:
        kind, path = "string", f'{path}[?(@.type=="{column.condition}")].status'
    elif schema.get("format") == "date-time":
        kind = "date"
    elif kind not in ("integer", "number", "boolean"):
        kind = "string"
    found = {"name": column.title, "jsonPath": path, "type": kind}
    return {**found, "priority": column.priority} if column.priority else found


def _columns(wanted: Mapping[str, str]) -> list[Json]:
    columns = [{"name": name, "jsonPath": path, "type": "string"} for name, path in wanted.items()]
    return [
        *columns,
        {"name": "Age", "jsonPath": ".metadata.creationTimestamp", "type": "date"},
    ]
