"""Which representation the client wants: the object, a Table of it, or its metadata alone."""

from dataclasses import dataclass
from typing import Final, Literal, final

from kaito.apiserver.status import Refused
from kaito.kube.transport import Request

Shape = Literal["object", "table", "metadata"]

_SHAPES: Final[dict[str, Shape]] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}
_JSON: Final = frozenset({"application/json", "application/*", "*/*", ""})
_YAML: Final = "application/yaml"


@final
@dataclass(frozen=True, slots=True)
class Accepted:
    """What will be sent. `version` is the meta.k8s.io version of a Table or of metadata."""

    shape: Shape = "object"
    version: str = "v1"
    yaml: bool = False
    listed: bool = False
    """Metadata alone, of a list: not of one object."""


_PLAIN: Final = Accepted()


def accepted(request: Request, *, shapes: bool = True) -> Accepted:
    """The first alternative of `Accept` that this server has; raises 406 when it has none.

    Protobuf is not spoken; clients that would take JSON too get JSON, as they must expect.
    """
    header = request.headers.get("accept", "")
    if header in _JSON or header == "application/json, */*":
        return _PLAIN
    for alternative in header.split(","):
        found = _one(alternative, shapes=shapes)
        if found is not None:
            return found
    raise Refused(
        406,
        "NotAcceptable",
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml",
        details={},
    )


def _one(alternative: str, *, shapes: bool) -> Accepted | None:
    media, *rest = [part.strip() for part in alternative.split(";")]
    yaml = media == _YAML
    if media not in _JSON and not yaml:
        return None
    parameters = dict(part.split("=", 1) for part in rest if "=" in part)
    wanted = parameters.get("as")
    if wanted is None:
        return Accepted(yaml=yaml)
    shape = _SHAPES.get(wanted)
    if shape is None or not shapes or parameters.get("g", "meta.k8s.io") != "meta.k8s.io":
        return None
    version = parameters.get("v", "v1")
    listed = wanted == "PartialObjectMetadataList"
    return Accepted(shape, version, listed=listed) if version in ("v1", "v1beta1") else None
