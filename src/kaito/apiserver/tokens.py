"""Tokens of service accounts: signed, with an end, bound to the account that still exists."""

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, final

import msgspec

from kaito.apiserver.core import Core, User, encode
from kaito.kube.objects import ObjectKey

AUTHENTICATED: Final = "system:authenticated"
ACCOUNTS: Final = "system:serviceaccounts"
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
MIN_SECONDS: Final = 600
DEFAULT_SECONDS: Final = 3600
_CREDENTIAL: Final = "authentication.kubernetes.io/credential-id"


@final
class Tokens:
    """Issues JSON web tokens and recognises its own. The key never leaves the process."""

    def __init__(self, core: Core, key: bytes) -> None:
        self._core = core
        self._key = key

    def issue(
        self, key: ObjectKey, uid: str, seconds: int, audiences: list[str]
    ) -> tuple[str, str]:
        """A token for the account `key`, and when it ends (RFC 3339)."""
        now = self._core.clock.wall()
        end = now + timedelta(seconds=seconds)
        claims = {
            "aud": audiences or [ISSUER],
            "exp": int(end.timestamp()),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "iss": ISSUER,
            "jti": self._core.storage.new_uid(),
            "kubernetes.io": {
                "namespace": key.namespace,
                "serviceaccount": {"name": key.name, "uid": uid},
            },
            "sub": account_name(key),
        }
        body = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
        return f"{body}.{self._sign(body)}", end.strftime("%Y-%m-%dT%H:%M:%SZ")

    def user(self, token: str) -> User | None:
        """Whose token it is; None when it is not ours, has ended, or its account is gone."""
        body, _, signature = token.rpartition(".")
        if not body or not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        claims = _claims(body)
        if claims["exp"] <= self._core.clock.wall().timestamp():
            return None
        account = claims["kubernetes.io"]
        key = ObjectKey(account["namespace"], account["serviceaccount"]["name"])
        stored = self._core.storage.bucket("serviceaccounts").get(key)
        if stored is None or stored.uid != account["serviceaccount"]["uid"]:
            return None
        found = account_user(key, stored.uid)
        return replace(found, extra=((_CREDENTIAL, (f"JTI={claims['jti']}",)),))

    def _sign(self, body: str) -> str:
        digest = hmac.new(self._key, body.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def account_name(key: ObjectKey) -> str:
    """The user name of a service account."""
    return f"system:serviceaccount:{key.namespace}:{key.name}"


def account_user(key: ObjectKey, uid: str = "") -> User:
    """A service account as a user."""
    groups = (ACCOUNTS, f"{ACCOUNTS}:{key.namespace}", AUTHENTICATED)
    return User(account_name(key), groups, uid)


def _part(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(encode(claims)).decode().rstrip("=")


def _claims(body: str) -> dict[str, Any]:
    text = body.partition(".")[2]
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return msgspec.json.decode(raw, type=dict[str, Any])
