"""Writes drawn at random: several managers apply, patch and delete a Thing and a Deployment."""

from random import Random
from typing import Any

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

_TEXT = {"type": "string"}
_MAP = {"type": "object", "additionalProperties": _TEXT}
_ITEM = {
    "type": "object",
    "required": ["k"],
    "properties": {
        "k": _TEXT,
        "p": {"type": "string", "default": "TCP"},
        "v": {"type": "integer"},
        "n": _MAP,
    },
}
_KEYED = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "p"]}
_SPEC = {
    "count": {"type": "integer", "default": 1},
    "name": _TEXT,
    "items": {"type": "array", "items": _ITEM, **_KEYED},
    "set": {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set"},
    "list": {"type": "array", "items": {"type": "object", "properties": {"a": _TEXT}}},
    "map": _MAP,
    "whole": {**_MAP, "x-kubernetes-map-type": "atomic"},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "either": {"x-kubernetes-int-or-string": True},
    "maybe": {"type": "string", "nullable": True},
}
_SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "properties": _SPEC}}}


def definition(group: str) -> Json:
    """A kind in two versions whose schema has every way to merge."""
    versions = [
        {
            "name": name,
            "served": True,
            "storage": name == "v1",
            "schema": {"openAPIV3Schema": _SCHEMA},
        }
        for name in ("v1", "v1beta1")
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": versions,
        },
    }


class Drawer:
    """Draws one write after the other; the same seed draws the same."""

    def __init__(self, seed: int, group: str, namespace: str) -> None:
        self._random = Random(seed)
        self._group = group
        self._things = f"/apis/{group}/%s/namespaces/{namespace}/things/a"
        self._deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/d"

    def paths(self) -> list[str]:
        """Of the two objects."""
        return [self._things % "v1", self._deployment]

    def write(self) -> tuple[str, str, Json | None, str]:
        """Method, path, body and content type."""
        draw = self._random.random()
        if draw < 0.05:
            return ("DELETE", self._random.choice(self.paths()), None, "")
        return self._thing() if draw < 0.55 else self._deployment_write()

    def _thing(self) -> tuple[str, str, Json, str]:
        version = self._random.choice(["v1", "v1", "v1beta1"])
        path = self._things % version
        body: Json = {"metadata": self._metadata("a"), "spec": self._spec()}
        if self._random.random() < 0.3:
            del body["metadata"]["name"]
            gone = self._random.choice(list(_SPEC))
            body["spec"].setdefault(gone, None)
            return ("PATCH", f"{path}?fieldManager={self._pick('uv')}", body, MERGE)
        body |= {"apiVersion": f"{self._group}/{version}", "kind": "Thing"}
        return self._applied(path, body)

    def _applied(self, path: str, body: Json) -> tuple[str, str, Json, str]:
        force = str(self._random.random() < 0.5).lower()
        return ("PATCH", f"{path}?fieldManager={self._pick('mn')}&force={force}", body, APPLY)

    def _deployment_write(self) -> tuple[str, str, Json, str]:
        pod: Json = {"containers": self._some(self._container, "name", least=1)}
        self._maybe(pod, "nodeSelector", self._map)
        self._maybe(pod, "tolerations", lambda: [{"key": self._pick(), "operator": "Exists"}])
        spec: Json = {"template": {"spec": pod}}
        self._maybe(spec, "replicas", lambda: self._random.randrange(3))
        body: Json = {"metadata": self._metadata("d"), "spec": spec}
        draw = self._random.random()
        if draw < 0.4:
            del body["metadata"]["name"]
            media = MERGE if draw < 0.15 else STRATEGIC
            return ("PATCH", f"{self._deployment}?fieldManager={self._pick('uv')}", body, media)
        spec["selector"] = {"matchLabels": {"a": "b"}}
        spec["template"]["metadata"] = {"labels": {"a": "b"}}
        body |= {"apiVersion": "apps/v1", "kind": "Deployment"}
        return self._applied(self._deployment, body)

    def _pick(self, letters: str = "abc") -> str:
        return self._random.choice(letters)

    def _maybe(self, into: Json, name: str, draw: Any) -> None:
        if self._random.random() < 0.4:
            into[name] = draw()

    def _map(self) -> Json:
        return {self._pick(): self._pick() for _ in range(self._random.randrange(3))}

    def _some(self, draw: Any, *keys: str, least: int = 0) -> list[Json]:
        drawn = [draw() for _ in range(self._random.randrange(least, 4))]
        return list({tuple(one.get(key, "TCP") for key in keys): one for one in drawn}.values())

    def _metadata(self, name: str) -> Json:
        metadata: Json = {"name": name}
        self._maybe(metadata, "labels", self._map)
        return metadata

    def _item(self) -> Json:
        item: Json = {"k": self._pick()}
        self._maybe(item, "p", lambda: self._random.choice(["TCP", "UDP"]))
        self._maybe(item, "v", lambda: self._random.randrange(3))
        self._maybe(item, "n", self._map)
        return item

    def _container(self) -> Json:
        container: Json = {"name": self._pick(), "image": f"i:{self._random.randrange(2)}"}
        env = lambda: {"name": self._pick("ABC"), "value": self._pick()}  # noqa: E731 - a drawer of one
        self._maybe(container, "env", lambda: self._some(env, "name"))
        cpu = {"limits": {"cpu": self._random.choice(["1", "0.5", "500m"])}}
        self._maybe(container, "resources", lambda: cpu)
        return container

    def _free(self, depth: int = 0) -> Any:
        if depth == 2 or self._random.random() < 0.4:
            return self._random.choice([1, "x", [1], {}])
        return {self._pick(): self._free(depth + 1) for _ in range(self._random.randrange(3))}

    def _spec(self) -> Json:
        spec: Json = {}
        self._maybe(spec, "count", lambda: self._random.randrange(3))
        self._maybe(spec, "name", self._pick)
        self._maybe(spec, "items", lambda: self._some(self._item, "k", "p"))
        self._maybe(spec, "set", lambda: sorted({self._pick() for _ in range(2)}))
        self._maybe(spec, "list", lambda: [{"a": self._pick()}])
        self._maybe(spec, "map", self._map)
        self._maybe(spec, "whole", self._map)
        self._maybe(spec, "free", lambda: {self._pick(): self._free()})
        self._maybe(spec, "either", lambda: self._random.choice([1, "1"]))
        self._maybe(spec, "maybe", lambda: self._random.choice([None, "x"]))
        return spec
