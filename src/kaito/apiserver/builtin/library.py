"""The recorded definitions of built-in kinds.

`schemas.json` holds facts that `tests/controlplane/record.py` asked a real API server for. Beside
the words of OpenAPI a property may carry `x-zero` (`keep`: an explicit zero is stored; `fill`: an
absent value is stored as zero; else a zero is dropped), `x-type` (the Go name of its type) and
`x-default` (the default that OpenAPI publishes, where the type alone does not tell it);
a definition may carry `x-alone`: its fields that have no description beside their reference there.
"""

from functools import cache
from importlib.resources import files
from typing import Final, final

import msgspec

from kaito.kube.objects import Json
from kaito.kube.schema.structural import Schema

META_TYPES: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META: Final = f"{META_TYPES}ObjectMeta"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
TIME: Final = f"{META_TYPES}Time"
MICRO_TIME: Final = f"{META_TYPES}MicroTime"
JSON_SCHEMA: Final = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


@final
class Library:
    """Definitions by name, and the kinds that they are. Immutable."""

    def __init__(self, version: str, definitions: dict[str, Json]) -> None:
        self.version = version
        """Of the server that was asked."""
        self._raw = definitions
        self._schemas: dict[str, Schema] = {}
        self._kinds: dict[tuple[str, str, str], str] = {}
        for name, definition in definitions.items():
            kinds = definition.get("x-kubernetes-group-version-kind", ())
            if len(kinds) == 1:  # options and lists of many groups are no kinds of their own
                kind = kinds[0]
                self._kinds[kind["group"], kind["version"], kind["kind"]] = name

    def definition(self, name: str) -> Schema:
        """The schema of one definition. Raises KeyError."""
        found = self._schemas.get(name)
        if found is None:
            found = Schema(self._raw[name], self.definition, name=name)
            self._schemas[name] = found
        return found

    def of_kind(self, group: str, version: str, kind: str) -> Schema | None:
        """The schema of a built-in kind."""
        name = self._kinds.get((group, version, kind))
        return None if name is None else self.definition(name)

    def has(self, name: str) -> bool:
        """Whether there is such a definition."""
        return name in self._raw

    def raw(self, name: str) -> Json:
        """A definition as it was recorded. Do not write."""
        return self._raw[name]

    def kinds(self) -> dict[tuple[str, str, str], str]:
        """(group, version, kind) -> definition name."""
        return dict(self._kinds)


class _File(msgspec.Struct):
    version: str
    definitions: dict[str, Json]


@cache
def library() -> Library:
    """The recorded library, read once."""
    text = files("kaito.apiserver.builtin").joinpath("schemas.json").read_bytes()
    found = msgspec.json.decode(text, type=_File)
    return Library(found.version, found.definitions)
