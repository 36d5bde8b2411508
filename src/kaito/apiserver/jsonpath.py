"""The part of JSONPath that printer columns use: fields, indexes, wildcards, one-level filters."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

Step = Callable[[Any], Iterator[Any]]

_TOKEN: Final = re.compile(
    r"""
      \.\.?(?P<field>[^.\[\]'"()\s?@*]+)          # .name
    | \.?(?P<star>\*)|\[(?P<stars>\*)\]           # .* and [*]
    | \[(?P<index>-?\d+)\]                        # [0]
    | \[(?P<slice>-?\d*:-?\d*(?::\d+)?)\]         # [1:3]
    | \[\s*(?P<quote>['"])(?P<name>.*?)(?P=quote)\s*\]   # ['a.b']
    | \[\?\(\s*@(?P<path>[^=!<>\s]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>[^)]*?)\s*)?\)\]
    """,
    re.VERBOSE,
)


class BadPath(ValueError):
    """This is no JSONPath that is understood here."""


@lru_cache(maxsize=1024)
def compiled(path: str) -> tuple[Step, ...]:
    """The steps of `path`, which may stand in braces and begin with `$`. Raises BadPath."""
    text = path.strip().removeprefix("{").removesuffix("}").strip().removeprefix("$")
    text = text.replace("\\.", "\x00")
    if text and text[0] not in ".[":
        text = f".{text}"
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadPath(f"cannot read {text[position:]!r} in {path!r}")
        if match["name"] and "." in match["name"]:
            # Go reads what stands in brackets as a path of its own.
            steps += (_field(part.replace("\x00", ".")) for part in match["name"].split("."))
        else:
            steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def find(path: str, value: Any) -> list[Any]:
    """Everything at `path` in `value`; nothing where the path leads nowhere."""
    found = [value]
    for step in compiled(path):
        found = [child for one in found for child in step(one)]
    return found


def _step(match: re.Match[str]) -> Step:
    if match["star"] or match["stars"]:
        return _children
    if match["index"] is not None:
        return _item(int(match["index"]))
    if match["slice"] is not None:
        return _slice(*(int(part) if part else None for part in match["slice"].split(":")))
    if match["path"] is not None:
        return _filter(match["path"] or "", match["op"], match["value"])
    name = match["field"] if match["field"] is not None else match["name"]
    return _field(name.replace("\x00", "."))


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _item(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _slice(*bounds: int | None) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[slice(*bounds)]

    return step


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _filter(path: str, operator: str | None, literal: str | None) -> Step:
    wanted = _literal(literal or "")

    def has(item: Any) -> bool:
        found = find(path, item)
        if operator is None:
            return bool(found)
        try:
            return any(_COMPARE[operator](one, wanted) for one in found)
        except TypeError:
            return False

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (item for item in value if has(item))

    return step


def _literal(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
