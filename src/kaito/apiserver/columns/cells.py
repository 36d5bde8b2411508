"""Cells and columns that many kinds share."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from kaito.apiserver.kinds import Column, Moment
from kaito.apiserver.representing import age, age_cell, name_cell
from kaito.kube.objects import Json
from kaito.kube.selectors import LabelSelector

NONE: Final = "<none>"
UNSET: Final = "<unset>"
UNKNOWN: Final = "<unknown>"

Cell = Callable[[Json, Moment], Any]


def at(obj: Any, *path: str) -> Any:
    """What stands at `path`, or None."""
    for step in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(step)
    return obj


def text(*path: str, empty: str = NONE) -> Cell:
    """A field as text."""
    return lambda obj, _: str(value) if (value := at(obj, *path)) not in (None, "") else empty


def number(*path: str) -> Cell:
    """A field as a count; absent is 0."""
    return lambda obj, _: at(obj, *path) or 0


def flag(*path: str, default: bool = False) -> Cell:
    """A field as true or false."""
    return lambda obj, _: default if (value := at(obj, *path)) is None else bool(value)


def plain(name: str, cell: Callable[[Json], Any], kind: str = "string") -> Column:
    """A column whose cell does not depend on the time."""
    return Column(name=name, type=kind, cell=lambda obj, _: cell(obj))


def wide(column: Column) -> Column:
    """The same column, shown by `-o wide` only."""
    return Column(
        name=column.name, type=column.type, format=column.format, priority=1, cell=column.cell
    )


def column(name: str, cell: Cell, kind: str = "string") -> Column:
    return Column(name=name, type=kind, cell=cell)


NAME: Final = Column(name="Name", format="name", cell=name_cell)
AGE: Final = Column(name="Age", cell=age_cell)


def ago(timestamp: str | None, moment: Moment) -> str:
    return age(timestamp, moment)


def labels_text(labels: Json | None) -> str:
    """`a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector_text(selector: Json | None) -> str:
    """A label selector, or `<none>`."""
    return (str(LabelSelector.of(selector)) if selector else "") or NONE


def joined(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values)


def containers_of(*path: str) -> tuple[Column, Column]:
    """Names and images of the containers of the pod template at `path`."""

    def names(obj: Json) -> str:
        return joined(container["name"] for container in at(obj, *path, "containers") or [])

    def images(obj: Json) -> str:
        return joined(
            container.get("image", "") for container in at(obj, *path, "containers") or []
        )

    return wide(plain("Containers", names)), wide(plain("Images", images))
