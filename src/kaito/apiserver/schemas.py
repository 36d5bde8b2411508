"""What is known about the shape of each kind: schema, defaults, list-map keys.

This first version knows nothing and so takes every object as it comes.
"""

from dataclasses import dataclass
from typing import final

from kaito.apiserver.status import Cause
from kaito.kube.objects import Json


@final
@dataclass(frozen=True, slots=True)
class KindSchema:
    """The shape of one served version of a kind."""

    group: str
    version: str
    kind: str


@final
class Schemas:
    """Answers for every group, version and kind. See the methods for who calls them when."""

    def lookup(self, group: str, version: str, kind: str) -> KindSchema | None:  # noqa: ARG002 - the seam
        """None: nothing is known about the kind, objects are taken as they come."""
        return None

    def define(self, crd: Json) -> None:
        """A custom kind is served from now on, by this document."""

    def forget(self, group: str, kind: str) -> None:
        """A custom kind is served no more."""

    def decode(self, schema: KindSchema, obj: Json) -> list[str]:  # noqa: ARG002 - the seam
        """Prune and canonicalise `obj` in place; returns what strict decoding complains about."""
        return []

    def default(self, schema: KindSchema, obj: Json) -> None:
        """Fill the kind's defaults into `obj`."""

    def validate(
        self,
        schema: KindSchema,  # noqa: ARG002 - the seam
        obj: Json,  # noqa: ARG002 - the seam
        old: Json | None,  # noqa: ARG002 - the seam
        subresource: str = "",  # noqa: ARG002 - the seam
    ) -> list[Cause]:
        """Everything that is wrong with `obj`."""
        return []
