"""Conversion between the versions of a kind: every version to and from one hub.

With n versions that makes 2(n - 1) functions, not n(n - 1). The functions are pure: an object of
one version in, the same object in the other version out.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from kaito.framework.webhooks.admission import BadReview, request_of
from kaito.kube.objects import Json

API_VERSION: Final = "apiextensions.k8s.io/v1"

Convert = Callable[[Json], Json]
"""Takes an object that it may edit, apiVersion already the wanted one; returns it converted."""

_encode: Final = msgspec.json.Encoder().encode


class CannotConvert(Exception):
    """This object, or this pair of versions. The message is shown to whoever asked for it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Spoke:
    """One version that is not the hub."""

    to_hub: Convert
    from_hub: Convert


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HubAndSpokes:
    """The versions of one kind."""

    group: str
    kind: str
    hub: str
    spokes: Mapping[str, Spoke]

    def convert(self, obj: Json, desired: str) -> Json:
        """`obj`, untouched, as its equivalent of the apiVersion `desired`. Raises CannotConvert.

        Of the metadata, only labels and annotations may be changed by the functions: an API server
        refuses anything else, so the rest is put back as it was.
        """
        wanted, given = self._version(desired), self._version(str(obj.get("apiVersion")))
        converted = deepcopy(obj)
        if wanted != given and given != self.hub:
            converted = self._step(converted, self.hub, self.spokes[given].to_hub)
        if wanted != given and wanted != self.hub:
            converted = self._step(converted, wanted, self.spokes[wanted].from_hub)
        return {**converted, "metadata": _metadata(obj, converted)}

    def _step(self, obj: Json, version: str, convert: Convert) -> Json:
        head = {"apiVersion": f"{self.group}/{version}", "kind": self.kind}
        return {**convert({**obj, **head}), **head}

    def _version(self, api_version: str) -> str:
        group, _, version = api_version.rpartition("/")
        if group != self.group or (version != self.hub and version not in self.spokes):
            raise CannotConvert(f"{api_version} is not a version of {self.kind}.{self.group}")
        return version


def _metadata(obj: Json, converted: Json) -> Json:
    before, after = dict(obj.get("metadata") or {}), converted.get("metadata") or {}
    for name in ("labels", "annotations"):
        if after.get(name):
            before[name] = after[name]
        else:
            before.pop(name, None)
    return before


@final
class Conversions:
    """Every kind that one endpoint converts."""

    def __init__(self, *kinds: HubAndSpokes) -> None:
        self._kinds: Final = {(kind.group, kind.kind): kind for kind in kinds}

    def convert(self, obj: Json, desired: str) -> Json:
        """See `HubAndSpokes.convert`."""
        group = str(obj.get("apiVersion", "")).rpartition("/")[0]
        found = self._kinds.get((group, str(obj.get("kind", ""))))
        if found is None:
            raise CannotConvert(f"nothing converts {obj.get('kind')} of {obj.get('apiVersion')}")
        return found.convert(obj, desired)

    def review(self, body: bytes) -> bytes:
        """Answer a ConversionReview v1: all objects converted, or one message why not.

        Raises BadReview for a body that is none.
        """
        request = request_of(body, API_VERSION, "ConversionReview")
        objects: Any = request.get("objects") or []
        desired = request.get("desiredAPIVersion")
        if not isinstance(desired, str) or not isinstance(objects, list):
            raise BadReview("the request has no desiredAPIVersion or no list of objects")
        try:
            converted = [self.convert(obj, desired) for obj in objects]
            answer: Json = {"convertedObjects": converted, "result": {"status": "Success"}}
        except CannotConvert as error:
            told = {"status": "Failure", "message": str(error)}
            answer = {"convertedObjects": [], "result": told}
        response = {"uid": request["uid"], **answer}
        return _encode(
            {"apiVersion": API_VERSION, "kind": "ConversionReview", "response": response},
        )
