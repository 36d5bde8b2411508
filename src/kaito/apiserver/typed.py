"""JSON values seen through their schema: which fields they set, how two differ, how two merge.

The rules are those of server-side apply: maps are granular unless the schema says atomic, lists
are atomic unless it says `set` or `map` (or, for older built-in kinds, gives them a merge key), and
what no schema describes is a granular map, an atomic list or a scalar.
"""

from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from typing import Any, Final, final

from kaito.apiserver import fieldsets, goprint
from kaito.apiserver.builtin.library import OBJECT_META, QUANTITY, library
from kaito.apiserver.builtin.zeros import zero
from kaito.apiserver.fieldsets import FieldSet, Path
from kaito.kube.objects import Json
from kaito.kube.schema.fields import MISSING
from kaito.kube.schema.structural import Schema

ANYTHING: Final = Schema({"x-kubernetes-preserve-unknown-fields": True})
_RAW_EXTENSION: Final = "io.k8s.apimachinery.pkg.runtime.RawExtension"
_MERGED: Final = frozenset({"merge", "merge,retainKeys"})


class Unfit(Exception):
    """The value does not fit its schema. The message tells where."""


@final
class Type:
    """A schema where it stands: below a field that preserves unknown fields, unknown is fine.

    What it is asked is found out once: a kind's Type is kept, and its members with it.
    """

    def __init__(self, schema: Schema, free: bool = False) -> None:
        self.schema = schema
        self.free = free
        self.is_free = free or schema.preserves_unknown
        self._fields: dict[str, Type] = {}

    @cached_property
    def atomic_map(self) -> bool:
        return self.schema.map_type == "atomic" or self.schema.name == _RAW_EXTENSION

    @cached_property
    def list_keys(self) -> tuple[str, ...] | None:
        """The keys of a keyed list; none for a set; None for an atomic list."""
        raw, schema = self.schema.raw, self.schema
        if "x-kubernetes-list-type" in raw:
            if schema.list_type == "map":
                return schema.list_map_keys
            return () if schema.list_type == "set" else None
        if raw.get("x-kubernetes-patch-strategy") in _MERGED:
            merge_key = raw.get("x-kubernetes-patch-merge-key")
            return (merge_key,) if merge_key else ()
        return None

    def declares(self, name: str) -> bool:
        """Whether the schema names this field (a key of a free map it does not)."""
        return name in self.schema.properties or self._of_resource(name)

    def _of_resource(self, name: str) -> bool:
        return self.schema.embedded and name in ("apiVersion", "kind", "metadata")

    def of_field(self, name: str) -> "Type | None":
        """The type of a member; None when the schema does not allow it."""
        found = self._fields.get(name)
        if found is None:
            found = self._of_field(name)
            if found is not None and name in self.schema.properties:  # a map has no end of names
                self._fields[name] = found
        return found

    def _of_field(self, name: str) -> "Type | None":
        schema = self.schema
        if self._of_resource(name):
            return _object_meta() if name == "metadata" else UNKNOWN
        child = schema.properties.get(name)
        if child is not None:
            return Type(child, self.is_free)
        if schema.additional is not None:
            return self._of_value
        return UNKNOWN if self.is_free or not schema.properties else None

    @cached_property
    def _of_value(self) -> "Type":
        """Of every member of a map."""
        return Type(self.schema.additional or ANYTHING, self.is_free)

    @cached_property
    def of_item(self) -> "Type":
        return Type(self.schema.items or ANYTHING, self.is_free)

    def element(self, item: Any, keys: tuple[str, ...]) -> str:
        """The path element of a list item. Raises Unfit for one that cannot be told apart."""
        if not keys:
            return _set_element(item)
        if not isinstance(item, dict):
            raise Unfit("associative list with keys may not have non-map elements")
        found = {}
        items = self.schema.items
        for name in sorted(keys):
            if name in item:
                found[name] = item[name]
            elif items is not None and name in items.properties:
                default = _key_default(items.properties[name])
                if default is not None:
                    found[name] = default
        if not found:
            listed = " ".join(f'"{name}"' for name in keys)
            raise Unfit(
                "associative list with keys has an element that omits all key fields "
                f"[{listed}] (and doesn't have default values for any key fields)"
            )
        return fieldsets.key(found)


UNKNOWN: Final = Type(ANYTHING)
"""Of what no schema describes."""


@cache
def _object_meta() -> Type:
    return Type(library().definition(OBJECT_META))


def _set_element(item: Any) -> str:
    if isinstance(item, dict):
        raise Unfit("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise Unfit("not supported: associative list with lists as elements")
    if item is None:
        raise Unfit("associative list without keys has an element that's an explicit null")
    return fieldsets.value(item)


def _key_default(schema: Schema) -> Any:
    """What an item that does not say its key is taken to say."""
    if schema.has_default:
        return schema.new_default()
    return zero(schema) if schema.raw.get("x-zero") == "fill" else None


def member(type_: Type, name: str, path: Path) -> Type:
    """The type of a member. Raises Unfit when there is none."""
    found = type_.of_field(name)
    if found is None:
        raise Unfit(
            f"{fieldsets.dotted((*path, fieldsets.field(name)))}: field not declared in schema"
        )
    return found


def check(value: Any, type_: Type) -> None:
    """Raise Unfit unless the value can be applied: known fields, right shapes, no duplicates."""
    found = [str(misfit) for misfit in _misfits(value, type_, ())]
    if len(found) == 1:
        raise Unfit(found[0])
    if found:
        raise Unfit("\n  ".join(("errors:", *found)))


def _misfits(value: Any, type_: Type, path: Path) -> Iterator[Unfit]:
    schema = type_.schema
    if isinstance(value, dict):
        if schema.type not in ("", "object") and schema.name != QUANTITY:
            yield _wrong(path, _EXPECTED[schema.type], value)
            return
        for name, item in value.items():
            if item is not None:
                yield from _member_misfits(item, name, type_, path)
    elif isinstance(value, list):
        if schema.type and schema.type != "array":
            yield _wrong(path, _EXPECTED[schema.type], value)
            return
        yield from _item_misfits(value, type_, path)
    elif value is not None and schema.name != QUANTITY:
        expected = _EXPECTED.get(schema.type)
        if expected is not None and not _is_a(value, schema.type):
            yield _wrong(path, expected, value)


def _member_misfits(item: Any, name: str, type_: Type, path: Path) -> Iterator[Unfit]:
    try:
        below = member(type_, name, path)
    except Unfit as unknown:
        yield unknown
        return
    yield from _misfits(item, below, (*path, fieldsets.field(name)))


_EXPECTED: Final = {
    "object": "map",
    "array": "list",
    "string": "string",
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
    "boolean": "boolean",
}
_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
}


def _is_a(value: Any, type_: str) -> bool:
    if isinstance(value, bool):
        return type_ == "boolean"
    return isinstance(value, _PYTHON[type_])


def _wrong(path: Path, expected: str, value: Any) -> Unfit:
    where = fieldsets.dotted(path)
    if expected.startswith("numeric"):
        return Unfit(f"{where}: expected {expected}, got {goprint.type_name(value)}")
    if expected != "string":
        return Unfit(f"{where}: expected {expected}, got &{{{goprint.plain(value)}}}")
    shown = goprint.syntax(value)
    return Unfit(f"{where}: expected {expected}, got &value.valueUnstructured{{Value:{shown}}}")


def _item_misfits(value: list[Any], type_: Type, path: Path) -> Iterator[Unfit]:
    keys = type_.list_keys
    seen: set[str] = set()
    for index, item in enumerate(value):
        if keys is None:
            yield from _misfits(item, type_.of_item, (*path, f"i:{index}"))
            continue
        try:
            element = type_.element(item, keys)
        except Unfit as error:
            yield Unfit(f"{fieldsets.dotted(path)}: element {index}: {error}")
            return
        if element in seen:
            shown = fieldsets.dotted((element,))
            yield Unfit(f"{fieldsets.dotted(path)}: duplicate entries for key {shown}")
        seen.add(element)
        yield from _misfits(item, type_.of_item, (*path, element))


def fields_of(value: Any, type_: Type) -> FieldSet:
    """Every field and item that the value sets."""
    return _collect(value, type_) or FieldSet()


def _collect(value: Any, type_: Type) -> FieldSet | None:
    """The set below a value; None when the value is a leaf itself."""
    if isinstance(value, dict):
        return None if type_.atomic_map else _collect_map(value, type_)
    if isinstance(value, list):
        keys = type_.list_keys
        return None if keys is None else _collect_list(value, type_, keys)
    return None


def _collect_map(value: Json, type_: Type) -> FieldSet:
    found = FieldSet()
    for name, item in value.items():
        below = _collect(item, type_.of_field(name) or UNKNOWN)
        element = fieldsets.field(name)
        if below is None or item is None or item == {} or not type_.declares(name):
            found.members.add(element)
        if below:
            found.children[element] = below
    return found


def _collect_list(value: list[Any], type_: Type, keys: tuple[str, ...]) -> FieldSet:
    found = FieldSet()
    elements = [type_.element(item, keys) for item in value]
    for element, item in zip(elements, value, strict=True):
        found.members.add(element)
        below = _collect(item, type_.of_item) if elements.count(element) == 1 else None
        if below:
            found.children[element] = below
    return found


def like(value: Any, shape: type) -> bool:
    """Whether a value has this shape, or none."""
    return value is MISSING or value is None or isinstance(value, shape)


def content(value: Any, empty: Any) -> Any:
    """The value, or an empty one where there is none."""
    return empty if value is MISSING or value is None else value


def merge(live: Any, config: Any, type_: Type) -> Any:
    """`live` with everything that `config` says. Nothing is removed. MISSING when nothing is left.

    Items of keyed lists and sets keep the order of `config` where it mentions them.
    """
    if config is MISSING:
        return live
    if isinstance(config, dict) and like(live, dict):
        if type_.atomic_map or not (config or content(live, {})):
            return config
        return _merge_maps(content(live, {}), config, type_)
    if isinstance(config, list) and like(live, list):
        keys = type_.list_keys
        if keys is None or not (config or content(live, [])):
            return config
        return _merge_lists(content(live, []), config, type_, keys)
    if config is None and isinstance(live, dict) and live and not type_.atomic_map:
        return live
    return config


def _merge_maps(live: Json, config: Json, type_: Type) -> Any:
    merged = {}
    for name in {**live, **config}:
        below = type_.of_field(name) or UNKNOWN
        value = merge(live.get(name, MISSING), config.get(name, MISSING), below)
        if value is not MISSING:
            merged[name] = value
    return merged or MISSING


def _merge_lists(live: list[Any], config: list[Any], type_: Type, keys: tuple[str, ...]) -> Any:
    left = [(type_.element(item, keys), item) for item in live]
    right = [(type_.element(item, keys), item) for item in config]
    known, wanted = dict(left), dict(right)
    merged = []
    for element in _merged_order([e for e, _ in left], [e for e, _ in right]):
        one, other = known.get(element, MISSING), wanted.get(element, MISSING)
        merged.append(merge(one, other, type_.of_item) if other is not MISSING else one)
    return merged or MISSING


def _merged_order(live: list[str], config: list[str]) -> Iterable[str]:
    """Both lists as one: shared elements in the order of `config`, others where they stood."""
    wanted, known = set(config), set(live)
    shared = [element for element in config if element in known]
    done: set[str] = set()
    left = right = 0
    order: list[str] = []
    while left < len(live) or right < len(config):
        if left < len(live) and right < len(config):
            element = live[left]
            if element == config[right]:
                order.append(element)
                done.add(element)
                left, right = left + 1, right + 1
                shared = shared[1:]
                continue
            if element in wanted and shared and shared[0] != element:
                left += 1
                continue
        if left < len(live):
            element = live[left]
            if element not in wanted:
                order.append(element)
                left += 1
                continue
            if element in done:
                left += 1
        if right < len(config):
            element = config[right]
            order.append(element)
            done.add(element)
            right += 1
            if shared and shared[0] == element:
                shared = shared[1:]
    return order


def remove(value: Any, gone: FieldSet, type_: Type) -> Any:
    """The value without some fields and items; null where a map or list is left empty."""
    if isinstance(value, dict):
        return _remove_fields(value, gone, type_)
    if isinstance(value, list):
        keys = type_.list_keys
        return None if keys is None else _remove_items(value, gone, type_, keys)
    return value


def _remove_fields(value: Json, gone: FieldSet, type_: Type) -> Any:
    if type_.atomic_map or not value:
        return None
    kept = {}
    for name, item in value.items():
        element = fieldsets.field(name)
        if element in gone.members:
            continue
        below = gone.children.get(element)
        kept[name] = remove(item, below, type_.of_field(name) or UNKNOWN) if below else item
    return kept or None


def _remove_items(value: list[Any], gone: FieldSet, type_: Type, keys: tuple[str, ...]) -> Any:
    kept = []
    for item in value:
        element = type_.element(item, keys)
        if element in gone.members:
            continue
        below = gone.children.get(element)
        kept.append(remove(item, below, type_.of_item) if below else item)
    return kept or None


def with_named(fields: FieldSet, type_: Type | None) -> FieldSet:
    """With every declared field as a member of which something below is in the set."""
    members = set(fields.members)
    children = {}
    for element, below in fields.children.items():
        child: Type | None = None
        if element.startswith("f:") and type_ is not None:
            child = type_.of_field(element[2:])
            if type_.declares(element[2:]):
                members.add(element)
        elif element.startswith("k:") and type_ is not None:
            child = type_.of_item
        children[element] = with_named(below, child)
    return FieldSet(members, children)
