"""What admission made of what was applied, so that it is neither fought nor told twice."""

from collections.abc import Iterable
from typing import Final, final

_REMEMBERED: Final = 10_000


@final
class Rewrites:
    """What the server made of what was applied, by (uid, hash of the intent)."""

    def __init__(self, limit: int = _REMEMBERED) -> None:
        self._limit = limit
        self._paths: dict[str, tuple[str, frozenset[str]]] = {}

    def accepted(self, uid: str, digest: str) -> frozenset[str]:
        """Where the live object may differ from this intent."""
        known, paths = self._paths.get(uid, ("", frozenset()))
        return paths if known == digest else frozenset()

    def remember(self, uid: str, digest: str, paths: Iterable[str]) -> tuple[str, ...]:
        """Returns those of `paths` that are news."""
        before = self.accepted(uid, digest)
        found = frozenset(paths)
        self._paths.pop(uid, None)
        if found:
            self._paths[uid] = (digest, found)
            if len(self._paths) > self._limit:
                del self._paths[next(iter(self._paths))]
        return tuple(sorted(found - before))
