"""Sets of fields, as `managedFields[].fieldsV1` writes them.

A path element is its serialised text: `f:name` a field, `k:{"name":"a"}` an item of a keyed list,
`v:"x"` an item of a set. A path may be a member, have members below it, or both (`.` in the JSON).
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, final

from kaito.kube.objects import Json
from kaito.kube.schema.fields import compact, quote

Path = tuple[str, ...]
_RANK: Final = {"f": 0, "k": 1, "v": 2, "i": 3}


@final
class FieldSet:
    """A tree of path elements. Operations return new sets and share what they can."""

    __slots__ = ("_json", "children", "members")

    def __init__(
        self, members: set[str] | None = None, children: "dict[str, FieldSet] | None" = None
    ) -> None:
        self.members: set[str] = members if members is not None else set()
        self.children: dict[str, FieldSet] = children if children is not None else {}
        self._json: Json | None = None

    @classmethod
    def of(cls, *paths: str) -> "FieldSet":
        """From dotted field names: `metadata.name`."""
        made = cls()
        for path in paths:
            made.insert(tuple(f"f:{name}" for name in path.split(".")))
        return made

    @classmethod
    def from_json(cls, fields: Json) -> "FieldSet":
        """Read `fieldsV1`."""
        made = cls()
        for element, below in fields.items():
            if element == ".":
                continue
            if not below or "." in below:
                made.members.add(element)
            child = cls.from_json(below)
            if child:
                made.children[element] = child
        return made

    @classmethod
    def sent(cls, fields: Any) -> "FieldSet":
        """Read `fieldsV1` of a client. Raises ValueError or TypeError for what is none."""
        return cls.from_json(_sound(fields))

    def to_json(self) -> Json:
        """Write `fieldsV1`, in the order of the real server. Shared: not to be changed."""
        if self._json is None:
            self._json = self._written()
        return self._json

    def _written(self) -> Json:
        out: Json = {}
        for element in sorted(self.members | self.children.keys(), key=_order):
            child = self.children.get(element)
            below = child.to_json() if child is not None else {}
            if below and element in self.members:
                below = {".": {}, **below}
            out[element] = below
        return out

    def insert(self, path: Path, below: "FieldSet | None" = None) -> None:
        """Add one path, in place, and what is below it. The empty path is no member of anything.

        For a set that is being made: not for one that was read, or written before.
        """
        node = self
        for element in path[:-1]:
            node = node.children.setdefault(element, FieldSet())
        if path:
            node.add(path[-1], below)

    def add(self, element: str, below: "FieldSet | None") -> None:
        """Add one member, in place, that nothing is known to be below of yet."""
        self.members.add(element)
        if below is not None:
            self.children[element] = below

    def __bool__(self) -> bool:
        return bool(self.members) or any(self.children.values())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FieldSet)
            and self.members == other.members
            and _filled(self.children) == _filled(other.children)
        )

    __hash__ = None  # type: ignore[assignment] # a set that can still be inserted into

    def __iter__(self) -> Iterator[Path]:
        """Every member's path: of each level the members first, then what is below."""
        for element in sorted(self.members, key=_order):
            yield (element,)
        for element in sorted(self.children, key=_order):
            for rest in self.children[element]:
                yield (element, *rest)

    def __contains__(self, path: Path) -> bool:
        node: FieldSet | None = self
        for element in path[:-1]:
            node = node.children.get(element) if node is not None else None
        return node is not None and bool(path) and path[-1] in node.members

    def below(self, element: str) -> "FieldSet":
        """What is in the set under one element."""
        return self.children.get(element) or FieldSet()

    def union(self, other: "FieldSet") -> "FieldSet":
        """Itself, if it has all of `other` already."""
        children = self.children
        for element, child in other.children.items():
            mine = self.children.get(element)
            both = child if mine is None else mine.union(child)
            if both is not mine:
                children = dict(children) if children is self.children else children
                children[element] = both
        if children is self.children and other.members <= self.members:
            return self
        return FieldSet(self.members | other.members, children)

    def intersection(self, other: "FieldSet") -> "FieldSet":
        shared = self.children.keys() & other.children.keys()
        children = {e: self.children[e].intersection(other.children[e]) for e in shared}
        return FieldSet(self.members & other.members, _filled(children))

    def difference(self, other: "FieldSet") -> "FieldSet":
        """Without the members of `other`; what is below them stays. Itself, if it has none."""
        children = self.children
        for element in self.children.keys() & other.children.keys():
            mine = self.children[element]
            left = mine.difference(other.children[element])
            if left is not mine:
                children = dict(children) if children is self.children else children
                children[element] = left
        if children is self.children and self.members.isdisjoint(other.members):
            return self
        return FieldSet(self.members - other.members, _filled(children))

    def without(self, other: "FieldSet") -> "FieldSet":
        """Without the members of `other` and everything below them."""
        children = {
            element: child.without(other.below(element))
            for element, child in self.children.items()
            if element not in other.members
        }
        return FieldSet(self.members - other.members, _filled(children))


def meets(fields: Json, other: FieldSet) -> bool:
    """Whether `fieldsV1` and a set have a member in common; without reading all of the former."""
    for element in other.members:
        below = fields.get(element)
        if below is not None and (not below or "." in below):
            return True
    return any(meets(fields[e], child) for e, child in other.children.items() if e in fields)


def has_all(fields: Json, other: FieldSet) -> bool:
    """Whether every member of a set is one of `fieldsV1`."""
    for element in other.members:
        below = fields.get(element)
        if below is None or (below and "." not in below):
            return False
    return all(has_all(fields.get(e) or {}, child) for e, child in other.children.items())


def _filled(children: dict[str, FieldSet]) -> dict[str, FieldSet]:
    return {element: child for element, child in children.items() if child}


def _order(element: str) -> tuple[int, str]:
    return _RANK.get(element[0], 9), element


def field(name: str) -> str:
    """The element of a field."""
    return f"f:{name}"


def key(values: Json) -> str:
    """The element of an item of a keyed list."""
    if all(isinstance(one, str) for one in values.values()):
        return _key(tuple(values.items()))
    return f"k:{compact(values)}"


@lru_cache(4096)
def _key(items: tuple[tuple[str, str], ...]) -> str:
    return f"k:{compact(dict(items))}"


def value(item: Any) -> str:
    """The element of an item of a set."""
    return f"v:{compact(item)}"


def dotted(path: Path) -> str:
    """How messages write a path: `.spec.containers[name="a"].image`."""
    return "".join(map(_dotted, path))


def _dotted(element: str) -> str:
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "i":
        return f"[{text}]"
    decoded = json.loads(text)
    if kind == "v":
        return f"[={_shown(decoded)}]"
    return "[" + ",".join(f"{name}={_shown(value)}" for name, value in decoded.items()) + "]"


def _shown(value: Any) -> str:
    return quote(value) if isinstance(value, str) else compact(value)


def _sound(fields: Any) -> Json:
    """Without elements of kinds that are not known. Raises ValueError or TypeError for any other
    nonsense."""
    if not isinstance(fields, dict):
        raise TypeError("fields are an object")
    return {
        element: {} if element == "." else _sound(below)
        for element, below in fields.items()
        if element == "." or _is_known(element)
    }


def _is_known(element: str) -> bool:
    kind, colon, rest = element[:1], element[1:2], element[2:]
    if colon != ":":
        raise ValueError(f"{element} is no path element")
    if kind == "k" and not isinstance(json.loads(rest), dict):
        raise ValueError(f"{rest} is no key")
    if kind == "v":
        json.loads(rest)
    if kind == "i":
        int(rest)
    return kind in _RANK
