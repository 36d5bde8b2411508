"""Nobody may grant what they do not hold: writes of roles and bindings by lesser users.

Allowed too: whoever has the verb `escalate` on the role, or `bind` on the role that is bound.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from kaito.apiserver.authz import MASTERS, RBAC, Rbac, Rule
from kaito.apiserver.core import Call
from kaito.apiserver.routing import permission
from kaito.apiserver.status import forbidden, not_found
from kaito.kube.objects import Json, ObjectKey, Resource

_ROLES: Final = frozenset({"roles", "clusterroles"})
_BINDINGS: Final = frozenset({"rolebindings", "clusterrolebindings"})


def check(call: Call, obj: Json, old: Json | None) -> None:
    """Raises 403 when the object would grant more than its writer holds."""
    if call.kind.resource.group != RBAC or MASTERS in call.user.groups:
        return
    rbac = Rbac(call.core.storage)
    if call.target.plural in _ROLES:
        if old is not None and old.get("rules") == obj.get("rules"):
            return
        target = replace(call.target, verb="escalate", name=obj["metadata"]["name"])
        if not rbac.allows(call.user, target):
            _check_rules(call, rbac, obj, _rules(obj))
    elif call.target.plural in _BINDINGS:
        _check_binding(call, rbac, obj)


def _check_binding(call: Call, rbac: Rbac, obj: Json) -> None:
    reference = obj.get("roleRef") or {}
    cluster = reference.get("kind") == "ClusterRole"
    plural = "clusterroles" if cluster else "roles"
    name, namespace = reference.get("name") or "", obj["metadata"].get("namespace") or ""
    if rbac.allows(call.user, permission("bind", plural, name, group=RBAC, namespace=namespace)):
        return
    key = ObjectKey("" if cluster else namespace, name)
    stored = call.core.storage.bucket(f"{plural}.{RBAC}").get(key)
    if stored is None:
        kind = "ClusterRole" if cluster else "Role"
        raise not_found(Resource(RBAC, "v1", plural, kind), name)
    _check_rules(call, rbac, obj, _rules(stored.json()))


def _rules(role: Json) -> list[Rule]:
    return msgspec.convert(role.get("rules") or [], list[Rule])


def _check_rules(call: Call, rbac: Rbac, obj: Json, wanted: list[Rule]) -> None:
    namespace = obj["metadata"].get("namespace") or ""
    held = [rule for rule, _ in rbac.grants(call.user, namespace).rules]
    missing = sorted(_told(one) for one in _compact(_uncovered(wanted, held)))
    if missing:
        groups = ",".join(f'"{group}"' for group in call.user.groups)
        why = (
            f'user "{call.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
            "not currently held:\n" + "\n".join(missing)
        )
        raise forbidden(call.kind.resource, obj["metadata"]["name"], why)


def _uncovered(wanted: Iterable[Rule], held: list[Rule]) -> Iterator[Rule]:
    """The smallest pieces of the wanted rules that no held rule covers."""
    for rule in wanted:
        for piece in _pieces(rule):
            if not any(_covers(one, piece) for one in held):
                yield piece


def _pieces(rule: Rule) -> Iterator[Rule]:
    for verb in rule.verbs:
        for url in rule.non_resource_urls:
            yield Rule((verb,), non_resource_urls=(url,))
        for group in rule.api_groups:
            for resource in rule.resources:
                for name in rule.resource_names or (None,):
                    yield Rule((verb,), (group,), (resource,), (name,) if name else ())


def _covers(held: Rule, piece: Rule) -> bool:
    if not _within(piece.verbs, held.verbs):
        return False
    if piece.non_resource_urls:
        [url] = piece.non_resource_urls
        return any(
            url == one or (one.endswith("*") and url.startswith(one[:-1]))
            for one in held.non_resource_urls
        )
    [resource] = piece.resources
    part = f"*/{resource.partition('/')[2]}" if "/" in resource else resource
    return (
        _within(piece.api_groups, held.api_groups)
        and (_within(piece.resources, held.resources) or part in held.resources)
        and (not held.resource_names or bool(piece.resource_names))
        and (not held.resource_names or set(piece.resource_names) <= set(held.resource_names))
    )


def _within(asked: Iterable[str], allowed: Iterable[str]) -> bool:
    known = set(allowed)
    return "*" in known or set(asked) <= known


def _compact(pieces: Iterable[Rule]) -> Iterator[Rule]:
    """Pieces about the same thing become one rule with all their verbs."""
    verbs: dict[Rule, list[str]] = {}
    for piece in pieces:
        about = msgspec.structs.replace(piece, verbs=())
        verbs.setdefault(about, []).append(piece.verbs[0])
    for about, found in verbs.items():
        yield msgspec.structs.replace(about, verbs=tuple(found))


def _told(rule: Rule) -> str:
    parts = (
        ("APIGroups", rule.api_groups),
        ("Resources", rule.resources),
        ("ResourceNames", rule.resource_names),
        ("NonResourceURLs", rule.non_resource_urls),
        ("Verbs", rule.verbs),
    )
    shown = [
        f"{name}:{json.dumps(list(values), separators=(' ', ':'))}"
        for name, values in parts
        if values
    ]
    return f"{{{', '.join(shown)}}}"
