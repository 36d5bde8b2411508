"""What the ServiceAccount of a pod brings into it."""

import re
from typing import Any

import pytest

from kaito.kube.errors import Forbidden
from kaito.kube.objects import Json
from kaito.kube.resources import PODS, SERVICEACCOUNTS
from tests.contract.workloads.scene import Scene

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
_CHANCE = re.compile("kube-api-access-[a-z0-9]{5}")
VOLUME = {
    "name": "kube-api-access-*",
    "projected": {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
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
    },
}


async def _spec(here: Scene, name: str, **spec: object) -> Json:
    """The pod's spec as it is stored, less what is drawn in the volume's name."""
    wanted = {"containers": [{"name": "c", "image": "i"}], "schedulerName": "nobody", **spec}
    made = (await here.create(PODS, wanted, name)).json()["spec"]
    found = _plain(made)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(below) for key, below in value.items()}
        case list():
            return [_plain(below) for below in value]
        case str():
            return _CHANCE.sub("kube-api-access-*", value)
        case _:
            return value


def _mounts(spec: Json) -> list[str]:
    """Where each container finds the token."""
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    return [
        f"{mount['name']}{' ro' if mount.get('readOnly') else ''}"
        for container in containers
        for mount in container.get("volumeMounts", [])
        if mount["mountPath"] == TOKEN
    ]


async def test_what_an_account_brings(scene):
    """Its name, a projected volume with a token and its mounts, and the secrets for pulling images:
    unless the pod or the account says no, or the pod has something of its own there."""
    async with scene as here:
        plain = await _spec(here, "plain", initContainers=[{"name": "i", "image": "i"}])
        assert (plain["serviceAccountName"], plain["serviceAccount"]) == ("default", "default")
        assert plain["volumes"] == [VOLUME]
        assert _mounts(plain) == ["kube-api-access-* ro"] * 2

        mine = {"name": "mine", "emptyDir": {}}
        mount = {"name": "mine", "mountPath": TOKEN}
        containers = [{"name": "c", "image": "i", "volumeMounts": [mount]}]
        own = await _spec(here, "own", containers=containers, volumes=[mine])
        assert [v["name"] for v in own["volumes"]] == ["mine"]
        assert _mounts(own) == ["mine"]

        sources = [{"serviceAccountToken": {"path": "token"}}]
        given = {"name": "kube-api-access-given", "projected": {"sources": sources}}
        brought = await _spec(here, "brought", volumes=[given])
        assert [v["name"] for v in brought["volumes"]] == ["kube-api-access-*"]
        assert _mounts(brought) == ["kube-api-access-* ro"]

        silent = await _spec(here, "silent", automountServiceAccountToken=False)
        assert "volumes" not in silent
        assert _mounts(silent) == []


async def test_accounts_that_say_no(scene):
    """An account may keep its token back, and the pod has the last word; nothing runs without
    an account."""
    async with scene as here:
        metadata = {"name": "quiet", "namespace": here.namespace}
        quiet = {"automountServiceAccountToken": False, "imagePullSecrets": [{"name": "pull"}]}
        await here.client.create(SERVICEACCOUNTS, {"metadata": metadata, **quiet})
        kept = await _spec(here, "kept", serviceAccountName="quiet")
        assert "volumes" not in kept
        assert kept["imagePullSecrets"] == [{"name": "pull"}]
        asked = await _spec(
            here,
            "asked",
            serviceAccountName="quiet",
            automountServiceAccountToken=True,
            imagePullSecrets=[{"name": "own"}],
        )
        assert asked["volumes"] == [VOLUME]
        assert asked["imagePullSecrets"] == [{"name": "own"}]
        with pytest.raises(Forbidden) as refused:
            await _spec(here, "lost", serviceAccountName="nobody")
        assert str(refused.value) == (
            'pods "lost" is forbidden: error looking up service account '
            f'{here.namespace}/nobody: serviceaccount "nobody" not found'
        )
