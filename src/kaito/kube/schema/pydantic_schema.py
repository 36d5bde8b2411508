"""From a pydantic model to a structural schema, the form that a CustomResourceDefinition takes.

What pydantic publishes is JSON Schema 2020-12; a structural schema knows no `$ref`, `title`,
`const`, `anyOf` of types, null type or numeric exclusive bounds. What has no counterpart is an
error here, so that a model cannot promise what no API server would enforce.

Say more through `Field(json_schema_extra={...})` (or the model's `json_schema_extra`), in the words
of the structural schema: `x-kubernetes-list-type`, `x-kubernetes-list-map-keys`,
`x-kubernetes-validations`, `x-kubernetes-preserve-unknown-fields`, `format`, `nullable` ...
A model's default becomes the schema's default unless it is null or empty; `{"default": None}` keeps
a default out of the schema.
"""

import inspect
from typing import Any

from pydantic import BaseModel

from kaito.kube.objects import Json

_DROPPED = frozenset({"title", "examples", "deprecated", "discriminator", "readOnly", "writeOnly"})
_KEPT = frozenset(
    {
        "type", "format", "description", "required", "enum", "default", "nullable",
        "pattern", "minLength", "maxLength", "minimum", "maximum", "multipleOf",
        "minItems", "maxItems", "minProperties", "maxProperties", "properties", "items",
        "additionalProperties", "not", "oneOf", "anyOf", "allOf",
    }
)  # fmt: skip
_ORDER = ("description", "type", "format", "enum", "default")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


class Unrepresentable(ValueError):
    """The model uses what a structural schema cannot say."""


def structural_schema(model: type[BaseModel]) -> Json:
    """The schema of one object kind or part: `$ref`s written out, no titles, no null defaults.

    `X | None` with a default is an optional X; without a default it is a required, nullable X.
    `int | str` is an int-or-string. A field called `metadata` at the top is a plain object: its
    content belongs to the API server. Raises Unrepresentable.
    """
    published = model.model_json_schema(by_alias=True, mode="validation")
    definitions = published.pop("$defs", {})
    schema = _Translation(definitions).node(published, "", ())
    if "metadata" in schema.get("properties", {}):
        schema["properties"]["metadata"] = {"type": "object"}
    return schema


class _Translation:
    def __init__(self, definitions: dict[str, Json]) -> None:
        self._definitions = definitions

    def node(self, source: Json, path: str, seen: tuple[str, ...], required: bool = True) -> Json:
        merged, seen = self._resolved(source, path, seen)
        merged = self._without_null(merged, required)
        merged, seen = self._resolved(merged, path, seen)
        if _is_int_or_string(merged.get("anyOf")):
            del merged["anyOf"]
            merged["x-kubernetes-int-or-string"] = True
        out: Json = {"required": merged.pop("required", [])}
        for word, value in merged.items():
            self._word(word, value, out, path, seen)
        _tidy(out, path)
        return dict(sorted(out.items(), key=_position))

    def _resolved(
        self, source: Json, path: str, seen: tuple[str, ...]
    ) -> tuple[Json, tuple[str, ...]]:
        """Follow `$ref`; what stands beside it wins over what it names."""
        merged = dict(source)
        while "$ref" in merged:
            name = merged.pop("$ref").removeprefix("#/$defs/")
            if name in seen:
                raise Unrepresentable(f"{path}: {name} contains itself")
            seen = (*seen, name)
            merged = {**self._definitions[name], **merged}
        return merged, seen

    def _without_null(self, merged: Json, required: bool) -> Json:
        choices = merged.get("anyOf")
        if not choices or {"type": "null"} not in choices:
            return merged
        left = [choice for choice in choices if choice != {"type": "null"}]
        rest = {word: value for word, value in merged.items() if word != "anyOf"}
        if required:
            rest.setdefault("nullable", True)
        return {**left[0], **rest} if len(left) == 1 else {**rest, "anyOf": left}

    def _word(self, word: str, value: Any, out: Json, path: str, seen: tuple[str, ...]) -> None:
        if word in _DROPPED:
            return
        if word.startswith("x-"):
            out[word] = value
        elif word in _KEPT:
            out[word] = self._translated(word, value, out, path, seen)
        elif word == "const":
            out["enum"] = [value]
        elif word in ("exclusiveMinimum", "exclusiveMaximum"):
            out[word.removeprefix("exclusive").lower()] = value
            out[word] = True
        elif word == "uniqueItems":
            out["x-kubernetes-list-type"] = "set"
        elif word == "patternProperties":
            out["additionalProperties"] = self.node(next(iter(value.values())), path, seen)
        elif word != "propertyNames":  # the names of a map's keys cannot be constrained
            raise Unrepresentable(f"{path or 'the object'}: {word} has no structural counterpart")

    def _translated(
        self, word: str, value: Any, out: Json, path: str, seen: tuple[str, ...]
    ) -> Any:
        if word == "properties":
            required = out.get("required", ())
            return {
                name: self.node(child, f"{path}.{name}", seen, name in required)
                for name, child in value.items()
            }
        if word in ("items", "additionalProperties", "not") and isinstance(value, dict):
            return self.node(value, f"{path}[]", seen)
        if word in ("anyOf", "oneOf", "allOf"):
            return [self.node(child, path, seen) for child in value]
        if word == "description":
            return inspect.cleandoc(value)
        return value


def _is_int_or_string(choices: list[Json] | None) -> bool:
    types = sorted(choice.get("type", "") for choice in choices or ())
    return types == ["integer", "string"]


def _tidy(out: Json, path: str) -> None:
    if out.get("default", 0) in _EMPTY and not isinstance(out.get("default", 0), int | float):
        del out["default"]
    if not out.get("required", True):
        del out["required"]
    extra = out.get("additionalProperties")
    if isinstance(extra, bool):  # extra="forbid" is what a structural schema means anyway
        del out["additionalProperties"]
    if extra is True or extra == {} or _says_nothing(out):
        out.pop("additionalProperties", None)
        out.setdefault("x-kubernetes-preserve-unknown-fields", True)
    if out.get("enum") and "type" not in out:
        kinds = {type(value) for value in out["enum"]}
        if kinds == {str}:
            out["type"] = "string"
        elif kinds == {int}:
            out["type"] = "integer"
        else:
            raise Unrepresentable(f"{path}: an enum of mixed types")


def _says_nothing(out: Json) -> bool:
    """An `Any`: nothing but prose."""
    return not (set(out) - {"description", "nullable", "default"})


def _position(item: tuple[str, Any]) -> tuple[int, str]:
    word = item[0]
    return (_ORDER.index(word), "") if word in _ORDER else (len(_ORDER), _TAIL.get(word, word))


_TAIL = {"required": "~1", "properties": "~0"}
