"""How objects are sent: whole, as metadata alone, or as the rows of a Table."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import yaml

from kaito.apiserver.core import Call, encode
from kaito.apiserver.kinds import Column, Kind, Moment
from kaito.apiserver.negotiation import Accepted
from kaito.apiserver.status import bad_request
from kaito.kube.clock import parse_rfc3339
from kaito.kube.objects import Json
from kaito.kube.transport import Response

JSON_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-cache, private"}
YAML_HEADERS: Final = {"content-type": "application/yaml", "cache-control": "no-cache, private"}


def respond(
    call: Call, obj: Json, status: int, how: Accepted, *, drawn: bool = False
) -> Response:
    """An answer in the accepted shape; `drawn` tells that `obj` has that shape already."""
    if not drawn and how.shape == "table" and obj.get("kind") != "Status":
        obj = table(call, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
    elif not drawn and how.shape == "metadata" and obj.get("kind") != "Status":
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


def table(call: Call, objects: Iterable[Json], metadata: Json, *, definitions: bool = True) -> Json:
    """A `Table` with a row per object, as kubectl prints it."""
    include = call.request.param("includeObject") or "Metadata"
    if include not in ("Metadata", "Object", "None"):
        raise bad_request(f'unrecognized includeObject value: "{include}"')
    moment = Moment(call.core.clock.wall().timestamp())
    columns = columns_of(call.kind)
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
    elif include == "Object":
        row["object"] = obj
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


def short_duration(seconds: float) -> str:
    """`HumanDuration` of apimachinery: at most two units, fewer the longer it is."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    if hours < 24 * 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


PLAIN_COLUMNS: Final = (
    Column(name="Name", format="name", cell=name_cell),
    Column(name="Created At", type="date", cell=created_cell),
)

decode: Final = msgspec.json.Decoder().decode
