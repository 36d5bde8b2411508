"""The paths of OpenAPI: what may be asked of each kind, and what is answered.

Written as OpenAPI v3 has it; `as_v2` says the same in the words of v2.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, final

from kaito.apiserver.builtin.library import META_TYPES
from kaito.apiserver.kinds import Kind
from kaito.apiserver.options import APPLY_PATCH
from kaito.apiserver.patching import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from kaito.kube.objects import Json

PATCH: Final = f"{META_TYPES}Patch"
STATUS: Final = f"{META_TYPES}Status"
DELETE_OPTIONS: Final = f"{META_TYPES}DeleteOptions"
SCALE: Final = "io.k8s.api.autoscaling.v1.Scale"
V2: Final = "#/definitions/"
V3: Final = "#/components/schemas/"

_PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_TEXTS: Final = ("application/json", "application/yaml")
_PLAIN: Final = (*_TEXTS, _PROTOBUF)
_STREAMS: Final = (*_PLAIN, "application/json;stream=watch", f"{_PROTOBUF};stream=watch")
_PATCHES: Final = (APPLY_PATCH, JSON_PATCH, MERGE_PATCH)
# Of v2, where clients take the first: what the real server lists first.
_PATCHES_V2: Final = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
_WRITES: Final = ("dryRun", "fieldManager", "fieldValidation")
_SELECTS: Final = ("continue", "fieldSelector", "labelSelector", "limit")
_READS: Final = (
    *("resourceVersion", "resourceVersionMatch", "sendInitialEvents", "shardSelector"),
    "timeoutSeconds",
)
_LISTS: Final = ("allowWatchBookmarks", *_SELECTS, *_READS, "watch")
_DELETES: Final = (
    *("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential"),
    *("orphanDependents", "propagationPolicy"),
)
_TYPES: Final = {
    **dict.fromkeys(("limit", "timeoutSeconds", "gracePeriodSeconds"), "integer"),
    **dict.fromkeys(("allowWatchBookmarks", "sendInitialEvents", "watch", "force"), "boolean"),
    **dict.fromkeys(_DELETES[2:4], "boolean"),
}
"""Of parameters that are no strings."""
_CODES: Final = {"200": "OK", "201": "Created", "202": "Accepted", "401": "Unauthorized"}


@final
@dataclass(frozen=True, slots=True)
class _Place:
    """Something that a path leads to."""

    path: str
    kind: Kind
    body: str
    """The name of the definition that is read and written there."""
    part: str = ""
    everywhere: bool = False
    """Of all namespaces."""

    @property
    def scope(self) -> str:
        return "Namespaced" if self.kind.resource.namespaced and not self.everywhere else ""


def paths(kind: Kind, name: str, list_name: str) -> Json:
    """Path -> operations, for the collection, the object, its `status` and its `scale`.

    `name` and `list_name` are those of the definitions of the kind and of its list.
    """
    resource = kind.resource
    collection = resource.path("{namespace}" if resource.namespaced else "")
    whole = _Place(f"{collection}/{{name}}", kind, name)
    found = {
        collection: _collection(_Place(collection, kind, name), list_name),
        whole.path: _object(whole),
    }
    if resource.namespaced and "list" in kind.verbs:
        everywhere = _Place(resource.path(), kind, name, everywhere=True)
        found[everywhere.path] = {"get": _list(everywhere, list_name)}
    for part, body in (("status", name), ("scale", SCALE)):
        if part in kind.subresources:
            place = _Place(f"{whole.path}/{part}", kind, body, part)
            found[place.path] = _part(place)
    return {path: _shared(operations) for path, operations in found.items() if operations}


def _collection(place: _Place, list_name: str) -> Json:
    found: Json = {}
    if "list" in place.kind.verbs:
        found["get"] = _list(place, list_name)
    if "create" in place.kind.verbs:
        found["post"] = _operation(place, "create", (200, 201, 202), _WRITES, place.body)
    if "deletecollection" in place.kind.verbs:
        custom = place.kind.custom
        names = _LISTS if custom else tuple(sorted({*_SELECTS, *_READS, *_DELETES}))
        taken = "" if custom else DELETE_OPTIONS
        found["delete"] = _operation(
            place, "deletecollection", (200,), names, taken, answer=STATUS, may_lack=True
        )
    return found


def _list(place: _Place, list_name: str) -> Json:
    return _operation(place, "list", (200,), _LISTS, answer=list_name)


def _object(place: _Place) -> Json:
    found = _part(place)
    if "delete" in place.kind.verbs:
        strategy = place.kind.strategy
        # What only starts to go is answered too, and not told.
        whole = strategy.returns_deleted and strategy.terminate is None
        answer = place.body if whole else STATUS
        found["delete"] = _operation(
            place, "delete", (200, 202), _DELETES, DELETE_OPTIONS, answer=answer, may_lack=True
        )
    return found


def _part(place: _Place) -> Json:
    """What may be asked of one object, or of a part of one."""
    found: Json = {}
    verbs, custom = place.kind.verbs, place.kind.custom
    if "get" in verbs:
        names = ("resourceVersion",) if custom else ()
        found["get"] = _operation(place, "get", (200,), names)
    if "update" in verbs:
        found["put"] = _operation(place, "put", (200, 201), _WRITES, place.body)
    if "patch" in verbs:
        codes = (200,) if custom else (200, 201)
        found["patch"] = _operation(place, "patch", codes, (*_WRITES, "force"), PATCH)
    return found


def _operation(
    place: _Place,
    action: str,
    codes: tuple[int, ...],
    names: Iterable[str],
    taken: str = "",
    *,
    answer: str = "",
    may_lack: bool = False,
) -> Json:
    """`taken`: the definition of the body; `may_lack`: a request may come without."""
    verb, words, tag = _called(place, action)
    media = _answers(place.kind, listed=action == "list")
    answered = {"content": _content(answer or place.body, media)}
    in_path = [name for name in ("name", "namespace") if f"{{{name}}}" in place.path]
    operation: Json = {
        "description": words,
        "operationId": verb,
        "parameters": [_parameter(name) for name in sorted([*names, *in_path, "pretty"])],
        "responses": {
            **{f"{code}": {"description": _CODES[f"{code}"], **answered} for code in codes},
            "401": {"description": _CODES["401"]},
        },
        "tags": [tag],
        "x-kubernetes-action": "post" if action == "create" else action,
        "x-kubernetes-group-version-kind": _taken_kind(place),
    }
    if taken:
        operation["requestBody"] = {"content": _content(taken, _bodies(place.kind, action))}
        if not may_lack:
            operation["requestBody"]["required"] = True
    return operation


def _taken_kind(place: _Place) -> Json:
    """A scale of a built-in kind is of its own kind; of a custom one it is told as its parent."""
    if place.part == "scale" and not place.kind.custom:
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    resource = place.kind.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


_VERBS: Final = {"get": "read", "put": "replace", "deletecollection": "delete"}
_WORDS: Final = {
    "list": "list {watched}objects of kind {kind}",
    "create": "create {article} {kind}",
    "delete": "delete {article} {kind}",
    "deletecollection": "delete collection of {kind}",
    "get": "read {part}the specified {kind}",
    "put": "replace {part}the specified {kind}",
    "patch": "partially update {part}the specified {kind}",
}


def _called(place: _Place, action: str) -> tuple[str, str, str]:
    """The operation's id, what it does, and the tag of its group and version."""
    resource = place.kind.resource
    words = _WORDS[action].format(
        watched="" if place.kind.custom else "or watch ",
        article="an" if resource.kind[0].lower() in "aeiou" else "a",
        kind=resource.kind,
        part=f"{place.part} of " if place.part else "",
    )
    group = (resource.group or "core").removesuffix(".k8s.io")
    rest = f"{place.scope}{resource.kind}{place.part.capitalize()}"
    if action == "deletecollection":
        rest = f"Collection{rest}"
    rest += "ForAllNamespaces" if place.everywhere else ""
    parts = "".join(_camel(text, capital=True) for text in (group, resource.version, rest))
    verb = _VERBS.get(action, action)
    tag = f"{_camel(group, capital=False)}_{_camel(resource.version, capital=False)}"
    return f"{verb}{parts}", words, tag


def _camel(text: str, *, capital: bool) -> str:
    """Letters, digits (but not first) and underscores; what follows anything else is capital."""
    out = ""
    for index, char in enumerate(text):
        if char.isalpha() or char == "_" or (index and char.isdigit()):
            out += char.upper() if capital else char
            capital = False
        else:
            capital = True
    return out


def _answers(kind: Kind, *, listed: bool) -> tuple[str, ...]:
    if kind.custom:
        return _TEXTS
    return _STREAMS if listed and "watch" in kind.verbs else _PLAIN


def _bodies(kind: Kind, action: str) -> tuple[str, ...]:
    if action == "patch":
        return _PATCHES if kind.custom else (*_PATCHES, STRATEGIC_PATCH)
    return _TEXTS if kind.custom else ("*/*",)


def _parameter(name: str) -> Json:
    schema = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
    if name in ("name", "namespace"):
        return {"name": name, "in": "path", "required": True, "schema": schema}
    return {"name": name, "in": "query", "schema": schema}


def _content(name: str, media: Iterable[str]) -> Json:
    return {one: {"schema": {"$ref": V3 + name}} for one in media}


def _shared(operations: Json) -> Json:
    """With the parameters that all operations take told once, beside them."""
    told = [operation["parameters"] for operation in operations.values()]
    common = [one for one in told[0] if all(one in other for other in told)]
    for operation in operations.values():
        left = [one for one in operation.pop("parameters") if one not in common]
        if left:
            operation["parameters"] = left
    return {**operations, "parameters": common}


# ---- in the words of v2


def as_v2(item: Json) -> Json:
    """The operations of a path."""
    return {
        method: _parameters_v2(found) if method == "parameters" else _operation_v2(found)
        for method, found in item.items()
    }


def _operation_v2(operation: Json) -> Json:
    body = operation.get("requestBody")
    parameters = _parameters_v2(operation.get("parameters", ()))
    consumes = list(_TEXTS) if tuple(_media(operation)) == _TEXTS else ["*/*"]
    if body is not None:
        parameters.insert(0, _body_v2(body))
        consumes = list(body["content"])
    if STRATEGIC_PATCH in consumes or JSON_PATCH in consumes:
        consumes = [media for media in _PATCHES_V2 if media in consumes]
    out = {word: found for word, found in operation.items() if word not in _RESHAPED}
    return {
        **out,
        "consumes": consumes,
        "produces": list(dict.fromkeys(_media(operation))),
        **({"parameters": parameters} if parameters else {}),
        "responses": {code: _response_v2(one) for code, one in operation["responses"].items()},
        "schemes": ["https"],
    }


_RESHAPED: Final = frozenset({"requestBody", "parameters", "responses"})


def _media(operation: Json) -> Iterator[str]:
    yield from operation["responses"]["200"]["content"]


def _parameters_v2(parameters: Iterable[Json]) -> list[Json]:
    return [
        {**{word: said for word, said in one.items() if word != "schema"}, **one["schema"]}
        for one in parameters
    ]


def _body_v2(body: Json) -> Json:
    required = {"required": True} if body.get("required") else {}
    return {"name": "body", "in": "body", **required, "schema": _schema_v2(body)}


def _response_v2(response: Json) -> Json:
    schema = {"schema": _schema_v2(response)} if "content" in response else {}
    return {"description": response["description"], **schema}


def _schema_v2(holder: Json) -> Json:
    found: Any = next(iter(holder["content"].values()))["schema"]["$ref"]
    return {"$ref": found.replace(V3, V2)}
