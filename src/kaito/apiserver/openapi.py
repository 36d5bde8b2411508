"""What is served, as OpenAPI: what `kubectl explain` prints and `kubectl apply` asks beforehand.

v3: an index, and one document per group version, made when first asked for and kept until a custom
kind changes. v2: one document of everything. Built-in kinds carry no prose; custom kinds carry
their definition's own.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, final

from kaito.apiserver import operations, published
from kaito.apiserver.builtin.library import library
from kaito.apiserver.core import Core, encode
from kaito.apiserver.kinds import Kind
from kaito.apiserver.operations import V2, V3
from kaito.apiserver.representing import JSON_HEADERS
from kaito.apiserver.status import no_such_path
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response

_FORM: Final = "2"
"""Part of every document's hash: clients keep documents by hash, so a new form needs a new one."""
_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_BEARER: Final = {"type": "apiKey", "name": "authorization", "in": "header"}


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
            return _found(self._document("v2"), {"vary": "Accept-Encoding"})
        if path == "v3":
            return _found(encode({"paths": self._index()}))
        where = path.removeprefix("v3/")
        if where == path:
            raise no_such_path()
        if where not in self._places():
            return Response(status=404)
        tag = self._hash(where)
        headers = {"etag": f'"{tag}"', "vary": "Accept"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status=304, headers=headers)
        if request.param("hash") == tag:
            headers["cache-control"] = "public, immutable"
        elif request.param("hash"):
            headers["location"] = f"/openapi/v3/{where}?hash={tag}"
            return Response(status=301, headers=headers)
        return _found(self._document(where), headers)

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
            shown = (kind.resource, kind.list_kind, kind.subresources, tuple(kind.strategy.fields))
            digest.update(f"{shown}".encode())
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
        custom = bool(kinds) and all(kind.custom for kind in kinds)
        paths = self._paths(kinds)
        components: Json = {"schemas": self._definitions(kinds, paths, V3)}
        if not custom:
            components["securitySchemes"] = {"BearerToken": _BEARER}
        return {
            "openapi": "3.0.0",
            "info": _CUSTOM_INFO if custom else _info(),
            "paths": paths,
            "components": components,
        }

    def _swagger(self) -> Json:
        kinds = tuple(self._core.kinds)
        paths = self._paths(kinds)
        definitions = self._definitions(kinds, paths, V2)
        return {
            "swagger": "2.0",
            "info": _info(),
            "paths": {path: operations.as_v2(item) for path, item in paths.items()},
            "definitions": {name: published.in_v2(one) for name, one in definitions.items()},
            "securityDefinitions": {"BearerToken": _BEARER},
            "security": [{"BearerToken": []}],
        }

    def _paths(self, kinds: tuple[Kind, ...]) -> Json:
        found: Json = {}
        for kind in kinds:
            found |= operations.paths(kind, *self._names(kind))
        return dict(sorted(found.items()))

    def _names(self, kind: Kind) -> tuple[str, str]:
        """The definitions of a kind and of its list: recorded names, or made ones."""
        schema = self._core.schema(kind)
        if schema is not None and not schema.custom:
            return schema.schema.name, f"{schema.schema.name}List"
        return published.name_of(kind), published.list_name_of(kind)

    def _definitions(self, kinds: tuple[Kind, ...], paths: Json, prefix: str) -> Json:
        """Every definition that the paths need, references completed."""
        made: Json = {}
        for kind in kinds:
            schema = self._core.schema(kind)
            name, list_name = self._names(kind)
            if schema is None:
                made[name] = published.unknown(kind)
            elif schema.custom:
                made[name] = published.custom(kind, schema.schema.raw)
                made[list_name] = published.custom_list(kind)
        wanted = {*published.references(paths), *published.references(made)}
        for name in published.closure(wanted):
            made[name] = published.recorded(name)
        return {name: published.referred(made[name], prefix) for name in sorted(made)}


def _protobuf() -> Response:
    """kubectl takes v2 as protobuf only, for kinds that v3 does not know: there are none.

    The answer is a `openapi.v2.Document` with nothing but its version (field 1), title and
    release (2) and no paths (8).
    """
    title, release = b"Kubernetes", _release().encode()
    info = bytes([10, len(title)]) + title + bytes([18, len(release)]) + release
    body = b"\n\x032.0" + bytes([18, len(info)]) + info + b"B\x00"
    return Response(status=200, headers={"content-type": _PROTOBUF}, body=body)


def _found(body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(status=200, headers={**JSON_HEADERS, **headers}, body=body)


def _release() -> str:
    return ".".join(library().version.removeprefix("v").split(".")[:2])


def _info() -> Json:
    return {"title": "Kubernetes", "version": _release()}


_CUSTOM_INFO: Final = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
"""Of the documents that definitions make: neither their release nor the server's."""
