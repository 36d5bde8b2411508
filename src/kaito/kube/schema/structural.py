"""A structural schema, read once and asked often.

`Schema` wraps one node of the JSON that a CustomResourceDefinition carries in `openAPIV3Schema`, or
that the API server publishes for a built-in kind. Children are wrapped when they are first asked
for, so a schema that refers to itself is no trouble and a large one costs nothing until used.
"""

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, final

from kaito.kube.objects import Json
from kaito.kube.schema.objectmeta import prune_metadata

META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})

Definitions = Callable[[str], "Schema"]
"""Finds what a `$ref` names."""


@final
class Schema:
    """One node of a structural schema. Immutable; children are shared and kept."""

    def __init__(
        self,
        raw: Json,
        definitions: Definitions | None = None,
        *,
        name: str = "",
        named: "Schema | None" = None,
    ) -> None:
        self.raw = raw
        self.name = name
        """The definition that this is, or was made from; empty for one that has no name."""
        self._definitions = definitions
        self._named = named
        self.type: str = raw.get("type", "")
        self.nullable: bool = raw.get("nullable", False)
        self.int_or_string: bool = raw.get("x-kubernetes-int-or-string", False)
        self.preserves_unknown: bool = raw.get("x-kubernetes-preserve-unknown-fields", False)
        self.embedded: bool = raw.get("x-kubernetes-embedded-resource", False)
        self.list_type: str = raw.get("x-kubernetes-list-type", "atomic")
        self.list_map_keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys", ()))
        self.map_type: str = raw.get("x-kubernetes-map-type", "granular")
        self.required: tuple[str, ...] = tuple(raw.get("required", ()))
        self.rules: tuple[Json, ...] = tuple(raw.get("x-kubernetes-validations", ()))

    @property
    def has_default(self) -> bool:
        return self.raw.get("default") is not None

    def new_default(self) -> Any:
        """A fresh copy of the default; None where there is none."""
        return copy.deepcopy(self.raw.get("default"))

    @cached_property
    def properties(self) -> dict[str, "Schema"]:
        if self._named is not None:
            return self._named.properties
        children = self.raw.get("properties") or {}
        return {name: self._child(child) for name, child in children.items()}

    @cached_property
    def additional(self) -> "Schema | None":
        """The schema of a map's values; one that allows anything for `additionalProperties: true`.

        `x-kubernetes-preserve-unknown-fields` is not this: see `preserves_unknown`.
        """
        found = self.raw.get("additionalProperties")
        if found is True:
            return Schema({"x-kubernetes-preserve-unknown-fields": True})
        return self._child(found) if isinstance(found, dict) else None

    @cached_property
    def items(self) -> "Schema | None":
        found = self.raw.get("items")
        return self._child(found) if isinstance(found, dict) else None

    @cached_property
    def alternatives(self) -> dict[str, tuple["Schema", ...]]:
        """The value validations `allOf`, `anyOf`, `oneOf` and (one element) `not`."""
        found = {
            word: tuple(self._child(child) for child in self.raw.get(word) or ())
            for word in ("allOf", "anyOf", "oneOf")
        }
        if self.raw.get("not") is not None:
            found["not"] = (self._child(self.raw["not"]),)
        return {word: children for word, children in found.items() if children}

    @cached_property
    def carries_rules(self) -> bool:
        """Whether CEL rules stand here or anywhere below. Built-in kinds have none."""
        if self._definitions is not None:
            return False
        below = [*self.properties.values(), self.additional, self.items]
        below += self.alternatives.get("allOf", ())
        return bool(self.rules) or any(child.carries_rules for child in below if child)

    def of_field(self, name: str) -> "Schema | None":
        """The schema of one member of an object, or None where the schema knows none."""
        return self.properties.get(name) or self.additional

    def at(self, *path: str) -> "Schema | None":
        """Walk down by field names; a list is stepped through without naming an index."""
        node: Schema | None = self
        for step in path:
            while node is not None and node.items is not None:
                node = node.items
            node = node.of_field(step) if node is not None else None
        return node

    def _child(self, raw: Json) -> "Schema":
        target = raw.get("$ref")
        if target is None or self._definitions is None:
            return Schema(raw, self._definitions)
        named = self._definitions(target)
        if len(raw) == 1:
            return named
        beside = {**named.raw, **raw}
        return Schema(beside, self._definitions, name=named.name, named=named)


def join(path: str, name: str) -> str:
    """The path of a member."""
    return f"{path}.{name}" if path else name


def prune(obj: Json, schema: Schema, *, root: bool = True) -> list[str]:
    """Drop, in place, every field that the schema does not know; their paths, sorted.

    `apiVersion`, `kind` and `metadata` of the object itself (`root`) and of embedded resources are
    known; unknown fields inside such a `metadata` are dropped too.
    """
    dropped: list[str] = []
    _prune_object(obj, schema, "", dropped, embedded=root or schema.embedded)
    return sorted(dropped)


def _prune(value: Any, schema: Schema | None, path: str, dropped: list[str]) -> None:
    if isinstance(value, dict):
        _prune_object(value, schema, path, dropped, schema is not None and schema.embedded)
    elif isinstance(value, list):
        _prune_list(value, schema, path, dropped)


def _prune_list(value: list[Any], schema: Schema | None, path: str, dropped: list[str]) -> None:
    items = schema.items if schema is not None else None
    if items is None and schema is not None and schema.preserves_unknown:
        return
    for index, item in enumerate(value):
        _prune(item, items, f"{path}[{index}]", dropped)


def _prune_object(
    value: Json, schema: Schema | None, path: str, dropped: list[str], embedded: bool
) -> None:
    for name in list(value):
        if embedded and name in META_FIELDS:
            if name == "metadata" and isinstance(value[name], dict):
                dropped.extend(prune_metadata(value[name], join(path, name)))
            continue
        child = schema.of_field(name) if schema is not None else None
        if child is not None:
            _prune(value[name], child, join(path, name), dropped)
        elif schema is None or not schema.preserves_unknown:
            del value[name]
            dropped.append(join(path, name))


def default(obj: Any, schema: Schema, *, keep_nulls: bool = False) -> None:
    """Fill in, in place, what the schema has defaults for.

    A null that the schema does not allow counts as absent: it is replaced by the default where
    there is one and dropped where there is none (`keep_nulls`: left for validation to find).
    Defaults of an absent object's fields do not apply (only an object that is there is filled).
    """
    if isinstance(obj, dict):
        _drop_nulls(obj, schema, keep_nulls)
        for name, child in schema.properties.items():
            if child.has_default and obj.get(name, _ABSENT) is _ABSENT:
                obj[name] = child.new_default()
        for name, value in obj.items():
            below = schema.of_field(name)
            if below is not None and isinstance(value, dict | list):
                default(value, below, keep_nulls=keep_nulls)
    elif isinstance(obj, list) and schema.items is not None:
        for index, item in enumerate(obj):
            if item is None and not schema.items.nullable:
                obj[index] = schema.items.new_default()
            elif isinstance(item, dict | list):
                default(item, schema.items, keep_nulls=keep_nulls)


_ABSENT = object()


def _drop_nulls(obj: Json, schema: Schema, keep: bool) -> None:
    for name in [name for name, value in obj.items() if value is None]:
        child = schema.of_field(name)
        if child is not None and not child.nullable and (child.has_default or not keep):
            del obj[name]
