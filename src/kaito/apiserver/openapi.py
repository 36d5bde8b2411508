"""What is served, as OpenAPI: what `kubectl explain` prints and `kubectl apply` asks beforehand.

v3: an index, and one document per group version, made when first asked for and kept until a custom
kind changes. v2: one document of everything. Built-in kinds carry no prose; custom kinds carry
their definition's own.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final, final

from kaito.apiserver.builtin.library import OBJECT_META, library
from kaito.apiserver.core import Core, encode
from kaito.apiserver.kinds import Kind
from kaito.apiserver.options import APPLY_PATCH
from kaito.apiserver.patching import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from kaito.apiserver.representing import JSON_HEADERS
from kaito.apiserver.status import no_such_path
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response

_FORM: Final = "1"
"""Part of every document's hash: clients keep documents by hash, so a new form needs a new one."""
_PATCH: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_LIST_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_DELETE_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_STATUS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_OWN_WORDS: Final = frozenset({"x-zero", "x-type", "default"})
_WRITES: Final = ("dryRun", "fieldManager", "fieldValidation")
_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2: Final = "#/definitions/"
_V3: Final = "#/components/schemas/"
_TYPES: Final = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
# What OpenAPI v2 cannot say, and kubectl would stumble over.
_NOT_IN_V2: Final = frozenset({"oneOf", "anyOf", "allOf", "not", "nullable"})


@final
class OpenApi:
    """Answers under /openapi."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._documents: dict[str, bytes] = {}
        self._generation = (-1, -1)

    def answer(self, request: Request) -> Response:
        """Any path under /openapi. Raises `Refused` (404) for what is not there."""
        accept = request.headers.get("accept", "")
        path = request.path.strip("/").removeprefix("openapi/")
        if accept and "json" not in accept and "*/*" not in accept:
            return _protobuf() if path == "v2" else Response(status=406)
        if path == "v2":
            return _found(self._document("v2"))
        if path == "v3":
            return _found(encode({"paths": self._index()}))
        where = path.removeprefix("v3/")
        if where not in self._places():
            raise no_such_path()
        if request.param("hash") and request.param("hash") != self._hash(where):
            location = f"/openapi/v3/{where}?hash={self._hash(where)}"
            return Response(status=301, headers={"location": location})
        return _found(self._document(where))

    def _index(self) -> Json:
        return {
            where: {"serverRelativeURL": f"/openapi/v3/{where}?hash={self._hash(where)}"}
            for where in self._places()
        }

    def _places(self) -> dict[str, tuple[str, str]]:
        """Path of a document -> group and version."""
        kinds = self._core.kinds
        return {
            f"apis/{group}/{version}" if group else f"api/{version}": (group, version)
            for group in ("", *sorted(kinds.groups()))
            for version in kinds.versions(group)
        }

    def _hash(self, where: str) -> str:
        digest = hashlib.sha256(f"{_FORM} {library().version} {where}".encode())
        for kind in self._core.kinds.of_version(*self._places()[where]):
            digest.update(f"{kind.resource} {kind.subresources}".encode())
            schema = self._core.schema(kind)
            if schema is not None and schema.custom:
                digest.update(encode(schema.schema.raw))
        return digest.hexdigest().upper()

    def _document(self, where: str) -> bytes:
        generation = (self._core.kinds.generation, self._core.schemas.generation)
        if generation != self._generation:
            self._documents.clear()
            self._generation = generation
        found = self._documents.get(where)
        if found is None:
            made = self._swagger() if where == "v2" else self._v3(*self._places()[where])
            found = self._documents[where] = encode(made)
        return found

    def _v3(self, group: str, version: str) -> Json:
        kinds = self._core.kinds.of_version(group, version)
        schemas = self._definitions(kinds, _V3)
        paths: Json = {}
        for kind in kinds:
            paths |= _paths(kind, name_of(self._core, kind))
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": _release()},
            "paths": paths,
            "components": {"schemas": schemas},
        }

    def _swagger(self) -> Json:
        kinds = tuple(self._core.kinds)
        paths: Json = {}
        for kind in kinds:
            paths |= _paths(kind, name_of(self._core, kind))
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": _release()},
            "paths": {path: _as_v2(item) for path, item in paths.items()},
            "definitions": {
                name: _v2_schema(schema) for name, schema in self._definitions(kinds, _V2).items()
            },
        }

    def _definitions(self, kinds: tuple[Kind, ...], prefix: str) -> Json:
        """Every definition that the kinds need, references completed."""
        made: Json = {}
        wanted = [_PATCH, _STATUS, _DELETE_OPTIONS]
        for kind in kinds:
            schema = self._core.schema(kind)
            name = name_of(self._core, kind)
            if schema is None:
                made[name] = _unknown(kind)
            elif schema.custom:
                made[name] = _custom(kind, schema.schema.raw)
                made[f"{name}List"] = _custom_list(kind, name)
                wanted += [OBJECT_META, _LIST_META]
            else:
                wanted += [name, f"{name}List"]
        for name in _closure(wanted):
            made[name] = _published(library().raw(name))
        return {name: _referred(schema, prefix) for name, schema in sorted(made.items())}


def _protobuf() -> Response:
    """kubectl takes v2 as protobuf only, for kinds that v3 does not know: there are none.

    The answer is a `openapi.v2.Document` with nothing but its version (field 1), title and
    release (2) and no paths (8).
    """
    title, release = b"Kubernetes", _release().encode()
    info = bytes([10, len(title)]) + title + bytes([18, len(release)]) + release
    body = b"\n\x032.0" + bytes([18, len(info)]) + info + b"B\x00"
    return Response(status=200, headers={"content-type": _PROTOBUF}, body=body)


def _found(body: bytes) -> Response:
    return Response(status=200, headers=dict(JSON_HEADERS), body=body)


def _release() -> str:
    return ".".join(library().version.removeprefix("v").split(".")[:2])


def name_of(core: Core, kind: Kind) -> str:
    """The definition's name: recorded, or the reversed group, the version and the kind."""
    schema = core.schema(kind)
    if schema is not None and not schema.custom:
        return schema.schema.name
    resource = kind.resource
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _gvk(kind: Kind) -> Json:
    resource = kind.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _unknown(kind: Kind) -> Json:
    return {"type": "object", "x-kubernetes-group-version-kind": [_gvk(kind)]}


def _custom(kind: Kind, raw: Json) -> Json:
    """A custom kind's definition, with the head that every object has."""
    head = {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
        "metadata": {"$ref": OBJECT_META, "description": "Standard object's metadata."},
    }
    return {
        **raw,
        "properties": {**(raw.get("properties") or {}), **head},
        "x-kubernetes-group-version-kind": [_gvk(kind)],
    }


_API_VERSION: Final = "The version of the schema that this object is written in."
_KIND: Final = "What this object is; it never changes."


def _custom_list(kind: Kind, name: str) -> Json:
    return {
        "description": f"A list of {kind.resource.kind} objects.",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "items": {"type": "array", "items": {"$ref": name}},
            "kind": {"type": "string", "description": _KIND},
            "metadata": {"$ref": _LIST_META, "description": "Standard list metadata."},
        },
        "x-kubernetes-group-version-kind": [{**_gvk(kind), "kind": kind.list_kind}],
    }


def _closure(names: list[str]) -> set[str]:
    """The recorded definitions that these need, themselves included."""
    known = library()
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found and known.has(name):
            found.add(name)
            left += _references(known.raw(name))
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _published(schema: Json) -> Json:
    """A recorded definition without what is only for this server."""
    out: Json = {}
    for word, value in schema.items():
        if word in _OWN_WORDS:
            continue
        if word == "properties":
            out[word] = {name: _published(child) for name, child in value.items()}
        elif word in ("items", "additionalProperties") and isinstance(value, dict):
            out[word] = _published(value)
        else:
            out[word] = value
    return out


def _referred(schema: Any, prefix: str) -> Any:
    """With whole references; OpenAPI v3 allows nothing beside one, so it is wrapped there."""
    if isinstance(schema, list):
        return [_referred(value, prefix) for value in schema]
    if not isinstance(schema, dict):
        return schema
    out = {word: _referred(value, prefix) for word, value in schema.items()}
    target = out.get("$ref")
    if isinstance(target, str) and not target.startswith("#"):
        out["$ref"] = prefix + target
        if len(out) > 1 and prefix == _V3:
            del out["$ref"]
            out["allOf"] = [{"$ref": prefix + target}]
    return out


def _v2_schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_v2_schema(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    out = {w: _v2_schema(value) for w, value in schema.items() if w not in _NOT_IN_V2}
    if out.get("x-kubernetes-preserve-unknown-fields") or out.get("x-kubernetes-int-or-string"):
        out = {w: v for w, v in out.items() if w.startswith("x-") or w in ("description", "type")}
    return out


def _paths(kind: Kind, name: str) -> Json:
    """The collection, the object and its subresources, with what clients look for."""
    resource = kind.resource
    collection = resource.path("{namespace}" if resource.namespaced else "")
    object_ = f"{collection}/{{name}}"
    paths = {
        collection: _operations(kind, name, {"list": "get", "create": "post"}, of_list=True),
        object_: _operations(
            kind, name, {"get": "get", "update": "put", "patch": "patch", "delete": "delete"}
        ),
    }
    if resource.namespaced:
        paths[resource.path()] = _operations(kind, name, {"list": "get"}, of_list=True)
    for part in kind.subresources:
        if part == "status":
            verbs = {"get": "get", "update": "put", "patch": "patch"}
            paths[f"{object_}/status"] = _operations(kind, name, verbs)
    return {path: item for path, item in paths.items() if item}


def _operations(kind: Kind, name: str, verbs: dict[str, str], *, of_list: bool = False) -> Json:
    return {
        method: _operation(kind, name, verb, of_list=of_list)
        for verb, method in verbs.items()
        if verb in kind.verbs
    }


def _operation(kind: Kind, name: str, verb: str, *, of_list: bool) -> Json:
    writes = verb in ("create", "update", "patch")
    answer = f"{name}List" if of_list and verb == "list" else name
    operation: Json = {
        "responses": {"200": _content(answer, _TYPES)},
        "x-kubernetes-action": "post" if verb == "create" else verb,
        "x-kubernetes-group-version-kind": _gvk(kind),
    }
    if writes:
        names = [*_WRITES, *(["force"] if verb == "patch" else [])]
        operation["parameters"] = [_parameter(parameter) for parameter in names]
    if verb == "patch":
        media = [APPLY_PATCH, JSON_PATCH, MERGE_PATCH]
        operation["requestBody"] = _content(
            _PATCH, media if kind.custom else [*media, STRATEGIC_PATCH]
        )
    elif writes:
        operation["requestBody"] = _content(name, ["*/*"])
    return operation


def _parameter(name: str) -> Json:
    kind = "boolean" if name == "force" else "string"
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}


def _content(name: str, media: Any) -> Json:
    return {"content": {one: {"schema": {"$ref": _V3 + name}} for one in media}}


def _as_v2(item: Json) -> Json:
    """A path item in the words of OpenAPI v2."""
    out: Json = {}
    for method, operation in item.items():
        answer = next(iter(operation["responses"]["200"]["content"].values()))["schema"]["$ref"]
        body = operation.get("requestBody")
        parameters = [
            {"name": p["name"], "in": p["in"], **p["schema"]}
            for p in operation.get("parameters", ())
        ]
        if body is not None:
            reference = next(iter(body["content"].values()))["schema"]["$ref"]
            schema = {"$ref": reference.replace(_V3, _V2)}
            parameters.insert(0, {"name": "body", "in": "body", "required": True, "schema": schema})
        out[method] = {
            **{word: value for word, value in operation.items() if word.startswith("x-")},
            "consumes": list(body["content"]) if body is not None else ["*/*"],
            "produces": list(_TYPES),
            "parameters": parameters,
            "responses": {"200": {"schema": {"$ref": answer.replace(_V3, _V2)}}},
        }
    return out
