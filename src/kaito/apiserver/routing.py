"""From method and path to what is asked for: the verb, the resource, the name."""

from typing import Final
from urllib.parse import unquote

import msgspec

from kaito.apiserver.status import Refused
from kaito.kube.transport import Request

_VERBS: Final = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_MANY: Final = frozenset({"list", "watch", "deletecollection"})
_FALSE: Final = frozenset({"", "0", "false"})
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})


class Target(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one request asks for. `group` and below mean something only for resources."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    """What follows the subresource in the path (only proxies read it)."""

    @property
    def resource(self) -> str:
        """As RBAC names it: `pods/log`."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


def is_true(text: str) -> bool:
    """A flag of the query, as a real server reads it: whatever does not say no."""
    return text.lower() not in _FALSE


def target_of(request: Request) -> Target:
    """Read method, path and query. Raises `Refused` for methods that mean nothing."""
    verb = _VERBS.get(request.method)
    if verb is None:
        raise Refused(405, "MethodNotAllowed", f"method {request.method} is not supported")
    parts = [unquote(part) for part in request.path.split("/") if part]
    match parts:
        case ["api", version, *rest] if rest:
            return _resource(request, verb, "", version, rest)
        case ["apis", group, version, *rest] if rest:
            return _resource(request, verb, group, version, rest)
        case _:
            return Target(verb=request.method.lower(), path=request.path)


def permission(
    verb: str,
    plural: str,
    name: str,
    *,
    group: str = "",
    namespace: str = "",
    subresource: str = "",
) -> Target:
    """What RBAC is asked about besides the request itself, such as the verb `impersonate`."""
    return Target(
        verb=verb,
        path="",
        is_resource=True,
        group=group,
        version="v1",
        namespace=namespace,
        plural=plural,
        name=name,
        subresource=subresource,
    )


def _resource(request: Request, verb: str, group: str, version: str, rest: list[str]) -> Target:
    watching = rest[0] == "watch"
    if watching:
        rest = rest[1:]
    namespace = ""
    if len(rest) > 1 and rest[0] == "namespaces":
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    plural, name, subresource = (*rest[:3], "", "", "")[:3]
    verb = _final_verb(request, verb, named=bool(name), watching=watching)
    return Target(
        verb=verb,
        path=request.path,
        is_resource=True,
        group=group,
        version=version,
        namespace=namespace,
        plural=plural,
        name=name or (_selected_name(request) if verb in _MANY else ""),
        subresource=subresource,
        rest="/".join(rest[3:]) + ("/" if len(rest) > 3 and request.path.endswith("/") else ""),
    )


def _selected_name(request: Request) -> str:
    """The one name that a field selector leaves: for RBAC, the request is about that object."""
    for term in request.param("fieldSelector").split(","):
        field, found, value = term.partition("=")
        if found and field == "metadata.name":
            return value.removeprefix("=")
    return ""


def _final_verb(request: Request, verb: str, *, named: bool, watching: bool) -> str:
    if verb == "get" and not named:
        return "watch" if watching or is_true(request.param("watch")) else "list"
    if verb == "get" and watching:
        return "watch"
    if verb == "delete" and not named:
        return "deletecollection"
    return verb
