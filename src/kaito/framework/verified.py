"""Versions of objects that were found to be as intended: the same one is not looked at twice.

Comparing costs more than everything else in a reconcile of an object that has converged, and most
reconciles are about something else than its children.
"""

from typing import Final, final

from kaito.kube.objects import Meta

_REMEMBERED: Final = 10_000


@final
class Verified:
    """The last (resourceVersion, hash of the intent) of each object, by its uid."""

    def __init__(self, limit: int = _REMEMBERED) -> None:
        self._limit = limit
        self._found: dict[str, tuple[str, str]] = {}

    def holds(self, meta: Meta, digest: str) -> bool:
        """Whether this very version was found to be as this intent says."""
        return self._found.get(meta.uid) == (meta.resource_version, digest)

    def note(self, meta: Meta, digest: str) -> None:
        """It was. What was noted longest ago goes when there is too much."""
        self._found.pop(meta.uid, None)
        self._found[meta.uid] = (meta.resource_version, digest)
        if len(self._found) > self._limit:
            del self._found[next(iter(self._found))]
