"""What a key has to wait for before it may look at the cache again."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from kaito.framework.index import Key
from kaito.framework.shard import Shard
from kaito.kube.objects import Resource
from kaito.kube.versions import newest


class Need(Protocol):
    """One thing that the watch has to bring."""

    @property
    def met(self) -> bool: ...

    def when_nearer(self, wake: Callable[[], None]) -> None:
        """Call `wake` once, when `met` may have become true. Only while it is not."""
        ...


class Reached(NamedTuple):
    """A shard must have applied everything up to a version."""

    shard: Shard
    version: str

    @property
    def met(self) -> bool:
        return not self.shard.followed or self.shard.reached(self.version)

    def when_nearer(self, wake: Callable[[], None]) -> None:
        self.shard.when_reached(self.version, wake)


class Vanished(NamedTuple):
    """An object must be gone from a shard that has applied everything up to its last version.

    Whoever deletes an object is not told the version of the deletion; but an object that was
    there at `version` and is not there later has been deleted.
    """

    shard: Shard
    key: Key
    uid: str
    version: str

    @property
    def met(self) -> bool:
        if not self.shard.followed:
            return True
        return self.shard.reached(self.version) and not self.shard.has(self.key, self.uid)

    def when_nearer(self, wake: Callable[[], None]) -> None:
        if self.shard.reached(self.version):
            self.shard.when_vanished(self.key, self.uid, wake)
        else:
            self.shard.when_reached(self.version, wake)


class Ledger:
    """The needs of one key, and the kinds for which it does not know what it has done."""

    __slots__ = ("_reached", "_vanished", "unknown")

    def __init__(self) -> None:
        self._reached: dict[int, Reached] = {}
        self._vanished: dict[tuple[int, str], Vanished] = {}
        self.unknown: dict[Resource, None] = {}

    def add(self, need: Reached | Vanished) -> None:
        """Of two versions of one shard, the newer is enough."""
        if isinstance(need, Vanished):
            self._vanished[id(need.shard), need.uid] = need
            return
        known = self._reached.get(id(need.shard))
        version = newest(known.version, need.version) if known else need.version
        self._reached[id(need.shard)] = Reached(need.shard, version)

    def unmet(self) -> Need | None:
        """Something still to wait for; what is met is forgotten."""
        for ident, reached in tuple(self._reached.items()):
            if not reached.met:
                return reached
            del self._reached[ident]
        for ident_uid, vanished in tuple(self._vanished.items()):
            if not vanished.met:
                return vanished
            del self._vanished[ident_uid]
        return None

    @property
    def settled(self) -> bool:
        """Nothing to wait for and nothing to find out."""
        return not self.unknown and self.unmet() is None
