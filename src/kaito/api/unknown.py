"""Fields that a Workspace does not have, with the name that was probably meant."""

from collections.abc import Iterator
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from kaito.api.problems import Problem, did_you_mean
from kaito.api.workspace import Content
from kaito.kube.objects import Json

_HEAD: Final = frozenset({"apiVersion", "kind", "metadata"})


def unknown_fields(obj: Json) -> list[Problem]:
    """Every field that no version knows. An API server drops them, with or without a word."""
    return list(_unknown(obj, Content, "", _HEAD))


def _unknown(
    value: Json, model: type[BaseModel], path: str, known: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    members = {info.alias or name: info.annotation for name, info in model.model_fields.items()}
    for name, child in value.items():
        where = f"{path}.{name}" if path else name
        if name in members:
            yield from _inside(child, members[name], where)
        elif name not in known:
            yield Problem(where, _message(name, path, list(members)))


def _message(name: str, path: str, members: list[str]) -> str:
    if name == "spec" and not path:
        return "a Workspace has no spec: resource, inference and tuning sit at the root"
    close = get_close_matches(name, members, n=2, cutoff=0.6)
    return f"there is no such field{did_you_mean(close)}"


def _inside(value: Any, annotation: Any, path: str) -> Iterator[Problem]:
    model, is_list = _model_of(annotation)
    if model is None:
        return
    if is_list and isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield from _unknown(item, model, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from _unknown(value, model, path)


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that an annotation holds, and whether in a list; None for anything else."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _model_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not NoneType]
        return _model_of(inner[0]) if len(inner) == 1 else (None, False)
    if origin is tuple:
        return _model_of(get_args(annotation)[0])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False
