"""Bodies in protobuf, as kubectl and client-go send built-in kinds; answers are always JSON.

Field numbers and names are recorded (`builtin/protobuf.json`); the wire format is the public one.
Zeros that JSON would leave out are left out: fields without presence are always on the wire.
"""

import base64
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from kaito.kube.clock import rfc3339, rfc3339_micro
from kaito.kube.objects import Json

MAGIC: Final = b"k8s\x00"
MEDIA: Final = "application/vnd.kubernetes.protobuf"

Field = tuple[str, str, str]
_META: Final = "apimachinery.pkg.apis.meta.v1"
_GROUPS: Final = {
    "": "core",
    "rbac.authorization.k8s.io": "rbac",
    "authorization.k8s.io": "authorization",
    "authentication.k8s.io": "authentication",
    "admissionregistration.k8s.io": "admissionregistration",
    "coordination.k8s.io": "coordination",
    "discovery.k8s.io": "discovery",
    "events.k8s.io": "events",
    "scheduling.k8s.io": "scheduling",
    "storage.k8s.io": "storage",
}


class Malformed(ValueError):
    """This is no protobuf that is understood here."""


@cache
def _messages() -> dict[str, dict[int, Field]]:
    text = Path(__file__).with_name("builtin").joinpath("protobuf.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, dict[int, Field]])


def decode(body: bytes) -> Json:
    """The object in an envelope (`runtime.Unknown`). Raises Malformed."""
    try:
        return _decode(body)
    except (IndexError, KeyError, UnicodeDecodeError, struct.error, msgspec.DecodeError) as error:
        raise Malformed(f"cannot read the object: {error}") from error


def _decode(body: bytes) -> Json:
    if not body.startswith(MAGIC):
        raise Malformed("the body does not begin as protobuf does")
    head, raw = b"", b""
    for number, value in _fields(body[len(MAGIC) :]):
        if number == 1:
            head = value
        elif number == 2:
            raw = value
    named = {number: value.decode() for number, value in _fields(head)}
    version, kind = named.get(1, ""), named.get(2, "")
    if raw[:1] == b"{":
        content: Json = msgspec.json.decode(raw)
    else:
        content = _message(raw, _message_name(version, kind))
    return {"kind": kind, "apiVersion": version, **content}


def _message_name(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if group == "apiextensions.k8s.io":
        package = f"apiextensions_apiserver.pkg.apis.apiextensions.{version}"
    else:
        package = f"api.{_GROUPS.get(group, group)}.{version}"
    name = f"{package}.{kind}"
    if name not in _messages() and f"{_META}.{kind}" in _messages():
        name = f"{_META}.{kind}"
    if name not in _messages():
        raise Malformed(f"no kind {kind} is known for version {api_version}")
    return name


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and raw values: integers, or bytes for everything that has a length."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        match key & 7:
            case 0:
                value, position = _varint(data, position)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, position = _varint(data, position)
            case 5:
                length = 4
            case other:
                raise Malformed(f"wire type {other}")
        if position + length > len(data):
            raise Malformed("the object is cut short")
        yield key >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _message(data: bytes, name: str) -> Any:
    special = _SPECIAL.get(name)
    if special is not None:
        return special(data)
    known = _messages()[name]
    obj: Json = {}
    for number, raw in _fields(data):
        field = known.get(number)
        if field is not None:
            _put(obj, field, raw)
    return obj


def _put(obj: Json, field: Field, raw: Any) -> None:
    name, kind, flags = field
    if "m" in flags:
        key, value = _entry(raw, kind)
        obj.setdefault(name, {})[key] = value
    elif "r" in flags:
        obj.setdefault(name, []).append(_value(raw, kind))
    elif "i" in flags:
        obj.update(_message(raw, kind))
    else:
        value = _value(raw, kind)
        if ("z" in flags and value is not None) or value not in (None, "", 0, False, {}):
            obj[name] = value


def _entry(raw: bytes, kind: str) -> tuple[str, Any]:
    parts = dict(_fields(raw))
    empty: Any = b"" if kind not in ("bool", "int32", "int64") else 0
    return parts.get(1, b"").decode(), _value(parts.get(2, empty), kind)


def _value(raw: Any, kind: str) -> Any:
    match kind:
        case "string":
            return raw.decode()
        case "bool":
            return bool(raw)
        case "int32" | "int64":
            return raw - (1 << 64) if raw >> 63 else raw
        case "double":
            return struct.unpack("<d", raw)[0]
        case "bytes":
            return base64.b64encode(raw).decode()
        case _:
            return _message(raw, kind)


def _moment(data: bytes) -> datetime | None:
    parts = dict(_fields(data))
    seconds = _value(parts.get(1, 0), "int64")
    # Go's zero time is the year 1: on the wire nobody means it.
    if not parts or seconds <= -62135596800:
        return None
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return start + timedelta(seconds=seconds, microseconds=parts.get(2, 0) // 1000)


def _time(data: bytes) -> str | None:
    moment = _moment(data)
    return None if moment is None else rfc3339(moment)


def _micro_time(data: bytes) -> str | None:
    moment = _moment(data)
    return None if moment is None else rfc3339_micro(moment)


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_fields(data))
    if parts.get(1, 0) == 0:
        return int(_value(parts.get(2, 0), "int64"))
    return str(parts.get(3, b"").decode())


def _json(data: bytes) -> Any:
    raw = dict(_fields(data)).get(1, b"")
    return msgspec.json.decode(raw) if raw else None


def _text(data: bytes) -> str:
    return str(dict(_fields(data)).get(1, b"").decode())


def _items(data: bytes) -> list[str]:
    return [value.decode() for _, value in _fields(data)]


def _duration(data: bytes) -> str:
    nanoseconds = int(_value(dict(_fields(data)).get(1, 0), "int64"))
    return f"{nanoseconds / 1e9:g}s"


_EXTENSIONS: Final = "apiextensions_apiserver.pkg.apis.apiextensions.v1"


def _schema_or_bool(data: bytes) -> Any:
    parts = dict(_fields(data))
    return (
        _message(parts[2], f"{_EXTENSIONS}.JSONSchemaProps") if 2 in parts else bool(parts.get(1))
    )


def _schema_or_array(data: bytes) -> Any:
    several = [value for number, value in _fields(data) if number == 2]
    name = f"{_EXTENSIONS}.JSONSchemaProps"
    if several:
        return [_message(value, name) for value in several]
    return _message(dict(_fields(data)).get(1, b""), name)


_SPECIAL: Final = {
    f"{_META}.Time": _time,
    f"{_META}.MicroTime": _micro_time,
    f"{_META}.Duration": _duration,
    f"{_META}.FieldsV1": _json,
    f"{_META}.Verbs": _items,
    "api.authentication.v1.ExtraValue": _items,
    "api.authorization.v1.ExtraValue": _items,
    "apimachinery.pkg.runtime.RawExtension": _json,
    "apimachinery.pkg.api.resource.Quantity": _text,
    "apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    f"{_EXTENSIONS}.JSON": _json,
    f"{_EXTENSIONS}.JSONSchemaPropsOrBool": _schema_or_bool,
    f"{_EXTENSIONS}.JSONSchemaPropsOrArray": _schema_or_array,
    f"{_EXTENSIONS}.JSONSchemaPropsOrStringArray": _schema_or_array,
}
