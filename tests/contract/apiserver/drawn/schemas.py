"""Definitions drawn at random, and objects of them: defaults, pruning, validation, ratcheting."""

from collections.abc import Iterator
from typing import Any

from tests.contract.apiserver.drawn import APPLY, CRDS, JSON_PATCH, MERGE, Chance, Draw, Json

_RULES = {
    "integer": ["self > 1", "self != 2", "self >= oldSelf", "self < 3 || self == 7"],
    "string": ["self != 'a'", "self.startsWith('a')", "self == oldSelf", "size(self) < 3"],
    "array": ["size(self) != 2", "size(self) >= size(oldSelf)"],
    "map": ["size(self) < 2"],
}
_DEEP = 2
_FORMATS = ["date-time", "date", "ipv4", "uuid", "duration", "byte", "email", "unheard-of"]


class Schemas(Chance):
    """One kind with a schema of its own, and writes to one object of it."""

    def __init__(self, seed: int, namespace: str) -> None:
        super().__init__(seed, namespace)
        self._fields = {f"f{n}": self._schema(_DEEP) for n in range(6)}
        self._path = f"/apis/{self.group}/v1/namespaces/{namespace}/things"

    def setup(self) -> Iterator[Draw]:
        spec: Json = {"type": "object", "properties": self._fields}
        self.maybe(spec, "default", dict, 0.2)
        schema = {"type": "object", "properties": {"spec": spec}}
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        names = {"plural": "things", "kind": "Thing"}
        body = {
            "metadata": {"name": f"things.{self.group}"},
            "spec": {
                "group": self.group,
                "scope": "Namespaced",
                "names": names,
                "versions": [version],
            },
        }
        yield Draw("POST", CRDS, body)

    def draws(self, count: int) -> Iterator[Draw]:
        head = {"apiVersion": f"{self.group}/v1", "kind": "Thing", "metadata": {"name": "a"}}
        for _ in range(count):
            draw = self.random.random()
            body: Json = {**head, "spec": self._values()}
            if draw < 0.4:
                how = self.pick(["", "&fieldValidation=Strict"])
                yield Draw("POST", f"{self._path}?dryRun=All{how}", body)
            elif draw < 0.6:
                yield Draw("POST", self._path, body)
            elif draw < 0.8:
                yield Draw("PATCH", f"{self._path}/a", {"spec": body["spec"]}, MERGE)
            elif draw < 0.9:
                yield Draw("PATCH", f"{self._path}/a?fieldManager=m&force=true", body, APPLY)
            else:
                name = self.pick(list(self._fields))
                value = self._value(self._fields[name], 0.3)
                patch = [{"op": "add", "path": f"/spec/{name}", "value": value}]
                yield Draw("PATCH", f"{self._path}/a", patch, JSON_PATCH)

    def _schema(self, depth: int) -> Json:
        kinds = ["integer", "string", "number", "boolean", "either"]
        kind = self.pick([*kinds, "array", "object", "map"] if depth else kinds)
        schema: Json = getattr(self, f"_{kind}")(depth)
        self.maybe(schema, "nullable", lambda: True, 0.15)
        if depth == _DEEP and kind in _RULES and self.often(0.4):
            schema["x-kubernetes-validations"] = [{"rule": self.pick(_RULES[kind])}]
            self.maybe(schema["x-kubernetes-validations"][0], "message", lambda: "no", 0.3)
        if kind in ("integer", "string", "boolean") and self.often(0.3):
            schema["default"] = {"integer": 2, "string": "ab", "boolean": True}[kind]
        return schema

    def _integer(self, _: int) -> Json:
        schema: Json = {"type": "integer"}
        self.maybe(schema, "minimum", lambda: self.random.randrange(2), 0.3)
        self.maybe(schema, "maximum", lambda: self.random.randrange(2, 8), 0.3)
        self.maybe(schema, "exclusiveMaximum", lambda: "maximum" in schema, 0.1)
        self.maybe(schema, "multipleOf", lambda: 2, 0.15)
        self.maybe(schema, "format", lambda: self.pick(["int32", "int64"]), 0.3)
        return schema

    def _number(self, _: int) -> Json:
        schema: Json = {"type": "number"}
        self.maybe(schema, "minimum", lambda: 0.5, 0.3)
        return schema

    def _boolean(self, _: int) -> Json:
        return {"type": "boolean"}

    def _either(self, _: int) -> Json:
        return {"x-kubernetes-int-or-string": True}

    def _string(self, _: int) -> Json:
        schema: Json = {"type": "string", "maxLength": self.pick([1, 3, 10])}
        self.maybe(schema, "minLength", lambda: self.random.randrange(1, 2), 0.2)
        self.maybe(schema, "pattern", lambda: self.pick(["^a", "b$", "^[a-c]+$"]), 0.3)
        self.maybe(schema, "enum", lambda: ["a", "ab", "b"], 0.2)
        if self.often(0.15):
            schema = {"type": "string", "maxLength": 40, "format": self.pick(_FORMATS)}
        return schema

    def _array(self, depth: int) -> Json:
        schema: Json = {"type": "array", "maxItems": self.pick([2, 5])}
        self.maybe(schema, "minItems", lambda: 1, 0.2)
        draw = self.random.random()
        if draw < 0.3:
            schema["items"] = {"type": "string", "maxLength": 5}
            schema["x-kubernetes-list-type"] = "set"
        elif draw < 0.6:
            item = self._object(depth - 1)
            item["properties"]["k"] = {"type": "string", "maxLength": 5}
            item["required"] = ["k"]
            schema["items"] = item
            schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
        else:
            schema["items"] = self._schema(depth - 1)
        return schema

    def _object(self, depth: int) -> Json:
        names = self.random.sample("abcd", self.random.randrange(1, 4))
        schema: Json = {"type": "object"}
        schema["properties"] = {name: self._schema(max(0, depth - 1)) for name in names}
        self.maybe(schema, "required", lambda: [self.pick(names)], 0.3)
        self.maybe(schema, "x-kubernetes-preserve-unknown-fields", lambda: True, 0.15)
        if self.often(0.15):
            schema["anyOf"] = [{"required": [name]} for name in names]
        return schema

    def _map(self, depth: int) -> Json:
        below = self._schema(depth - 1)
        schema: Json = {"type": "object", "additionalProperties": below, "maxProperties": 3}
        self.maybe(schema, "minProperties", lambda: 1, 0.2)
        return schema

    # Values that mostly fit

    def _values(self) -> Json:
        values = {
            name: self._value(schema, 0.08)
            for name, schema in self._fields.items()
            if self.often(0.4)
        }
        self.maybe(values, "unknown", lambda: {"x": 1}, 0.1)
        return values

    def _value(self, schema: Json, odd: float) -> Any:
        if self.often(odd):
            return self.pick([None, 5, "zzzzzz", [], {}, True, 1.5, -1, ["a", "a"], "", [None]])
        kind = schema.get("type", "either")
        match kind:
            case "integer":
                return self.random.randrange(9)
            case "number":
                return self.pick([0.5, 1, 2.25])
            case "boolean":
                return self.often(0.5)
            case "either":
                return self.pick([1, "1", "25%"])
            case "string":
                return self._string_value(schema)
            case "array":
                count = self.random.randrange(4)
                return [self._value(schema["items"], odd) for _ in range(count)]
        if "additionalProperties" in schema:
            below = schema["additionalProperties"]
            return {self.pick(): self._value(below, odd) for _ in range(self.random.randrange(3))}
        found = {
            name: self._value(child, odd)
            for name, child in schema["properties"].items()
            if self.often(0.7)
        }
        self.maybe(found, "unknown", lambda: 1, 0.1)
        return found

    def _string_value(self, schema: Json) -> str:
        if "format" in schema:
            return str(
                self.pick(
                    [
                        "2024-01-02T03:04:05Z",
                        "2024-01-02",
                        "1.2.3.4",
                        "1h",
                        "YQ==",
                        "a@b.io",
                        "123e4567-e89b-12d3-a456-426614174000",
                    ]
                )
            )
        return str(self.pick(["a", "ab", "abc", "b", "ca"]))
