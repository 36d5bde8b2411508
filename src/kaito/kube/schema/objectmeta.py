"""`metadata` of any object: its fields and their types (`metav1.ObjectMeta`)."""

from typing import Any

from kaito.kube.objects import Json

_TEXT, _NUMBER, _MAP, _TEXTS, _OBJECTS = "string", "integer", "map", "texts", "objects"

FIELDS: dict[str, str] = {
    "name": _TEXT,
    "generateName": _TEXT,
    "namespace": _TEXT,
    "selfLink": _TEXT,
    "uid": _TEXT,
    "resourceVersion": _TEXT,
    "generation": _NUMBER,
    "creationTimestamp": _TEXT,
    "deletionTimestamp": _TEXT,
    "deletionGracePeriodSeconds": _NUMBER,
    "labels": _MAP,
    "annotations": _MAP,
    "ownerReferences": _OBJECTS,
    "finalizers": _TEXTS,
    "managedFields": _OBJECTS,
}
"""Field -> the shape of its value."""

_NESTED = {
    "ownerReferences": frozenset(
        {"apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"}
    ),
    "managedFields": frozenset(
        {"manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"}
    ),
}


def prune_metadata(metadata: Json, path: str) -> list[str]:
    """Drop unknown fields in place; their paths."""
    dropped = [f"{path}.{name}" for name in metadata if name not in FIELDS]
    for name in [name for name in metadata if name not in FIELDS]:
        del metadata[name]
    for name, known in _NESTED.items():
        for index, item in enumerate(metadata.get(name) or ()):
            if isinstance(item, dict):
                dropped += _prune_nested(item, known, f"{path}.{name}[{index}]")
    return dropped


def _prune_nested(item: Json, known: frozenset[str], path: str) -> list[str]:
    unknown = [name for name in item if name not in known]
    for name in unknown:
        del item[name]
    return [f"{path}.{name}" for name in unknown]


def misfit(metadata: Any) -> str | None:
    """Why this cannot be read as metadata (the decoder's words), or None."""
    if not isinstance(metadata, dict):
        return _cannot(metadata, "metadata", "v1.ObjectMeta")
    for name, value in metadata.items():
        shape = FIELDS.get(name)
        problem = _misfit(name, value, shape) if shape is not None and value is not None else None
        if problem:
            return problem
    return None


_GO = {_TEXT: "string", _NUMBER: "int64", _MAP: "map[string]string", _TEXTS: "[]string"}
_PYTHON: dict[str, type] = {_TEXT: str, _NUMBER: int, _MAP: dict, _TEXTS: list, _OBJECTS: list}
_OBJECT_GO = {
    "ownerReferences": "[]v1.OwnerReference",
    "managedFields": "[]v1.ManagedFieldsEntry",
}


def _misfit(name: str, value: Any, shape: str) -> str | None:
    if not isinstance(value, _PYTHON[shape]) or (shape == _NUMBER and isinstance(value, bool)):
        return _cannot(value, f"ObjectMeta.{name}", _GO.get(shape) or _OBJECT_GO[name])
    if isinstance(value, dict):
        return next(
            (
                _cannot(item, f"ObjectMeta.{name}", "string")
                for item in value.values()
                if item is not None and not isinstance(item, str)
            ),
            None,
        )
    return None


def _cannot(value: Any, field: str, target: str) -> str:
    return f"json: cannot unmarshal {go_kind(value)} into Go struct field {field} of type {target}"


def go_kind(value: Any) -> str:
    """What Go's decoder calls a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
