"""Record what a real API server knows about built-in kinds: `make record`.

Writes `src/kaito/apiserver/builtin/schemas.json`, one definition a line, facts only:

- from /openapi/v3: types, list-map keys, patch merge keys, enums (descriptions are left behind),
  the defaults that it publishes where the Go type alone tells none (`x-default`), and the fields
  whose references stand alone, for they have no description (`x-alone`);
- from the pinned Go modules: what is stored when a client sends a zero (`x-zero`), and the Go names
  of scalar types, which decoding errors mention (`x-type`);
- from creating every object of `probes.yaml` (dry run): the defaults. One that depends on its
  surroundings cannot be data; it must be named in `CONDITIONAL` of
  `kaito.apiserver.builtin.defaulting`, and this program fails when a new one turns up.
"""

import json
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import yaml

from kaito.apiserver.builtin.defaulting import CONDITIONAL
from kaito.apiserver.published import zero_default
from tests.controlplane import programs
from tests.controlplane.controlplane import ControlPlane, Options

TARGET = programs.HERE.parents[1] / "src/kaito/apiserver/builtin/schemas.json"
GROUP_VERSIONS = (
    "api/v1",
    "apis/admissionregistration.k8s.io/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/apps/v1",
    "apis/authentication.k8s.io/v1",
    "apis/authorization.k8s.io/v1",
    "apis/autoscaling/v1",
    "apis/autoscaling/v2",
    "apis/batch/v1",
    "apis/coordination.k8s.io/v1",
    "apis/discovery.k8s.io/v1",
    "apis/events.k8s.io/v1",
    "apis/networking.k8s.io/v1",
    "apis/node.k8s.io/v1",
    "apis/policy/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/scheduling.k8s.io/v1",
    "apis/storage.k8s.io/v1",
)
_PREFIX = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_GO_SCALARS = {
    "string": "string",
    "boolean": "bool",
    "integer int32": "int32",
    "integer int64": "int64",
}
Json = dict[str, Any]


class Server:
    """Requests to the real server as its admin."""

    def __init__(self, plane: ControlPlane) -> None:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        address = plane.url.removeprefix("https://")
        self._connection = HTTPSConnection(address, context=trust, timeout=30)

    def close(self) -> None:
        self._connection.close()

    def ask(self, path: str, body: Json | None = None) -> Json:
        headers = {"Authorization": "Bearer admin", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        self._connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = json.loads(self._connection.getresponse().read())
        if answer.get("kind") == "Status" and answer.get("status") == "Failure":
            raise SystemExit(f"{method} {path}: {answer['message']}")
        return answer


def published(server: Server) -> dict[str, Json]:
    """Every definition of the group versions that are recorded, without prose."""
    found: dict[str, Json] = {}
    for group_version in GROUP_VERSIONS:
        document = server.ask(f"/openapi/v3/{group_version}")
        for name, schema in document["components"]["schemas"].items():
            # Two carry the kinds of their document only; they are the same everywhere else.
            kinds = found.get(name, {}).get("x-kubernetes-group-version-kind", [])
            found[name] = bare(schema)
            fields = schema.get("properties", {})
            if alone := [field for field, child in fields.items() if "$ref" in child]:
                found[name]["x-alone"] = alone
            merged = {json.dumps(kind, sort_keys=True): kind for kind in kinds}
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                merged[json.dumps(kind, sort_keys=True)] = kind
            if merged:
                found[name]["x-kubernetes-group-version-kind"] = list(merged.values())
    return found


def bare(schema: Json) -> Json:
    """Without descriptions, references as plain names; `x-default`: what is published as one."""
    out: Json = {}
    for word, value in schema.items():
        if word == "description":
            continue
        if word == "default":
            word = "x-default"
        if word == "allOf" and len(value) == 1 and "$ref" in value[0]:
            out["$ref"] = value[0]["$ref"].removeprefix(_PREFIX)
        elif word == "$ref":
            out["$ref"] = value.removeprefix(_PREFIX)
        elif word == "properties":
            out[word] = {name: bare(child) for name, child in value.items()}
        elif word in ("items", "additionalProperties") and isinstance(value, dict):
            out[word] = bare(value)
        else:
            out[word] = value
    return out


def mark_zeros(definitions: dict[str, Json]) -> None:
    """Say of every property what a zero means: see the words `keep` and `fill`."""
    run = ["go", "run", "./facts"]
    place = programs.HERE / "kubernetes"
    facts = json.loads(subprocess.run(run, cwd=place, check=True, capture_output=True).stdout)
    for name, definition in definitions.items():
        for field, schema in definition.get("properties", {}).items():
            if field in facts.get(name, {}):
                go_type, flags = facts[name][field]
                mark(schema, go_type, flags, definitions)


def forget_zeros(schema: Json, *, element: bool = False) -> None:
    """Keep the published defaults that its Go type does not tell; see `zero_default`."""
    if schema.get("x-default") == zero_default(schema, element=element):
        schema.pop("x-default", None)
    for child in schema.get("properties", {}).values():
        forget_zeros(child)
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            forget_zeros(schema[word], element=True)


def mark(schema: Json, go_type: str, flags: str, definitions: dict[str, Json]) -> None:
    """`keep`: an explicit zero is stored. `fill`: an absent value is stored as zero."""
    named = definitions.get(schema.get("$ref", ""))
    struct = named is not None
    pointer, omitted = "p" in flags, "z" in flags or ("o" in flags and not struct)
    if pointer and "items" not in schema and not (named or {}).get("properties"):
        schema["x-zero"] = "keep"
    elif not omitted and not pointer:
        schema["x-zero"] = "fill"
    plain = _GO_SCALARS.get(f"{schema.get('type')} {schema.get('format', '')}".strip())
    if plain and plain != go_type:
        schema["x-type"] = go_type


class Defaults:
    """What was filled in, and what was not, by definition and field."""

    def __init__(self, definitions: dict[str, Json]) -> None:
        self._definitions = definitions
        self.given: dict[tuple[str, str], list[Any]] = {}
        self.withheld: set[tuple[str, str]] = set()

    def compare(self, sent: Json, got: Json, name: str, *, top: bool = False) -> None:
        """Walk an object as it was sent and as it came back."""
        for field, schema in self._definitions[name].get("properties", {}).items():
            server_managed = field in ("metadata", "status") and top
            if server_managed or schema.get("$ref") == _META:
                continue
            if field in sent and field in got:
                self._below(sent[field], got[field], schema)
            elif field in got:
                self.given.setdefault((name, field), []).append(got[field])
            elif field not in sent:
                self.withheld.add((name, field))

    def _below(self, sent: Any, got: Any, schema: Json) -> None:
        name = schema.get("$ref", "")
        if isinstance(sent, dict) and isinstance(got, dict):
            if name in self._definitions:
                self.compare(sent, got, name)
        elif isinstance(sent, list) and isinstance(got, list):
            for one, other in zip(sent, got, strict=False):
                self._below(one, other, schema.get("items", {}))

    def settled(self) -> Iterator[tuple[str, str, Any]]:
        """Defaults that always apply."""
        for (name, field), values in sorted(self.given.items()):
            always = (name, field) not in self.withheld
            if (
                (name, field) not in CONDITIONAL
                and always
                and all(value == values[0] for value in values)
            ):
                yield name, field, values[0]

    def unsettled(self) -> set[tuple[str, str]]:
        return set(self.given) - {(name, field) for name, field, _ in self.settled()}


def learn_defaults(server: Server, definitions: dict[str, Json]) -> None:
    """Fill `default` of every property that the server always fills in."""
    by_kind = {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, definition in definitions.items()
        for kind in definition.get("x-kubernetes-group-version-kind", [])
        if len(definition["x-kubernetes-group-version-kind"]) == 1
    }
    paths = Paths(server)
    learned = Defaults(definitions)
    for probe in yaml.safe_load_all((programs.HERE / "probes.yaml").read_text()):
        group, _, version = probe["apiVersion"].rpartition("/")
        got = server.ask(f"{paths.of(probe)}?dryRun=All", probe)
        learned.compare(probe, got, by_kind[group, version, probe["kind"]], top=True)
    for name, field, value in learned.settled():
        schema = definitions[name]["properties"][field]
        if schema.get("x-zero") != "fill" or value not in ({}, "", 0, False, None):
            schema["default"] = value
    unknown = learned.unsettled() - CONDITIONAL
    if unknown:
        raise SystemExit(f"defaults that depend on something, unknown so far: {sorted(unknown)}")


class Paths:
    """Where objects are created."""

    def __init__(self, server: Server) -> None:
        self._places: dict[tuple[str, str], str] = {}
        for group_version in GROUP_VERSIONS:
            listed = server.ask(f"/{group_version}")
            for resource in listed["resources"]:
                if "/" not in resource["name"]:
                    scope = "namespaces/default/" if resource["namespaced"] else ""
                    path = f"/{group_version}/{scope}{resource['name']}"
                    self._places[listed["groupVersion"], resource["kind"]] = path

    def of(self, obj: Json) -> str:
        return self._places[obj["apiVersion"], obj["kind"]]


def record() -> None:
    """Start a server, ask, write the file."""
    folder = programs.find()
    if folder is None:
        sys.exit("no programs: run `make controlplane` first")
    options = Options(controllers=False, scheduler=False)
    with (
        tempfile.TemporaryDirectory() as state,
        ControlPlane(folder, Path(state), options) as plane,
    ):
        server = Server(plane)
        definitions = published(server)
        mark_zeros(definitions)
        for definition in definitions.values():
            forget_zeros(definition)
        learn_defaults(server, definitions)
        version = server.ask("/version")["gitVersion"]
    lines = [
        f"{json.dumps(name)}:{json.dumps(definitions[name], separators=(',', ':'))}"
        for name in sorted(definitions)
    ]
    body = ",\n".join(lines)
    TARGET.write_text(f'{{"version":"{version}","definitions":{{\n{body}\n}}}}\n')
    print(f"{TARGET}: {len(lines)} definitions, {TARGET.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    record()
