"""What is known about the shape of each kind: schema, defaults, list-map keys.

Built-in kinds answer from what was recorded of a real server, custom ones from their definition.
Callers, in the order of a write: `decode` (the body, or what a patch makes of an object),
`default`, `validate`. `KindSchema.schema` is what apply, strategic merge and OpenAPI walk.
"""

from dataclasses import dataclass
from typing import Final, final

from kaito.apiserver.builtin import checking, decoding, defaulting, rules, statusrules
from kaito.apiserver.builtin.library import OBJECT_META, library
from kaito.apiserver.status import Cause, bad_request
from kaito.kube.objects import Json
from kaito.kube.schema import structural, validation
from kaito.kube.schema.fields import MISSING, FieldError
from kaito.kube.schema.objectmeta import misfit
from kaito.kube.schema.structural import Schema


@final
@dataclass(frozen=True, slots=True)
class KindSchema:
    """The shape of one served version of a kind."""

    group: str
    version: str
    kind: str
    schema: Schema
    custom: bool = False


_ANYTHING: Final[Json] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@final
class Schemas:
    """Answers for every group, version and kind. See the methods for who calls them when."""

    def __init__(self) -> None:
        self._custom: dict[tuple[str, str, str], KindSchema] = {}
        self._builtin: dict[tuple[str, str, str], KindSchema | None] = {}
        self.generation = 0
        """Grows with every change of a custom kind; what is derived is cached by it."""

    def lookup(self, group: str, version: str, kind: str) -> KindSchema | None:
        """None: nothing is known about the kind, objects are taken as they come."""
        key = (group, version, kind)
        found = self._custom.get(key)
        if found is None and key in self._builtin:
            return self._builtin[key]
        if found is None:
            schema = library().of_kind(group, version, kind)
            found = None if schema is None else KindSchema(group, version, kind, schema)
            self._builtin[key] = found
        return found

    def define(self, crd: Json) -> None:
        """A custom kind is served from now on, by this document."""
        spec = crd["spec"]
        group, kind = spec["group"], spec["names"]["kind"]
        self.forget(group, kind)
        for version in spec["versions"]:
            raw = (version.get("schema") or {}).get("openAPIV3Schema") or _ANYTHING
            key = (group, version["name"], kind)
            self._custom[key] = KindSchema(*key, Schema(raw), custom=True)

    def forget(self, group: str, kind: str) -> None:
        """A custom kind is served no more."""
        self.generation += 1
        for key in [key for key in self._custom if key[0] == group and key[2] == kind]:
            del self._custom[key]

    def decode(self, schema: KindSchema, obj: Json) -> list[str]:
        """Prune and canonicalise `obj` in place; returns what strict decoding complains about.

        Raises `Refused` (400) when a value has the wrong type.
        """
        try:
            if schema.custom:
                return [*_metadata(obj), *_unknown(structural.prune(obj, schema.schema))]
            return decoding.decode(obj, schema.schema)
        except decoding.Unreadable as error:
            raise bad_request(
                f'{schema.kind} in version "{schema.version}" cannot be handled as a '
                f"{schema.kind}: {error}"
            ) from error

    def default(self, schema: KindSchema, obj: Json, *, keep_nulls: bool = False) -> None:
        """Fill the kind's defaults into `obj`.

        `keep_nulls`: of custom kinds, for validation to refuse, as the real server does after an
        apply; elsewhere a null counts as absent.
        """
        if schema.custom:
            structural.default(obj, schema.schema, keep_nulls=keep_nulls)
        else:
            defaulting.default(obj, schema.schema)

    def validate(
        self, schema: KindSchema, obj: Json, old: Json | None, subresource: str = ""
    ) -> list[Cause]:
        """Everything that is wrong with `obj` besides its metadata."""
        before = MISSING if old is None else old
        if schema.custom:
            part = "status" if subresource == "status" else ""
            found = validation.validate(obj, schema.schema, old=before, part=part)
        elif subresource == "status":
            found = statusrules.check(schema.group, schema.kind, obj, old)
        elif subresource:
            found = []
        else:
            found = [
                *checking.check(obj, schema.schema),
                *rules.check(schema.group, schema.kind, obj, old),
            ]
        return [_cause(error) for error in found]


def _metadata(obj: Json) -> list[str]:
    """The metadata of a custom object is read as that of any other."""
    metadata = obj.get("metadata")
    if metadata is None:
        return []
    if not isinstance(metadata, dict):
        raise decoding.Unreadable(misfit(metadata) or "")
    told = decoding.decode(metadata, library().definition(OBJECT_META))
    return [text.replace('field "', 'field "metadata.', 1) for text in told]


def _unknown(paths: list[str]) -> list[str]:
    return [f'unknown field "{path}"' for path in paths]


def _cause(error: FieldError) -> Cause:
    return Cause(error.path or "<nil>", error.reason, error.message)
