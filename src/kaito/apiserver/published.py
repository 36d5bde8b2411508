"""Definitions of OpenAPI: the schemas of kinds as clients are shown them.

Built-in kinds carry what was recorded of a real server, without prose; custom kinds what their
definition says. References are plain names until `referred` completes them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from kaito.apiserver.builtin.library import META_TYPES, MICRO_TIME, OBJECT_META, TIME, library
from kaito.apiserver.kinds import Kind
from kaito.apiserver.operations import V3
from kaito.kube.objects import Json

_LIST_META: Final = f"{META_TYPES}ListMeta"
_OWN_WORDS: Final = frozenset({"x-zero", "x-type", "x-default", "default"})
_ALONE: Final = "x-alone"
_ZEROS: Final[Json] = {"string": "", "integer": 0, "number": 0, "boolean": False}
_NO_ZERO: Final = frozenset({TIME, MICRO_TIME, "io.k8s.apimachinery.pkg.runtime.RawExtension"})
_EMBEDDED: Final = "x-kubernetes-embedded-resource"
_FREE: Final = "x-kubernetes-preserve-unknown-fields"
_EITHER: Final = "x-kubernetes-int-or-string"
_GVK: Final = "x-kubernetes-group-version-kind"
_SELECTABLE: Final = "x-kubernetes-selectable-fields"
_API_VERSION: Final = "The version of the schema that this object is written in."
_KIND: Final = "What this object is; it never changes."
# What OpenAPI v2 cannot say, and kubectl would stumble over.
_NOT_IN_V2: Final = frozenset({"oneOf", "anyOf", "allOf", "not", "nullable", "default"})
_TYPE_META: Final = ("kind", "apiVersion")
_SHAPE: Final = frozenset({"type", "items", "properties", "additionalProperties"})


def name_of(kind: Kind) -> str:
    """A custom kind's definition: the reversed group, the version and the kind."""
    resource = kind.resource
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def list_name_of(kind: Kind) -> str:
    """A custom kind's list."""
    return f"{name_of(kind).removesuffix(kind.resource.kind)}{kind.list_kind}"


def unknown(kind: Kind) -> Json:
    """A kind of which no schema is known."""
    return {"type": "object", _GVK: [gvk(kind)]}


def gvk(kind: Kind) -> Json:
    resource = kind.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def custom(kind: Kind, raw: Json) -> Json:
    """A custom kind's definition, with the head that every object has."""
    made: Json = _complete(raw)
    made["properties"] = {**(made.get("properties") or {}), **_head()}
    return {**made, _GVK: [gvk(kind)], **_selectable(kind)}


def custom_list(kind: Kind) -> Json:
    """The definition of its list."""
    name = name_of(kind)
    return {
        "description": f"{kind.list_kind} is a list of {kind.resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_head(_LIST_META, "Standard list metadata."),
            "items": {"type": "array", "items": {"$ref": name}},
        },
        _GVK: [{**gvk(kind), "kind": kind.list_kind}],
        **_selectable(kind),
    }


def _head(metadata: str = OBJECT_META, words: str = "Standard object's metadata.") -> Json:
    return {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
        "metadata": {"$ref": metadata, "description": words},
    }


def _selectable(kind: Kind) -> Json:
    found = [{"fieldPath": path} for path in kind.strategy.fields]
    return {_SELECTABLE: found} if found else {}


def _complete(raw: Json) -> Json:
    """With what `x-kubernetes` words stand for: both types, and the head of an embedded object."""
    out = {**raw, **_below(raw, _complete)}
    if out.get(_EITHER) and not out.get("anyOf") and not _branched(out):
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if out.get(_EMBEDDED):
        required = list(out.get("required") or ())
        out["properties"] = {**(out.get("properties") or {}), **_head()}
        out["required"] = [
            *required,
            *(name for name in _TYPE_META if name not in required),
        ]
    return out


def _branched(raw: Json) -> bool:
    """Whether a schema spells out both types below `allOf`."""
    return any(branch.get("anyOf") for branch in raw.get("allOf") or ())


def _below(raw: Json, change: Any) -> Json:
    """The words of a schema that hold schemas, changed."""
    out: Json = {}
    if isinstance(raw.get("properties"), dict):
        out["properties"] = {name: change(child) for name, child in raw["properties"].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(raw.get(word), dict):
            out[word] = change(raw[word])
    return out


# ---- recorded definitions


def closure(names: Iterable[str]) -> set[str]:
    """The recorded definitions that these need, themselves included."""
    known = library()
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found and known.has(name):
            found.add(name)
            left += references(known.raw(name))
    return found


def references(schema: Any) -> Iterator[str]:
    """What the references in anything name."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(V3)
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def recorded(name: str) -> Json:
    """A recorded definition without what is only for this server."""
    return _published(library().raw(name))


def _published(raw: Json, *, element: bool = False) -> Json:
    out = {word: said for word, said in raw.items() if word not in _OWN_WORDS}
    if isinstance(raw.get("properties"), dict):
        out["properties"] = {n: _published(child) for n, child in raw["properties"].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(raw.get(word), dict):
            out[word] = _published(raw[word], element=True)
    default = raw.get("x-default", zero_default(raw, element=element))
    return out if default is None else {**out, "default": default}


def zero_default(raw: Json, *, element: bool = False) -> Any:
    """The default that is published of what Go has no way to leave out; None: none is.

    `element`: of a list or a map.
    """
    if not element and raw.get("x-zero") != "fill":
        return None
    target = raw.get("$ref")
    if target is None:
        return None if raw.get("format") == "byte" else _ZEROS.get(raw.get("type", ""))
    shape = library().raw(target) if library().has(target) else {}
    return {} if shape.get("type") == "object" and target not in _NO_ZERO else None


# ---- references, and the words of v2


def referred(schema: Any, prefix: str) -> Any:
    """With whole references; OpenAPI v3 allows nothing beside one, so it is wrapped there."""
    if isinstance(schema, list):
        return [referred(value, prefix) for value in schema]
    if not isinstance(schema, dict):
        return schema
    out: Json = {}
    for word, value in schema.items():
        if word == "properties" and isinstance(value, dict):
            out[word] = {
                name: _property(child, prefix, alone=name in schema.get(_ALONE, ()))
                for name, child in value.items()
            }
        elif word == _ALONE:
            continue
        elif word in ("default", "example", "enum"):
            out[word] = value
        else:
            out[word] = referred(value, prefix)
    target = out.get("$ref")
    if isinstance(target, str) and not target.startswith("#"):
        out["$ref"] = prefix + target
        if prefix == V3 and len(out) > 1:
            _wrap(out)
    return out


def _property(schema: Json, prefix: str, *, alone: bool) -> Any:
    """Most are described, though not here, so their references are wrapped."""
    out = referred(schema, prefix)
    if "$ref" in out and prefix == V3 and not alone:
        _wrap(out)
    return out


def _wrap(schema: Json) -> None:
    schema["allOf"] = [{"$ref": schema.pop("$ref")}]


def in_v2(schema: Any, *, root: bool = True) -> Any:
    """What v2 can say of a definition. What may be null, or anything, has no type there."""
    if schema.get(_FREE) and root:
        return {word: said for word, said in schema.items() if word in ("type", _GVK)}
    out = {word: said for word, said in schema.items() if word not in _NOT_IN_V2}
    if schema.get(_FREE) or schema.get("nullable") or schema.get(_EITHER):
        out = {word: said for word, said in out.items() if word not in _SHAPE}
    elif schema.get("oneOf") and not schema.get("type"):
        out["type"] = "string"  # a quantity, or what is a number too
    if schema.get(_FREE) and schema.get(_EMBEDDED):
        out["required"] = [name for name in out["required"] if name not in _TYPE_META]
        if not out["required"]:
            del out["required"]
    nullable = {n for n, child in (schema.get("properties") or {}).items() if child.get("nullable")}
    if nullable & set(out.get("required") or ()):
        out["required"] = [name for name in out["required"] if name not in nullable]
        if not out["required"]:
            del out["required"]
    return {**out, **_below(out, lambda child: in_v2(child, root=False))}
