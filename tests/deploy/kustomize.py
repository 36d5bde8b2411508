"""As much of kustomize as `deploy/` uses, so that tests do not depend on a kubectl."""

from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]


def build(folder: Path) -> list[Json]:
    """The documents of a folder, patched; generated ConfigMaps keep their plain name."""
    (kustomization,) = _documents(folder / "kustomization.yaml")
    found: list[Json] = []
    for name in kustomization.get("resources", ()):
        target = folder / name
        found += build(target) if target.is_dir() else _documents(target)
    for generator in kustomization.get("configMapGenerator", ()):
        meta = {"name": generator["name"], "namespace": generator["namespace"]}
        found.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    for patch in kustomization.get("patches", ()):
        for document in _documents(folder / patch["path"]):
            (target,) = [one for one in found if _name(one) == _name(document)]
            _merge(target, document)
    return found


def _documents(path: Path) -> list[Json]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def _name(document: Json) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def _merge(target: Json, patch: Json) -> None:
    """A strategic merge: lists of named things by name, other lists replaced."""
    for key, value in patch.items():
        old = target.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value)
        elif _named(value) and _named(old):
            by_name = {one["name"]: one for one in old}
            for one in value:
                if one["name"] in by_name:
                    _merge(by_name[one["name"]], one)
                else:
                    old.append(one)
        else:
            target[key] = value


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and "name" in one for one in value)
    )
