"""What exists in a new cluster before anybody asks for it.

`bootstrap.json` holds the roles, bindings and priority classes that a real server makes for itself,
as recorded from one.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from kaito.apiserver import services, strategies
from kaito.apiserver.core import Core
from kaito.apiserver.kinds import Draft
from kaito.kube.objects import Json

_NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
_NAMESPACE_HOOKS: Final = (strategies.namespace_label, strategies.namespace)
API_PORT: Final = 6443


def fill(core: Core) -> None:
    """Make it all, in one order: the same versions every time."""
    for name in _NAMESPACES:
        _add(core, "namespaces", {"metadata": {"name": name}}, *_NAMESPACE_HOOKS)
    for bucket, objects in msgspec.json.decode(_recorded()).items():
        for obj in objects:
            _add(core, bucket, obj)
    _add(core, "services", _kubernetes_service(), services.service)


@cache
def _recorded() -> bytes:
    return Path(__file__).with_name("bootstrap.json").read_bytes()


def _add(core: Core, bucket: str, obj: Json, *hooks: Any) -> None:
    obj["metadata"] = {
        **obj["metadata"],
        "uid": core.storage.new_uid(),
        "resourceVersion": "",
        "creationTimestamp": core.now(),
    }
    for hook in hooks:
        hook(Draft(obj=obj, old=None, storage=core.storage, random=core.random, warn=_unheard))
    core.storage.write(core.storage.bucket(bucket), obj)


def _unheard(_: str) -> None:
    """Nobody is there yet to be warned."""


def _kubernetes_service() -> Json:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.1",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [
                {"name": "https", "protocol": "TCP", "port": 443, "targetPort": API_PORT},
            ],
        },
        "status": {"loadBalancer": {}},
    }
