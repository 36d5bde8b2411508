"""Nonsense is refused with a Status; it never breaks the server."""

import copy
from random import Random
from typing import Any

import pytest

from tests.apiserver.support import CONFIGMAPS, PODS, Api, Json, configmap
from tests.apiserver.test_crds import CRDS, FOOS, crd, foo

JUNK: tuple[Any, ...] = (None, -1, "x", [], {}, [1], {"a": 1}, [{}], True, 1.5, [None], {"": None})
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
BODIES: tuple[tuple[str, str, Json, str], ...] = (
    ("POST", CONFIGMAPS, {"kind": "ConfigMap", "apiVersion": "v1", **configmap("b")}, "json"),
    ("PUT", f"{CONFIGMAPS}/a", configmap("a", x="y"), "json"),
    ("PATCH", f"{CONFIGMAPS}/a", configmap("a", x="y"), "merge-patch+json"),
    ("PATCH", f"{PODS}/p", POD, "strategic-merge-patch+json"),
    ("PATCH", f"{FOOS}/f", foo("f", replicas=1), "merge-patch+json"),
    ("PATCH", f"{FOOS}/f/scale", {"spec": {"replicas": 1}}, "merge-patch+json"),
    ("POST", FOOS, foo("g", replicas=1), "json"),
    ("PATCH", f"{CRDS}/foos.x.io", crd(), "merge-patch+json"),
    ("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"name": "n"}}, "json"),
    ("POST", f"{PODS}/p/eviction", {"deleteOptions": {"preconditions": {"uid": "x"}}}, "json"),
    ("DELETE", f"{PODS}/p", {"preconditions": {"uid": "x"}, "dryRun": ["All"]}, "json"),
    ("POST", REVIEWS, {"spec": {"resourceAttributes": {"verb": "get"}}}, "json"),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in items:
        found.append((*path, key))
        if isinstance(child, dict | list):
            found += _places(child, (*path, key))
    return found


def _broken(body: Json, random: Random) -> Json:
    body = copy.deepcopy(body)
    *steps, last = random.choice(_places(body))
    inner: Any = body
    for step in steps:
        inner = inner[step]
    inner[last] = random.choice(JUNK)
    return body


@pytest.mark.parametrize(("method", "path", "body", "kind"), BODIES)
async def test_nonsense_is_answered(method: str, path: str, body: Json, kind: str) -> None:
    """Any field may hold anything: the answer is a success or a Status, and GET still works."""
    api, random = Api(), Random(11)
    await api.ok("POST", CRDS, crd())
    await api.ok("POST", FOOS, foo("f"))
    await api.ok("POST", CONFIGMAPS, configmap("a"))
    await api.ok("POST", PODS, POD)
    for _ in range(60):
        broken = _broken(body, random)
        answer = await api.send(method, path, broken, content_type=f"application/{kind}")
        assert answer.body.startswith(b"{"), (broken, answer)
    await api.ok("GET", CONFIGMAPS)
