"""What large documents say about one group: OpenAPI, and discovery of everything.

Prose is left out: this server has none of the real one's.
"""

from typing import Any

Json = dict[str, Any]

_HEAD = ("apiVersion", "kind", "metadata", "items")
_SHARED = "#/parameters/"


def about(document: Any, word: str) -> Any:
    """Paths, definitions and groups whose names contain `word`, and what is said of all."""
    if not isinstance(document, dict):
        return document
    kept = {name: part for name, part in document.items() if name not in ("parameters", "items")}
    for name in ("paths", "definitions"):
        if name in kept:
            kept[name] = _named(kept[name], word)
    if "components" in kept:
        kept["components"] = {"schemas": _named(kept["components"]["schemas"], word)}
    if "items" in document:
        kept["items"] = [i for i in document["items"] if word in i["metadata"].get("name", "")]
    kept.pop("security", None)
    kept.pop("securityDefinitions", None)
    return plain(kept, document.get("parameters", {}))


def _named(parts: Json, word: str) -> Json:
    return {name: part for name, part in parts.items() if word in name}


def plain(value: Any, shared: Json) -> Any:
    """Without prose; parameters that v2 refers to are put in place."""
    if isinstance(value, list):
        return [plain(item, shared) for item in value]
    if not isinstance(value, dict):
        return value
    target = value.get("$ref")
    if isinstance(target, str) and target.startswith(_SHARED):
        value = shared[target.removeprefix(_SHARED)]
    if "in" in value and "name" in value:
        value = {word: said for word, said in value.items() if word != "description"}
    out = {word: plain(said, shared) for word, said in value.items()}
    if isinstance(out.get("properties"), dict):
        for name in _HEAD:
            if isinstance(out["properties"].get(name), dict):
                out["properties"][name].pop("description", None)
    return out
