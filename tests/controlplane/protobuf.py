"""Record how built-in kinds look as protobuf: `python -m tests.controlplane.protobuf`.

Writes `src/kaito/apiserver/builtin/protobuf.json`, one message a line, facts only: field numbers,
JSON names and types from the `generated.proto` files of the pinned Go modules; from `types.go`
beside them, which messages are inlined in JSON and which zeros are worth keeping.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.controlplane import programs

TARGET = programs.HERE.parents[1] / "src/kaito/apiserver/builtin/protobuf.json"
PACKAGES = {
    "k8s.io/api": (
        "admissionregistration/v1",
        "apps/v1",
        "authentication/v1",
        "authorization/v1",
        "autoscaling/v1",
        "batch/v1",
        "coordination/v1",
        "core/v1",
        "discovery/v1",
        "events/v1",
        "policy/v1",
        "rbac/v1",
        "scheduling/v1",
        "storage/v1",
    ),
    "k8s.io/apiextensions-apiserver": ("pkg/apis/apiextensions/v1",),
    "k8s.io/apimachinery": (
        "pkg/apis/meta/v1",
        "pkg/api/resource",
        "pkg/runtime",
        "pkg/util/intstr",
    ),
}
_SCALARS = frozenset({"string", "bool", "int32", "int64", "bytes", "double"})
_FIELD = re.compile(
    r"^\s*(?:(?P<label>optional|repeated|required)\s+(?P<type>[\w.]+)|map<\w+,\s*(?P<value>[\w.]+)>)"
    r"\s+(?P<name>\w+)\s*=\s*(?P<number>\d+);"
)
_GO_FIELD = re.compile(
    r'^\s*(?:(?P<name>\w+)\s+)?(?P<type>[*\[\]\w.]+)\s+`json:"(?P<json>[^"]*)"(?P<rest>.*)`'
)
Field = tuple[str, str, str]


def folders() -> Iterator[Path]:
    """Where the pinned modules' sources are."""
    for module, packages in PACKAGES.items():
        found = subprocess.run(
            ["go", "list", "-m", "-f", "{{.Dir}}", module],
            cwd=programs.HERE / "kubernetes",
            check=True,
            capture_output=True,
            text=True,
        )
        for package in packages:
            yield Path(found.stdout.strip()) / package


def messages(folder: Path) -> dict[str, dict[str, Field]]:
    """Every message of one package: number -> (JSON name, type, flags).

    Flags: `r` repeated, `m` map (the type is the values'), `i` inlined, `z` zeros are kept.
    """
    flags = go_flags(folder)
    found: dict[str, dict[str, Field]] = {}
    package = current = ""
    for line in (folder / "generated.proto").read_text().splitlines():
        if line.startswith("package "):
            package = line.split()[1].rstrip(";")
        elif line.startswith("message "):
            current = line.split()[1]
            found[f"{package}.{current}"] = {}
        elif current and (match := _FIELD.match(line)):
            name = match["name"]
            kind = match["type"] or match["value"]
            if kind not in _SCALARS:
                kind = kind.lstrip(".") if "." in kind else f"{package}.{kind}"
            flag = "m" if match["value"] else "r" if match["label"] == "repeated" else ""
            spelled, more = flags.get((current, name.lower()), (name, ""))
            name, flag = spelled, flag + more
            found[f"{package}.{current}"][match["number"]] = (name, kind, flag)
    return found


def go_flags(folder: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """(message, lower-case protobuf name) -> JSON name, and flags `i` and `z`."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for path in folder.glob("*.go"):
        current = ""
        for line in path.read_text().splitlines():
            if start := re.match(r"type (\w+) struct", line):
                current = start[1]
            elif line.startswith("}"):
                current = ""
            elif current and (match := _GO_FIELD.match(line)):
                name, _, options = match["json"].partition(",")
                named = re.search(r"name=(\w+)", match["rest"])
                inline = "inline" in options
                proto = named[1] if named else name or match["type"].rpartition(".")[2]
                kept = match["type"].startswith("*") or "omitempty" not in options
                flag = "i" if inline else "z" if kept else ""
                found[current, proto.lower()] = (proto if inline else name, flag)
    return found


def reachable(every: dict[str, dict[str, Field]]) -> set[str]:
    """What any top-level kind can contain: kinds are messages that begin with metadata."""
    todo = [
        name
        for name, fields in every.items()
        if fields.get("1", ("",))[0] == "metadata" and not name.endswith("List")
    ]
    todo += [name for name in every if name.endswith((".DeleteOptions", ".Scale", ".Eviction"))]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen or name not in every:
            continue
        seen.add(name)
        todo += [kind for _, kind, _ in every[name].values()]
    return seen


def main() -> None:
    every: dict[str, dict[str, Field]] = {}
    for folder in folders():
        every |= messages(folder)
    kept = sorted(reachable(every))
    lines = [
        f"{json.dumps(name)}:{json.dumps(every[name], separators=(',', ':'))}" for name in kept
    ]
    TARGET.write_text("{" + ",\n".join(lines).replace("k8s.io.", "") + "}\n")
    print(f"{len(kept)} messages, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
