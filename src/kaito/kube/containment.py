"""Whether a live object already is what somebody intends it to be.

`contains(live, intent)` looks at the fields of the intent only; whatever else the live object has
came from defaulting, from admission, or from someone else, and is nobody's business here. It
decides whether a write would change anything, so it must neither miss a difference (drift stays)
nor invent one (a write at every reconcile):

- objects by field, recursively;
- lists that are maps by their keys, in any order, extra members allowed;
- lists that are sets by membership, extra members allowed;
- every other list whole: same length, same order, and each member contains the intended one, as
  defaults appear inside members too;
- quantities by amount, int-or-strings by text, everything else by its JSON value;
- an intended nothing (null, false, 0, "", [] or {}) equals an absent field, as the server drops it,
  but for the few whose presence is a choice (`emptyDir: {}`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

import msgspec

from kaito.kube import quantity
from kaito.kube.objects import Json, Record


@final
class ListKeys:
    """Which lists are maps, by which keys, and which are sets; any other list is atomic.

    Fields are named by the end of their path: `containers`, or `containers.ports` where one name
    means different lists; the longest match counts. List members add nothing to a path.
    """

    __slots__ = ("_maps", "_sets")

    def __init__(
        self, maps: Mapping[str, tuple[str, ...]] | None = None, sets: Iterable[str] = ()
    ) -> None:
        self._maps = dict(maps or {})
        self._sets = frozenset(sets)

    @classmethod
    def of_schema(cls, schema: Json) -> "ListKeys":
        """What a structural schema says by `x-kubernetes-list-type`, and the metadata of all."""
        maps, sets = dict(_METADATA_MAPS), set(_SETS)
        for path, kind, keys in _list_types(schema, ""):
            if kind == "map":
                maps[path] = keys
            elif kind == "set":
                sets.add(path)
        return cls(maps, sets)

    def map_keys(self, path: str) -> tuple[str, ...]:
        """The keys of the list at this dotted path; empty when it is no map."""
        return next((self._maps[name] for name in _endings(path) if name in self._maps), ())

    def is_set(self, path: str) -> bool:
        return any(name in self._sets for name in _endings(path))


def contains(live: Record | Json, intent: Json, keys: ListKeys | None = None) -> bool:
    """Whether applying `intent` would leave `live` as it is."""
    return next(_differences(_as_json(live, intent), intent, keys or BUILTIN), None) is None


def differences(live: Record | Json, intent: Json, keys: ListKeys | None = None) -> list[str]:
    """The paths at which `live` is not what `intent` says; no values, as they may be secret."""
    return list(_differences(_as_json(live, intent), intent, keys or BUILTIN))


_METADATA_MAPS: Mapping[str, tuple[str, ...]] = {"ownerReferences": ("uid",)}
_SETS = ("finalizers",)

# As the API types of Kubernetes 1.36 mark them (listType, listMapKey).
BUILTIN = ListKeys(
    {
        **_METADATA_MAPS,
        "conditions": ("type",),
        "status.addresses": ("type",),
        "containers": ("name",),
        "initContainers": ("name",),
        "ephemeralContainers": ("name",),
        "volumes": ("name",),
        "imagePullSecrets": ("name",),
        "secrets": ("name",),
        "hostAliases": ("ip",),
        "podIPs": ("ip",),
        "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
        "schedulingGates": ("name",),
        "resourceClaims": ("name",),
        "resources.claims": ("name",),
        "env": ("name",),
        "volumeMounts": ("mountPath",),
        "volumeDevices": ("devicePath",),
        "containers.ports": ("containerPort", "protocol"),
        "initContainers.ports": ("containerPort", "protocol"),
        "ephemeralContainers.ports": ("containerPort", "protocol"),
        "spec.ports": ("port", "protocol"),
    },
    sets=[*_SETS, "podCIDRs", "onExitCodes.values", "exitCodes.values", "endpoints.addresses"],
)
"""The lists of the built-in kinds. A CustomResource has those of its schema."""

_KEY_DEFAULTS = {"protocol": "TCP"}
"""Keys that the server fills in."""

_QUANTITY_MAPS = frozenset(
    {"limits", "requests", "capacity", "allocatable", "hard", "used", "overhead"}
)
_QUANTITIES = frozenset({"sizeLimit", "divisor"})
_INT_OR_STRINGS = frozenset({"targetPort", "port", "maxUnavailable", "maxSurge", "minAvailable"})

_CHOICES = frozenset({"emptyDir", "podSelector", "namespaceSelector"})
"""Fields that mean something by being there, though empty."""


def _as_json(live: Record | Json, intent: Json) -> Json:
    if not isinstance(live, Record):
        return live
    found: Json = {
        name: msgspec.json.decode(text) for name in intent if (text := live.raw(name)) is not None
    }
    found["apiVersion"], found["kind"] = live.api_version, live.kind
    found["metadata"] = live.meta.json()
    return found


def _differences(live: Any, intent: Any, keys: ListKeys) -> Iterator[str]:
    return _compare(live, intent, keys, "", "")


def _compare(live: Any, intent: Any, keys: ListKeys, path: str, where: str) -> Iterator[str]:
    """`path` names the field for the tables, `where` the place for people."""
    if not intent:
        yield from _compare_empty(live, intent, keys, path, where)
    elif isinstance(intent, dict):
        if live is None:
            live = {}
        if not isinstance(live, dict):
            yield where
            return
        for name, value in intent.items():
            inner = f"{path}.{name}" if path else name
            yield from _compare(live.get(name), value, keys, inner, _step(where, name))
    elif isinstance(intent, list):
        yield from _compare_list(live, intent, keys, path, where)
    elif not _same(live, intent, path):
        yield where


def _compare_empty(live: Any, intent: Any, keys: ListKeys, path: str, where: str) -> Iterator[str]:
    """An empty map, map-list or set asks for nothing; any other nothing asks for nothing there."""
    if live is None and intent == {} and path.rpartition(".")[2] in _CHOICES:
        yield where
        return
    if not live and (live is None or isinstance(live, bool) == isinstance(intent, bool)):
        return
    if isinstance(intent, dict) and isinstance(live, dict):
        return
    if isinstance(intent, list) and isinstance(live, list):
        if keys.map_keys(path) or keys.is_set(path):
            return
    elif _same(live, intent, path):
        return
    yield where


def _compare_list(
    live: Any, intent: list[Any], keys: ListKeys, path: str, where: str
) -> Iterator[str]:
    if not isinstance(live, list):
        yield where
    elif keys.is_set(path):
        yield from (where for value in intent if value not in live)
    elif (names := keys.map_keys(path)) and all(_has(member, names) for member in intent):
        yield from _compare_members(live, intent, names, keys, path, where)
    elif len(live) != len(intent):
        yield where
    else:
        for index, (found, value) in enumerate(zip(live, intent, strict=True)):
            yield from _compare(found, value, keys, path, f"{where}[{index}]")


def _compare_members(
    live: list[Any],
    intent: list[Any],
    names: tuple[str, ...],
    keys: ListKeys,
    path: str,
    where: str,
) -> Iterator[str]:
    found = {_key(member, names): member for member in reversed(live) if _has(member, names)}
    for member in intent:
        key = _key(member, names)
        shown = ",".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
        place = f"{where}[{shown}]"
        if key in found:
            yield from _compare(found[key], member, keys, path, place)
        else:
            yield place


def _has(member: Any, names: tuple[str, ...]) -> bool:
    return isinstance(member, dict) and all(
        isinstance(member.get(name, _KEY_DEFAULTS.get(name)), str | int | float) for name in names
    )


def _key(member: Json, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(member.get(name, _KEY_DEFAULTS.get(name)) for name in names)


def _same(live: Any, intent: Any, path: str) -> bool:
    """Two scalars. In JSON, unlike in Python, `true` is not 1."""
    if type(live) is type(intent) and live == intent:
        return True
    if isinstance(live, bool) or isinstance(intent, bool) or live is None or intent is None:
        return False
    *_, outer, name = ("", *path.split("."))
    if name in _INT_OR_STRINGS and str(live) == str(intent):
        return True
    if name in _QUANTITIES or _in_quantity_map(path) or outer == "emptyDir":
        return _same_amount(live, intent)
    both_numbers = isinstance(live, int | float) and isinstance(intent, int | float)
    return both_numbers and bool(live == intent)


def _in_quantity_map(path: str) -> bool:
    """Names of resources may hold dots themselves (`nvidia.com/gpu`)."""
    head, _, _ = path.partition("/")
    return not _QUANTITY_MAPS.isdisjoint(head.split(".")[:-1])


def _same_amount(live: Any, intent: Any) -> bool:
    try:
        return quantity.equal(live, intent)
    except (quantity.InvalidQuantity, TypeError):
        return False


def _step(where: str, name: str) -> str:
    if not where:
        return name
    plain = name.replace("_", "").replace("-", "").isalnum()
    return f"{where}.{name}" if plain else f"{where}[{name!r}]"


def _endings(path: str) -> Iterator[str]:
    """The path itself, and ever shorter ends of it."""
    yield path
    while "." in path:
        _, _, path = path.partition(".")
        yield path


def _list_types(schema: Any, path: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if not isinstance(schema, dict):
        return
    kind = schema.get("x-kubernetes-list-type")
    if kind:
        yield path, kind, tuple(schema.get("x-kubernetes-list-map-keys") or ())
    yield from _list_types(schema.get("items"), path)
    for name, inner in (schema.get("properties") or {}).items():
        yield from _list_types(inner, f"{path}.{name}" if path else name)
