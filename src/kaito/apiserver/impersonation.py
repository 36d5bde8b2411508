"""Requests on behalf of another user: `kubectl --as`, `--as-group`, `--as-uid`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import unquote

import msgspec

from kaito.apiserver.authz import Rbac, forbidden
from kaito.apiserver.core import ANONYMOUS, User
from kaito.apiserver.routing import Target, permission
from kaito.apiserver.status import Refused, forbidden_path
from kaito.apiserver.tokens import ACCOUNTS, AUTHENTICATED

_PREFIX: Final = "impersonate-"
_EXTRA: Final = f"{_PREFIX}extra-"
_ACCOUNT: Final = "system:serviceaccount:"
_AUTHENTICATION: Final = "authentication.k8s.io"

_permission = partial(permission, "impersonate")


def impersonated(headers: Mapping[str, str], user: User, rbac: Rbac, target: Target) -> User:
    """Whom the request is made as: the user, or who is named where the user may act as them.

    Raises 403 where the user may not, 500 where nobody is named, as the real server does.
    """
    if not any(header.startswith(_PREFIX) for header in headers):
        return user
    name = headers.get("impersonate-user", "")
    groups = tuple(one for one in headers.get("impersonate-group", "").split(",") if one)
    uid = headers.get("impersonate-uid", "")
    extra = tuple(sorted(_extra(headers)))
    if not name:
        if groups or uid or extra:
            raise Refused(500, "InternalError", _nobody(groups, uid))
        return user
    asked = User(name, groups, uid, extra)
    if not all(rbac.allows(user, one) for one in _permissions(asked)):
        raise _refused(user, asked, target)
    return replace(asked, groups=_with_implied(name, groups))


def _extra(headers: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, value in headers.items():
        if name.startswith(_EXTRA):
            yield unquote(name.removeprefix(_EXTRA)), tuple(value.split(","))


def _nobody(groups: tuple[str, ...], uid: str) -> str:
    what = f"groups {list(groups)}" if groups else f"uid {uid}"
    return f"requested {what} without impersonating a user"


def _permissions(asked: User) -> Iterator[Target]:
    """What one must be allowed to `impersonate`."""
    account = _account_of(asked.name)
    if account is not None:
        yield _permission("serviceaccounts", account[1], namespace=account[0])
    else:
        yield _permission("users", asked.name)
    for group in asked.groups:
        yield _permission("groups", group)
    if asked.uid:
        yield _permission("uids", asked.uid, group=_AUTHENTICATION)
    for key, values in asked.extra:
        for value in values:
            yield _permission("userextras", value, group=_AUTHENTICATION, subresource=key)


def _account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account."""
    namespace, _, account = name.removeprefix(_ACCOUNT).partition(":")
    return (namespace, account) if name.startswith(_ACCOUNT) and account else None


def _with_implied(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Everybody is in the group of those with a name, or of those without."""
    account = _account_of(name)
    if account is not None and not groups:
        groups = (ACCOUNTS, f"{ACCOUNTS}:{account[0]}")
    implied = ANONYMOUS.groups[0] if name == ANONYMOUS.name else AUTHENTICATED
    return groups if implied in groups else (*groups, implied)


def _refused(user: User, asked: User, target: Target) -> Refused:
    """403 in the words of a server that knows constrained impersonation, which it asks first."""
    mode = "serviceaccount" if _account_of(asked.name) is not None else "user-info"
    verb = f"impersonate-on:{mode}:{target.verb}"
    if not target.is_resource:
        return forbidden_path(user.name, verb, target.path)
    return forbidden(user, msgspec.structs.replace(target, verb=verb))
