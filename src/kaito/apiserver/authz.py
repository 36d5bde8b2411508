"""Who may do what: RBAC over the stored roles and bindings.

Members of `system:masters` may do anything. Everybody else may do what some rule of a role bound to
them allows; nothing is ever denied explicitly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, final

import msgspec

from kaito.apiserver.core import User
from kaito.apiserver.routing import Target
from kaito.apiserver.status import Refused, forbidden_path
from kaito.apiserver.storage import Bucket, Storage
from kaito.kube.objects import Json, ObjectKey

MASTERS: Final = "system:masters"
RBAC: Final = "rbac.authorization.k8s.io"
_ACCOUNT_PREFIX: Final = "system:serviceaccount:"


@final
class Rule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One PolicyRule."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")

    def allows(self, target: Target) -> bool:
        if not _has(self.verbs, target.verb):
            return False
        if not target.is_resource:
            return any(_path_matches(path, target.path) for path in self.non_resource_urls)
        return (
            _has(self.api_groups, target.group)
            and self._has_resource(target)
            and (not self.resource_names or target.name in self.resource_names)
        )

    def _has_resource(self, target: Target) -> bool:
        if "*" in self.resources or target.resource in self.resources:
            return True
        return bool(target.subresource) and f"*/{target.subresource}" in self.resources


def _has(allowed: Sequence[str], asked: str) -> bool:
    return asked in allowed or "*" in allowed


def _path_matches(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.removesuffix("*"))


class _Subject(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def is_(self, user: User, default_namespace: str) -> bool:
        match self.kind:
            case "User":
                return self.name == user.name
            case "Group":
                return self.name in user.groups
            case "ServiceAccount":
                namespace = self.namespace or default_namespace
                return user.name == f"{_ACCOUNT_PREFIX}{namespace}:{self.name}"
            case _:
                return False


class _RoleRef(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _Binding(msgspec.Struct, frozen=True, rename="camel"):
    subjects: tuple[_Subject, ...] | None = None
    role_ref: _RoleRef = _RoleRef()


class _Role(msgspec.Struct, frozen=True):
    rules: tuple[Rule, ...] | None = None


_BINDING: Final = msgspec.json.Decoder(_Binding)
_ROLE: Final = msgspec.json.Decoder(_Role)


@final
@dataclass(frozen=True, slots=True)
class Grants:
    """What a user may do somewhere: rules, each with the binding it comes from."""

    rules: tuple[tuple[Rule, str], ...] = ()
    missing: tuple[str, ...] = ()
    """Roles that bindings name and that do not exist."""


@final
@dataclass(slots=True)
class Rbac:
    """Answers from the stored objects; what was read is kept until they change."""

    storage: Storage
    _stamp: tuple[int, ...] = ()
    _known: dict[tuple[User, str], Grants] = field(default_factory=dict)

    def allows(self, user: User, target: Target) -> bool:
        """Whether the user may do what the request asks for."""
        if MASTERS in user.groups:
            return True
        return self.reason(user, target) is not None

    def reason(self, user: User, target: Target) -> str | None:
        """Which binding allows it; None when none does. (Membership is not asked.)"""
        grants = self.grants(user, target.namespace if target.is_resource else "")
        return next((why for rule, why in grants.rules if rule.allows(target)), None)

    def check(self, user: User, target: Target) -> None:
        """Raises 403 in the words of the real server."""
        if self.allows(user, target):
            return
        if not target.is_resource:
            raise forbidden_path(user.name, target.verb, target.path)
        raise forbidden(user, target, self.grants(user, target.namespace).missing)

    def grants(self, user: User, namespace: str) -> Grants:
        """Every rule that holds for the user in the namespace (or everywhere, without one)."""
        stamp = tuple(bucket.next_position() for bucket in self._buckets())
        if stamp != self._stamp:
            self._known.clear()
            self._stamp = stamp
        key = (user, namespace)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._resolve(user, namespace)
        return found

    def _buckets(self) -> Iterator[Bucket]:
        for plural in ("clusterroles", "clusterrolebindings", "roles", "rolebindings"):
            yield self.storage.bucket(f"{plural}.{RBAC}")

    def _resolve(self, user: User, namespace: str) -> Grants:
        cluster_roles, cluster_bindings, roles, bindings = self._buckets()
        found: list[tuple[Rule, str]] = []
        missing: list[str] = []
        bound = [("", stored) for stored in cluster_bindings.scan()]
        if namespace:
            bound += [(namespace, stored) for stored in bindings.scan(namespace)]
        for where, stored in bound:
            binding = _BINDING.decode(stored.tail)
            subjects = (one for one in binding.subjects or () if one.is_(user, where))
            subject = next(subjects, None)
            if subject is None:
                continue
            is_role = binding.role_ref.kind == "Role"
            key = ObjectKey(where if is_role else "", binding.role_ref.name)
            role = (roles if is_role else cluster_roles).get(key)
            if role is None:
                kind = "role" if is_role else "clusterrole"
                missing.append(f'{kind}.{RBAC} "{key.name}" not found')
            else:
                why = _reason(stored.key, binding, subject)
                found += [(rule, why) for rule in _ROLE.decode(role.tail).rules or ()]
        return Grants(tuple(found), tuple(missing))


def _reason(key: ObjectKey, binding: _Binding, subject: _Subject) -> str:
    kind = "RoleBinding" if key.namespace else "ClusterRoleBinding"
    name = f"{key.name}/{key.namespace}" if key.namespace else key.name
    who = f"{subject.name}/{subject.namespace}" if subject.namespace else subject.name
    role = binding.role_ref
    return (
        f'RBAC: allowed by {kind} "{name}" of {role.kind} "{role.name}" to {subject.kind} "{who}"'
    )


def forbidden(user: User, target: Target, missing: Sequence[str] = ()) -> Refused:
    """403: who cannot do what, where."""
    group_resource = f"{target.plural}.{target.group}" if target.group else target.plural
    subject = f'{group_resource} "{target.name}"' if target.name else group_resource
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    if target.plural == "namespaces" and target.name:
        where = f'in the namespace "{target.name}"'
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {target.verb} resource '
        f'"{target.resource}" in API group "{target.group}" {where}'
    )
    if missing:
        told = ", ".join(missing)
        message += f": RBAC: {told if len(missing) == 1 else f'[{told}]'}"
    details: Json = {"name": target.name} if target.name else {}
    if target.group:
        details["group"] = target.group
    details["kind"] = target.plural
    return Refused(403, "Forbidden", message, details=details)
