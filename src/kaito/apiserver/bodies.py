"""What a client sends becomes an object: read, of the kind that the path names, and cleaned.

As strictly as the client asked: unknown and repeated fields are refused, told, or passed over.
"""

from typing import Final

import yaml

from kaito.apiserver import gojson, goyaml, protobuf
from kaito.apiserver.core import Call
from kaito.apiserver.options import WriteOptions, body_object
from kaito.apiserver.status import Cause, bad_request, invalid, unsupported_media
from kaito.kube.objects import Json

_BODIES: Final = ("application/json", "application/yaml", protobuf.MEDIA)


def decode(call: Call, options: WriteOptions) -> Json:
    """The body as an object of the kind that the path names, unknown fields dealt with."""
    media = call.request.headers.get("content-type", "application/json").partition(";")[0]
    body = call.request.body
    doubles: list[str] = []
    if media == "application/yaml":
        obj, doubles = _yaml_object(body)
    elif media in ("application/json", protobuf.MEDIA, ""):
        obj = body_object(body, call.kind.resource.kind)
        if media != protobuf.MEDIA and (doubles := gojson.doubled(body, obj)):
            obj = obj if call.kind.custom else gojson.merged(body)
    else:
        raise unsupported_media(_BODIES)
    check_head(call, obj)
    clean(call, obj, options, doubles if options.validation != "Ignore" else [])
    return obj


def _yaml_object(body: bytes) -> tuple[Json, list[str]]:
    """The object, and the keys that it has twice."""
    try:
        obj, repeated = goyaml.load(body)
    except yaml.YAMLError as error:
        raise bad_request(f"the object provided is unrecognized: yaml: {error}") from error
    if not isinstance(obj, dict):
        raise bad_request("the object provided is unrecognized: it is not an object")
    return obj, repeated


def _strictly(doubles: list[str]) -> list[str]:
    """Keys that YAML has twice are one error of its reader."""
    if not doubles or not doubles[0].startswith("line "):
        return doubles
    return ["\n  ".join(("yaml: unmarshal errors:", *doubles))]


def check_head(call: Call, obj: Json) -> None:
    """apiVersion and kind must be the path's; built-in kinds may leave them out."""
    kind = call.kind
    given, version = obj.get("kind") or "", obj.get("apiVersion") or ""
    wanted = kind.resource.kind
    if kind.custom:
        if not given:
            body = _shown(call)
            raise bad_request(
                f"the object provided is unrecognized (must be of type {wanted}): "
                f"Object 'Kind' is missing in '{body}' ({body})"
            )
        if version and version != kind.resource.api_version:
            raise bad_request(
                f"the API version in the data ({version}) does not match the expected API version "
                f"({kind.resource.api_version})"
            )
    if kind.custom and given != wanted:
        why = f'Invalid value: "{given}": must be {wanted}'
        name = (obj.get("metadata") or {}).get("name") or ""
        raise invalid(kind.resource.group, given, name, [Cause("kind", "FieldValueInvalid", why)])
    if given and given != wanted:
        raise bad_request(
            f'{given} in version "{version or kind.resource.version}" cannot be handled as a '
            f"{wanted}: converting ({version}.{given}) to ({kind.resource.group or 'core'}."
            f"{wanted}): unknown conversion"
        )
    if version and version != kind.resource.api_version:
        raise bad_request(
            f'{given or wanted} in version "{version}" cannot be handled as a {wanted}: no kind '
            f'"{given or wanted}" is registered for version "{version}" in scheme '
            '"pkg/runtime/scheme.go:111"'
        )
    obj["kind"], obj["apiVersion"] = wanted, kind.resource.api_version


def _shown(call: Call) -> str:
    return call.request.body.decode("utf-8", "replace")


def clean(call: Call, obj: Json, options: WriteOptions, doubles: list[str]) -> None:
    """Prune and canonicalise; complain as strictly as the client asked."""
    schema = call.core.schema(call.kind)
    complaints = call.core.schemas.decode(schema, obj) if schema is not None else []
    told = [*doubles, *complaints]
    if not told or options.validation == "Ignore":
        return
    if options.validation == "Strict":
        kind = call.kind.resource
        told = [*_strictly(doubles), *complaints]
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: strict '
            f"decoding error: {', '.join(told)}"
        )
    for text in told:
        call.warn(text)
