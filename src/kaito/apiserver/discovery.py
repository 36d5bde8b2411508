"""What is served, told to clients: groups, versions, resources; version, health, the path index."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

from kaito.apiserver.core import Core, encode
from kaito.apiserver.kinds import Kind
from kaito.apiserver.representing import JSON_HEADERS
from kaito.apiserver.status import method_not_allowed, no_such_path, no_such_resource
from kaito.kube.objects import Json
from kaito.kube.resources import CORE_EVENTS
from kaito.kube.transport import Request, Response

VERSION: Final = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3+kaito-embedded",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
"""The release whose behaviour is followed, and that this is not it."""

_GET_PATCH_UPDATE: Final = ("get", "patch", "update")
_PROXY_VERBS: Final = ("create", "delete", "get", "patch", "update")
_SUBRESOURCES: Final[dict[str, tuple[str, str, str, tuple[str, ...]]]] = {
    # path: (group, version, kind of what it takes, verbs); others take their parent's kind.
    "pods/attach": ("", "", "PodAttachOptions", ("create", "get")),
    "pods/binding": ("", "", "Binding", ("create",)),
    "pods/eviction": ("policy", "v1", "Eviction", ("create",)),
    "pods/exec": ("", "", "PodExecOptions", ("create", "get")),
    "pods/log": ("", "", "Pod", ("get",)),
    "pods/portforward": ("", "", "PodPortForwardOptions", ("create", "get")),
    "pods/proxy": ("", "", "PodProxyOptions", _PROXY_VERBS),
    "services/proxy": ("", "", "ServiceProxyOptions", _PROXY_VERBS),
    "serviceaccounts/token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "namespaces/finalize": ("", "", "Namespace", ("update",)),
}
_SCALE: Final = ("autoscaling", "v1", "Scale", _GET_PATCH_UPDATE)
_AGGREGATED: Final = {
    "v2": "apidiscovery.k8s.io/v2",
    "v2beta1": "apidiscovery.k8s.io/v2beta1",
}
_RANKED: Final = (
    *("apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling"),
    *("batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"),
    *("storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io"),
    *("scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io"),
)
"""Clients that look for a short name take the first group that has it."""
_HEALTH: Final = frozenset({"/healthz", "/readyz", "/livez"})
_TEXT: Final = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-cache, private"}
_ADDRESSES: Final = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]


def answer(core: Core, request: Request) -> Response:
    """Any path that is not of a resource. Raises `Refused` for what does not exist."""
    path = request.path.rstrip("/") or "/"
    if path.removesuffix("/ping") in _HEALTH:
        return _health(request, path)
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    match path.strip("/").split("/"):
        case [""]:
            return _json({"paths": _paths(core)})
        case ["version"]:
            return _json(VERSION)
        case ["api"]:
            return _aggregated(core, request, [""]) or _json(_versions(core))
        case ["apis"]:
            return _aggregated(core, request, _ranked(core)) or _json(_groups(core))
        case ["apis", group]:
            return _json({"kind": "APIGroup", "apiVersion": "v1", **_group(core, group)})
        case ["apis", group, version]:
            return _resources(core, group, version)
        case ["api", version]:
            return _resources(core, "", version)
        case _:
            raise no_such_path()


def _versions(core: Core) -> Json:
    return {
        "kind": "APIVersions",
        "versions": list(core.kinds.versions("")),
        "serverAddressByClientCIDRs": _ADDRESSES,
    }


def _groups(core: Core) -> Json:
    groups = [_group(core, group) for group in _ranked(core)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _ranked(core: Core) -> list[str]:
    """In the order of the real server: built-in groups by their rank there, others by name."""
    groups = core.kinds.groups()
    known = [group for group in _RANKED if group in groups]
    return [*known, *sorted(set(groups) - set(known))]


def _json(body: Json) -> Response:
    return Response(status=200, headers=JSON_HEADERS, body=encode(body))


def _health(request: Request, path: str) -> Response:
    if any(name == "verbose" for name, _ in request.query):
        body = f"[+]ping ok\n{path.strip('/')} check passed\n"
    else:
        body = "ok"
    return Response(status=200, headers=_TEXT, body=body.encode())


def _paths(core: Core) -> list[str]:
    paths = ["/api", "/api/v1", "/apis", "/apis/"]
    for group in sorted(core.kinds.groups()):
        paths.append(f"/apis/{group}")
        paths += [f"/apis/{group}/{version}" for version in core.kinds.versions(group)]
    return [*paths, "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]


def _group(core: Core, group: str) -> Json:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version}
        for version in core.kinds.versions(group)
    ]
    if not versions:
        raise no_such_path()
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(core: Core, group: str, version: str) -> Response:
    versions = core.kinds.versions(group)
    if not versions:
        raise no_such_path()
    if version not in versions:
        raise no_such_resource()
    listed: list[Json] = []
    for kind in core.kinds.of_version(group, version):
        listed.append(_resource(kind))
        listed += [_subresource(kind, name) for name in _parts(kind)]
    return _json(
        {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": listed,
        }
    )


def _parts(kind: Kind) -> list[str]:
    """By name; those of custom kinds in the order of the real server, status first."""
    return sorted(kind.subresources, reverse=kind.custom)


def _resource(kind: Kind) -> Json:
    shown: Json = {
        "name": kind.resource.plural,
        "singularName": kind.singular,
        "namespaced": kind.resource.namespaced,
        "kind": kind.resource.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        shown["shortNames"] = list(kind.short_names)
    if kind.categories:
        shown["categories"] = list(kind.categories)
    if "list" in kind.verbs:
        shown["storageVersionHash"] = _storage_version_hash(kind)
    return shown


def _storage_version_hash(kind: Kind) -> str:
    """Changes when objects come to be stored in another version."""
    stored = CORE_EVENTS if kind.bucket == "events" else kind.stored
    text = f"{stored.group}/{stored.version}/{stored.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def takes(kind: Kind, subresource: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Group, version and kind of a subresource's object (empty: the parent's), and its verbs."""
    if subresource == "scale":
        return _SCALE
    plain = ("", "", kind.resource.kind, _GET_PATCH_UPDATE)
    return _SUBRESOURCES.get(f"{kind.resource.plural}/{subresource}", plain)


def _subresource(kind: Kind, name: str) -> Json:
    group, version, takes_kind, verbs = takes(kind, name)
    shown: Json = {
        "name": f"{kind.resource.plural}/{name}",
        "singularName": "",
        "namespaced": kind.resource.namespaced,
        "kind": takes_kind,
        "verbs": list(verbs),
    }
    if version:
        shown |= {"group": group, "version": version}
    return shown


def _aggregated(core: Core, request: Request, groups: Iterable[str]) -> Response | None:
    """Discovery of everything in one document, for clients that accept it."""
    for alternative in request.headers.get("accept", "").split(","):
        media, *rest = (part.strip() for part in alternative.split(";"))
        if media not in ("application/json", "*/*", "application/*"):
            continue
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        if parameters.get("as") != "APIGroupDiscoveryList":
            return None
        version = parameters.get("v", "")
        if parameters.get("g") == "apidiscovery.k8s.io" and version in _AGGREGATED:
            return _aggregated_response(core, request, groups, version)
    return None


def _aggregated_response(
    core: Core, request: Request, groups: Iterable[str], version: str
) -> Response:
    body = encode(
        {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": _AGGREGATED[version],
            "metadata": {},
            "items": [_discovered_group(core, group) for group in groups],
        }
    )
    etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
    headers = {
        "content-type": f"application/json;g=apidiscovery.k8s.io;v={version};"
        "as=APIGroupDiscoveryList",
        "cache-control": "public",
        "etag": etag,
        "vary": "Accept",
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status=304, headers=headers)
    return Response(status=200, headers=headers, body=body)


def _discovered_group(core: Core, group: str) -> Json:
    versions = [
        {
            "version": version,
            "resources": [_discovered(kind) for kind in core.kinds.of_version(group, version)],
            "freshness": "Current",
        }
        for version in core.kinds.versions(group)
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _discovered(kind: Kind) -> Json:
    shown: Json = {
        "resource": kind.resource.plural,
        "responseKind": _response_kind(kind, "", "", kind.resource.kind),
        "scope": "Namespaced" if kind.resource.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        shown["shortNames"] = list(kind.short_names)
    if kind.categories:
        shown["categories"] = list(kind.categories)
    if kind.subresources:
        shown["subresources"] = [_discovered_part(kind, name) for name in _parts(kind)]
    return shown


def _discovered_part(kind: Kind, name: str) -> Json:
    group, version, takes_kind, verbs = takes(kind, name)
    return {
        "subresource": name,
        "responseKind": _response_kind(kind, group, version, takes_kind),
        "verbs": list(verbs),
    }


def _response_kind(kind: Kind, group: str, version: str, name: str) -> Json:
    """Empty group and version stand for the parent's; custom kinds spell theirs out."""
    if kind.custom and not version:
        group, version = kind.resource.group, kind.resource.version
    return {"group": group, "version": version, "kind": name}
