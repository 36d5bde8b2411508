"""Admission of pods by ServiceAccount: the account's name, its token's volume, its pull secrets."""

from typing import Final

import msgspec

from kaito.apiserver import names
from kaito.apiserver.kinds import Draft
from kaito.apiserver.status import forbidden
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import PODS, SERVICEACCOUNTS

_VOLUME: Final = "kube-api-access-"
_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_MIRROR: Final = "kubernetes.io/config.mirror"
_TOKEN_SECONDS: Final = 3607
"""An hour and a bit: the number by which a real server knows tokens that it asked for itself."""
_PROJECTED: Final = msgspec.json.encode(
    {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
            {
                "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }
            },
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
        "defaultMode": 0o644,
    }
)
"""As text: decoding it is the cheapest copy."""


def admit(draft: Draft) -> None:
    """Give a new pod what its account brings. Raises Refused where there is no such account.

    Works where the server demands accounts: somebody must make the `default` one of each namespace.
    """
    if draft.old is not None or not draft.demands_accounts:
        return
    meta, spec = draft.obj["metadata"], draft.obj.setdefault("spec", {})
    if _MIRROR in (meta.get("annotations") or {}):
        return
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = _account(draft, name)
    if _mounts(spec, account):
        _mount(draft, spec)
    secrets = account.get("imagePullSecrets")
    if secrets and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = secrets


def _account(draft: Draft, name: str) -> Json:
    meta = draft.obj["metadata"]
    key = ObjectKey(meta["namespace"], name)
    stored = draft.storage.bucket(SERVICEACCOUNTS.group_resource).get(key)
    if stored is None:
        why = f'error looking up service account {key}: serviceaccount "{name}" not found'
        raise forbidden(PODS, meta.get("name") or "", why)
    return stored.json()


def _mounts(spec: Json, account: Json) -> bool:
    """The pod decides, then the account."""
    for one in (spec, account):
        if (wanted := one.get("automountServiceAccountToken")) is not None:
            return bool(wanted)
    return True


def _mount(draft: Draft, spec: Json) -> None:
    volumes = spec.get("volumes") or []
    mine = next((v for v in volumes if v["name"].startswith(_VOLUME) and "projected" in v), None)
    name = mine["name"] if mine else names.generate(_VOLUME, draft.random)
    mounted = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or []
        if all(mount.get("mountPath") != _PATH for mount in mounts):
            mount = {"name": name, "readOnly": True, "mountPath": _PATH}
            container["volumeMounts"] = [*mounts, mount]
            mounted = True
    if mounted and mine is None:
        projected = msgspec.json.decode(_PROJECTED)
        spec["volumes"] = [*volumes, {"name": name, "projected": projected}]
