"""Several managers apply, patch, replace and delete a Thing and a Deployment."""

from collections.abc import Iterator
from typing import Any

from tests.contract.apiserver.drawn import (
    APPLY,
    CRDS,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Chance,
    Draw,
    Json,
)

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
_CONDITION = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": _TEXT, "status": _TEXT, "reason": _TEXT},
}
_STATUS = {
    "count": {"type": "integer"},
    "phase": _TEXT,
    "conditions": {
        "type": "array",
        "items": _CONDITION,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": _SPEC},
        "status": {"type": "object", "properties": _STATUS},
    },
}
_SUBRESOURCES = {
    "status": {},
    "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
}


def definition(group: str) -> Json:
    """A kind in two versions whose schema has every way to merge."""
    versions = [
        {
            "name": name,
            "served": True,
            "storage": name == "v1",
            "schema": {"openAPIV3Schema": _SCHEMA},
            "subresources": _SUBRESOURCES,
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


class Writes(Chance):
    def __init__(self, seed: int, namespace: str) -> None:
        super().__init__(seed, namespace)
        self._things = f"/apis/{self.group}/%s/namespaces/{namespace}/things/a"
        self._deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/d"

    def setup(self) -> Iterator[Draw]:
        yield Draw("POST", CRDS, definition(self.group))

    def draws(self, count: int) -> Iterator[Draw]:
        for _ in range(count):
            yield self._draw()

    def _draw(self) -> Draw:
        draw = self.random.random()
        if draw < 0.03:
            return Draw("DELETE", self.pick([self._things % "v1", self._deployment]))
        if draw < 0.22:
            return self._status()
        if draw < 0.30:
            return self._json_patch()
        return self._thing() if draw < 0.65 else self._deployment_write()

    def _query(self, path: str, **given: str) -> str:
        self.maybe(given, "dryRun", lambda: "All", 0.1)
        self.maybe(given, "fieldValidation", lambda: self.pick(["Strict", "Warn", "Ignore"]), 0.2)
        return f"{path}?{'&'.join(f'{name}={value}' for name, value in given.items())}"

    # A custom kind

    def _thing(self) -> Draw:
        version = self.pick(["v1", "v1", "v1beta1"])
        path = self._things % version
        body: Json = {"metadata": self._metadata("a"), "spec": self._spec()}
        if self.often(0.3):
            del body["metadata"]["name"]
            gone = self.pick(list(_SPEC))
            body["spec"].setdefault(gone, None)
            return Draw("PATCH", self._query(path, fieldManager=self.pick("uv")), body, MERGE)
        body |= {"apiVersion": f"{self.group}/{version}", "kind": "Thing"}
        return self._applied(path, body)

    def _applied(self, path: str, body: Json) -> Draw:
        force = str(self.often(0.5)).lower()
        path = self._query(path, fieldManager=self.pick("mn"), force=force)
        return Draw("PATCH", path, body, APPLY)

    def _spec(self) -> Json:
        spec: Json = {}
        self.maybe(spec, "count", lambda: self.random.randrange(3))
        self.maybe(spec, "name", self.pick)
        self.maybe(spec, "items", lambda: self.some(self._item, "k", "p"))
        self.maybe(spec, "set", lambda: sorted({self.pick() for _ in range(2)}))
        self.maybe(spec, "list", lambda: [{"a": self.pick()}])
        self.maybe(spec, "map", self.map)
        self.maybe(spec, "whole", self.map)
        self.maybe(spec, "free", lambda: {self.pick(): self._free()})
        self.maybe(spec, "either", lambda: self.pick([1, "1"]))
        self.maybe(spec, "maybe", lambda: self.pick([None, "x"]))
        self.maybe(spec, "unknown", lambda: 1, 0.05)
        return spec

    def _item(self) -> Json:
        item: Json = {"k": self.pick()}
        self.maybe(item, "p", lambda: self.pick(["TCP", "UDP"]))
        self.maybe(item, "v", lambda: self.random.randrange(3))
        self.maybe(item, "n", self.map)
        return item

    def _free(self, depth: int = 0) -> Any:
        if depth == 2 or self.often(0.4):
            return self.pick([1, "x", [1], {}])
        return {self.pick(): self._free(depth + 1) for _ in range(self.random.randrange(3))}

    # A built-in one

    def _deployment_write(self) -> Draw:
        pod: Json = {"containers": self.some(self._container, "name", least=1)}
        self.maybe(pod, "nodeSelector", self.map)
        self.maybe(pod, "tolerations", lambda: [{"key": self.pick(), "operator": "Exists"}])
        spec: Json = {"template": {"spec": pod}}
        self.maybe(spec, "replicas", lambda: self.random.randrange(3))
        body: Json = {"metadata": self._metadata("d"), "spec": spec}
        draw = self.random.random()
        path = self._deployment
        if draw < 0.4:
            del body["metadata"]["name"]
            media = MERGE if draw < 0.15 else STRATEGIC
            if media == STRATEGIC:
                self._direct(pod)
            return Draw("PATCH", self._query(path, fieldManager=self.pick("uv")), body, media)
        spec["selector"] = {"matchLabels": {"a": "b"}}
        spec["template"]["metadata"] = {"labels": {"a": "b"}}
        body |= {"apiVersion": "apps/v1", "kind": "Deployment"}
        if draw < 0.5:
            return Draw("PUT", self._query(path, fieldManager=self.pick("uvw")), body)
        return self._applied(path, body)

    def _direct(self, pod: Json) -> None:
        """Strategic directives: delete, replace, the order of a list."""
        containers = pod["containers"]
        unnamed = set("abcd") - {one["name"] for one in containers}
        if self.often(0.2):
            containers.append({"name": min(unnamed), "$patch": "delete"})
        elif self.often(0.1):
            containers.append({"$patch": "replace"})
        if self.often(0.2):
            names = [{"name": one["name"]} for one in containers if "name" in one]
            pod["$setElementOrder/containers"] = self.random.sample(names, len(names))
        if self.often(0.1) and "nodeSelector" in pod:
            pod["nodeSelector"]["$patch"] = "replace"

    def _container(self) -> Json:
        container: Json = {"name": self.pick(), "image": f"i:{self.random.randrange(2)}"}
        env = lambda: {"name": self.pick("ABC"), "value": self.pick()}  # noqa: E731 - a drawer of one
        self.maybe(container, "env", lambda: self.some(env, "name"))
        self.maybe(container, "ports", lambda: self.some(self._port, "containerPort", "protocol"))
        cpu = {"limits": {"cpu": self.pick(["1", "0.5", "500m", 2])}}
        self.maybe(container, "resources", lambda: cpu)
        self.maybe(container, "imagee", lambda: "x", 0.05)
        return container

    def _port(self) -> Json:
        port: Json = {"containerPort": self.pick([80, 81])}
        self.maybe(port, "protocol", lambda: self.pick(["TCP", "UDP"]))
        return port

    def _metadata(self, name: str) -> Json:
        metadata: Json = {"name": name}
        self.maybe(metadata, "labels", self.map)
        self.maybe(metadata, "annotations", self.map, 0.1)
        return metadata

    # Subresources, and patches by path

    def _status(self) -> Draw:
        if self.often(0.3):
            status = {"replicas": 3, "readyReplicas": self.random.randrange(5)}
            path = f"{self._deployment}/status?fieldManager={self.pick('uv')}"
            return Draw("PATCH", path, {"status": status, "spec": {"replicas": 9}}, MERGE)
        status = {"phase": self.pick()}
        self.maybe(status, "count", lambda: self.random.randrange(3))
        self.maybe(status, "conditions", lambda: self.some(self._condition, "type"))
        path = f"{self._things % 'v1'}/status"
        body: Json = {"status": status, "metadata": self._metadata("a")}
        if self.often(0.5):
            return Draw("PATCH", f"{path}?fieldManager={self.pick('uv')}", body, MERGE)
        body |= {"apiVersion": f"{self.group}/v1", "kind": "Thing"}
        return self._applied(path, body)

    def _condition(self) -> Json:
        condition: Json = {"type": self.pick()}
        self.maybe(condition, "status", lambda: self.pick(["True", "False"]))
        self.maybe(condition, "reason", self.pick)
        return condition

    def _json_patch(self) -> Draw:
        path, places = self.pick(
            [
                (self._things % "v1", ["/spec/name", "/spec/map/a", "/spec/list/0", "/spec/set/-"]),
                (self._deployment, ["/metadata/labels/a", "/spec/replicas", "/spec/paused"]),
            ]
        )
        operations = [self._operation(places) for _ in range(self.random.randrange(1, 3))]
        query = self._query(path, fieldManager=self.pick("uv"))
        return Draw("PATCH", query, operations, JSON_PATCH)

    def _operation(self, places: list[str]) -> Json:
        place = self.pick(places)
        value: Any = {"a": self.pick()} if "list" in place else self.pick()
        if place in ("/spec/replicas", "/spec/paused"):
            value = self.random.randrange(3) if place == "/spec/replicas" else self.often(0.5)
        operation = self.pick(["add", "add", "replace", "remove", "test", "copy", "move"])
        told: Json = {"op": operation, "path": place}
        if operation in ("add", "replace", "test"):
            told["value"] = value
        if operation in ("copy", "move"):
            told["from"] = place
        return told
