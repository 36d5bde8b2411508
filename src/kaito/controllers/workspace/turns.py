"""Updates take turns: each restarts an engine, and the first shows whether the next one is safe.

An update is what the annotation `kaito.sh/update` asks for and nothing else: an edit of a Workspace
rolls out at once. The turn ends when the Workspace is Ready again, so one that does not come back
holds up all others until somebody looks at it.
"""

from collections.abc import Iterable
from typing import final

from kaito.kube.objects import ObjectKey

RECHECK = 15.0
"""Seconds until a Workspace that waits for its turn is looked at again."""


@final
class Turns:
    """Remembers who has been let through; the status of a Workspace tells the same, a bit later."""

    def __init__(self, limit: int) -> None:
        """`limit`: how many Workspaces are updated at the same time."""
        self._limit = limit
        self._taken: set[ObjectKey] = set()

    def ahead(self, key: ObjectKey, updating: Iterable[ObjectKey]) -> tuple[ObjectKey, ...]:
        """Whom `key` has to wait for; nobody: it has its turn now.

        `updating` are those whose status says that they are being updated.
        """
        if key in self._taken:
            return ()
        others = {*self._taken, *updating} - {key}
        if len(others) >= self._limit:
            return tuple(sorted(others))
        self._taken.add(key)
        return ()

    def over(self, key: ObjectKey) -> None:
        """The Workspace is Ready, or gone."""
        self._taken.discard(key)
