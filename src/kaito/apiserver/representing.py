"""How objects are sent: whole, as metadata alone, or as the rows of a Table."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import yaml

from kaito.apiserver.core import Call, encode
from kaito.apiserver.kinds import Column, Kind, Moment
from kaito.apiserver.negotiation import Accepted
from kaito.apiserver.status import Refused, bad_request
from kaito.kube.clock import parse_rfc3339
from kaito.kube.objects import Json
from kaito.kube.transport import Response

JSON_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-cache, private"}
YAML_HEADERS: Final = {"content-type": "application/yaml", "cache-control": "no-cache, private"}


def respond(call: Call, obj: Json, status: int, how: Accepted, *, drawn: bool = False) -> Response:
    """An answer in the accepted shape; `drawn` tells that `obj` has that shape already."""
    if not drawn and how.shape == "table" and obj.get("kind") != "Status":
        obj = table(call, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
    elif not drawn and how.shape == "metadata" and obj.get("kind") != "Status":
        if how.listed:
            raise _other_shape(call, "PartialObjectMetadataList", "not a list", "")
        obj = without_spec(obj, how)
    if how.yaml:
        text = yaml.dump(obj, Dumper=yaml.CSafeDumper, sort_keys=True)
        return Response(status=status, headers=YAML_HEADERS, body=text.encode())
    return Response(status=status, headers=JSON_HEADERS, body=encode(obj))


def without_spec(obj: Json, how: Accepted) -> Json:
    """`PartialObjectMetadata` of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{how.version}",
        "metadata": obj["metadata"],
    }


def drawn(call: Call, objects: Iterable[Json], metadata: Json, how: Accepted) -> Json:
    """A list of objects as a Table or as metadata alone. Raises Refused (406) to who asked for the
    metadata of one object."""
    if how.shape == "table":
        return table(call, objects, metadata)
    if not how.listed:
        raise _other_shape(call, "PartialObjectMetadata", "a list", "List")
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{how.version}",
        "metadata": metadata,
        "items": [without_spec(obj, how) for obj in objects],
    }


def _other_shape(call: Call, asked: str, why: str, ending: str) -> Refused:
    """The object is named as in Go."""
    resource = call.kind.resource
    if call.kind.custom and not ending:
        return Refused(500, "", "content is not a list")
    package = (resource.group or "core").partition(".")[0]
    name = "unstructured.Unstructured" if call.kind.custom else f"{package}.{resource.kind}"
    if resource.kind == "Event":
        name = "core.Event"
    told = f"you requested {asked}, but the requested object is {why} (*{name}{ending})"
    return Refused(406, "NotAcceptable", told)


def table(call: Call, objects: Iterable[Json], metadata: Json, *, definitions: bool = True) -> Json:
    """A `Table` with a row per object, as kubectl prints it."""
    include = call.request.param("includeObject") or "Metadata"
    if include not in ("Metadata", "Object", "None"):
        raise bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )
    moment = Moment(call.core.wall().timestamp())
    objects = list(objects)
    scale = any(obj.get("kind") == "Scale" for obj in objects)
    columns = SCALE_COLUMNS if scale else columns_of(call.kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_definition(column) for column in columns] if definitions else [],
        "rows": [_row(columns, obj, moment, include) for obj in objects],
    }


def _definition(column: Column) -> Json:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(columns: tuple[Column, ...], obj: Json, moment: Moment, include: str) -> Json:
    row: Json = {"cells": [_cell(column, obj, moment) for column in columns]}
    if include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj["metadata"],
        }
    else:
        row["object"] = obj if include == "Object" else None
    return row


def _cell(column: Column, obj: Json, moment: Moment) -> Any:
    return column.cell(obj, moment)


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """The kind's own columns, or name and age."""
    return kind.columns or PLAIN_COLUMNS


def name_cell(obj: Json, _: Moment) -> str:
    return str(obj["metadata"].get("name", ""))


def age_cell(obj: Json, moment: Moment) -> str:
    """`metadata.creationTimestamp` as kubectl tells ages."""
    return age(obj["metadata"].get("creationTimestamp"), moment)


def created_cell(obj: Json, _: Moment) -> Any:
    """The creation time itself."""
    return obj["metadata"].get("creationTimestamp")


def age(timestamp: str | None, moment: Moment) -> str:
    """How long ago, in kubectl's short words; `<unknown>` for nothing."""
    if not timestamp:
        return "<unknown>"
    return short_duration(moment.now - parse_rfc3339(timestamp).timestamp())


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_AGES: Final = (
    # Shorter than, in units of, with a second unit of.
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)


def short_duration(seconds: float) -> str:
    """`HumanDuration` of apimachinery: at most two units, fewer the longer it is."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(0, whole)
    for below, unit, letter, second, second_letter in _AGES:
        if whole < below:
            rest = whole % unit // second if second else 0
            return f"{whole // unit}{letter}" + (f"{rest}{second_letter}" if rest else "")
    return f"{whole // _YEAR}y"


def _replicas(part: str) -> Callable[[Json, Moment], int]:
    return lambda obj, _: (obj.get(part) or {}).get("replicas") or 0


SCALE_COLUMNS: Final = (
    Column(name="Name", format="name", cell=name_cell),
    Column(name="Desired", type="integer", cell=_replicas("spec")),
    Column(name="Available", type="integer", cell=_replicas("status")),
    Column(name="Age", cell=age_cell),
)
PLAIN_COLUMNS: Final = (
    Column(name="Name", format="name", cell=name_cell),
    Column(name="Created At", type="date", cell=created_cell),
)

decode: Final = msgspec.json.Decoder().decode
