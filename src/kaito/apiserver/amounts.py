"""What a pod asks for in all. Quantities stay texts, in the form of the first that counts."""

from collections.abc import Iterable, Mapping
from typing import Any

from kaito.kube import quantity
from kaito.kube.objects import Json

Amounts = dict[str, str]
"""Quantities by resource, as a server writes them."""


def added(*all_of: Mapping[str, str]) -> Amounts:
    """The sum, resource by resource."""
    names = dict.fromkeys(name for one in all_of for name in one)
    return {name: quantity.total(one[name] for one in all_of if name in one) for name in names}


def _highest(a: Amounts, b: Amounts) -> Amounts:
    found = dict(a)
    for name, text in b.items():
        if name not in found or quantity.parse(text) > quantity.parse(found[name]):
            found[name] = text
    return found


def containers(spec: Json) -> Iterable[Json]:
    """Those that run together first, then those before them."""
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()


def of_pod(spec: Json, side: str) -> Amounts:
    """The `requests` or `limits` of a pod: containers run together; init containers before them,
    one after the other, beside the sidecars that have started already."""
    running = added(*(_of(container, side) for container in spec.get("containers") or ()))
    beside: Amounts = {}
    highest: Amounts = {}
    for container in spec.get("initContainers") or ():
        wanted = _of(container, side)
        if container.get("restartPolicy") == "Always":
            beside = added(beside, wanted)
            highest = _highest(highest, beside)
        else:
            highest = _highest(highest, added(beside, wanted))
    total = _highest(added(running, beside), highest)
    overhead: Amounts = spec.get("overhead") or {}
    if side == "limits":
        overhead = {name: text for name, text in overhead.items() if name in total}
    return added(total, overhead)


def _of(container: Json, side: str) -> Amounts:
    found: Any = (container.get("resources") or {}).get(side) or {}
    return {name: str(text) for name, text in found.items()}
