"""From pydantic models to structural schemas."""

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from kaito.kube.schema.pydantic_schema import Unrepresentable, structural_schema


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Port(BaseModel):
    """A port."""

    model_config = ConfigDict(extra="forbid")
    name: str
    number: Annotated[int, Field(gt=0, le=65535, json_schema_extra={"format": "int32"})] = 80


class Spec(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [{"rule": "has(self.mode)"}]}
    )
    mode: Literal["a", "b"] = "a"
    colour: Colour | None = Field(default=None, description="Which colour.")
    size: int | str | None = None
    nullable: str | None
    ports: list[Port] = Field(
        default_factory=list,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    tags: frozenset[str] = frozenset()
    labels: dict[str, str] = Field(default_factory=dict)
    anything: Any = None
    bag: dict[str, Any] | None = None
    words: tuple[str, ...] = ()
    quiet: int = Field(default=3, json_schema_extra={"default": None})


class Thing(BaseModel):
    metadata: Port
    spec: Spec


def test_a_model_becomes_a_structural_schema():
    """References are written out, titles and empty defaults are gone, extensions are kept."""
    assert structural_schema(Thing) == {
        "type": "object",
        "required": ["metadata", "spec"],
        "properties": {
            "metadata": {"type": "object"},
            "spec": {
                "type": "object",
                "required": ["nullable"],
                "x-kubernetes-validations": [{"rule": "has(self.mode)"}],
                "properties": {
                    "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                    "colour": {
                        "description": "Which colour.",
                        "type": "string",
                        "enum": ["red", "blue"],
                    },
                    "size": {"x-kubernetes-int-or-string": True},
                    "nullable": {"type": "string", "nullable": True},
                    "ports": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "description": "A port.",
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "number": {
                                    "type": "integer",
                                    "format": "int32",
                                    "default": 80,
                                    "minimum": 0,
                                    "exclusiveMinimum": True,
                                    "maximum": 65535,
                                },
                            },
                        },
                    },
                    "tags": {
                        "type": "array",
                        "x-kubernetes-list-type": "set",
                        "items": {"type": "string"},
                    },
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "anything": {"x-kubernetes-preserve-unknown-fields": True},
                    "bag": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "words": {"type": "array", "items": {"type": "string"}},
                    "quiet": {"type": "integer"},
                },
            },
        },
    }


def test_a_model_that_contains_itself_is_refused():
    """A structural schema has no references, so recursion cannot be said."""

    class Tree(BaseModel):
        children: list["Tree"] = []

    with pytest.raises(Unrepresentable, match="contains itself"):
        structural_schema(Tree)
