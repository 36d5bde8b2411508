"""Which key goes next: the highest priority, tenants in turn, first come first served.

Without turns, one namespace with ten thousand changed objects would make everybody else's single
change wait for all of them.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar, final

K = TypeVar("K", bound=Hashable)


class Item(NamedTuple, Generic[K]):
    """A key that was handed out, the priority it had, and since when it was wanted."""

    key: K
    priority: int
    since: float


@final
class ReadySet(Generic[K]):
    """Keys that may be handed out now. Every operation takes constant time."""

    def __init__(self, tenant: Callable[[K], Hashable]) -> None:
        self._tenant = tenant
        self._levels: dict[int, OrderedDict[Hashable, OrderedDict[K, float]]] = {}
        self._priorities: list[int] = []
        self._priority_of: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._priority_of)

    def __contains__(self, key: K) -> bool:
        return key in self._priority_of

    def add(self, key: K, priority: int, since: float) -> bool:
        """True if `key` is new here. A raised priority puts it last in its new level."""
        known = self._priority_of.get(key)
        if known is not None:
            if priority <= known:
                return False
            since = self._remove(key, known)
        self._priority_of[key] = priority
        self._keys(priority, self._tenant(key))[key] = since
        return known is None

    def pop(self) -> Item[K] | None:
        """The next key, removed; None when there is none."""
        if not self._priorities:
            return None
        priority = self._priorities[-1]
        tenants = self._levels[priority]
        tenant, keys = next(iter(tenants.items()))
        key, since = keys.popitem(last=False)
        del self._priority_of[key]
        if keys:
            tenants.move_to_end(tenant)
        else:
            self._drop(priority, tenant)
        return Item(key, priority, since)

    def depths(self) -> dict[int, int]:
        """How many keys wait at each priority, highest first."""
        return {
            priority: sum(map(len, self._levels[priority].values()))
            for priority in reversed(self._priorities)
        }

    def clear(self) -> None:
        self._levels.clear()
        self._priorities.clear()
        self._priority_of.clear()

    def _keys(self, priority: int, tenant: Hashable) -> OrderedDict[K, float]:
        tenants = self._levels.get(priority)
        if tenants is None:
            tenants = self._levels[priority] = OrderedDict()
            insort(self._priorities, priority)
        keys = tenants.get(tenant)
        if keys is None:
            keys = tenants[tenant] = OrderedDict()
        return keys

    def _remove(self, key: K, priority: int) -> float:
        tenant = self._tenant(key)
        keys = self._levels[priority][tenant]
        since = keys.pop(key)
        if not keys:
            self._drop(priority, tenant)
        return since

    def _drop(self, priority: int, tenant: Hashable) -> None:
        tenants = self._levels[priority]
        del tenants[tenant]
        if not tenants:
            del self._levels[priority]
            self._priorities.remove(priority)
