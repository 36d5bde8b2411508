"""Claims whose Workspace is gone: machines that somebody pays for and nobody uses.

A claim is ended only if it carries the UID of a Workspace (so this operator made it), and that
Workspace is absent in two live reads a grace period apart. Nothing is decided on one absence, nor
on the cache's.
"""

from contextlib import suppress
from typing import final

from kaito.api.names import Annotation
from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import Again, Done, Result
from kaito.kube.clock import Clock
from kaito.kube.errors import NotFound
from kaito.kube.objects import ObjectKey, Record

GRACE = 60.0
"""Seconds between the two observations."""


@final
class Orphans:
    """Remembers when a claim was first seen without its Workspace."""

    def __init__(self, client: ConsistentClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._first_seen: dict[str, float] = {}

    async def end(self, key: ObjectKey, claims: list[Record]) -> Result:
        """`claims` name the Workspace `key`; end those made for a UID that no longer exists."""
        suspects = [claim for claim in claims if _made_here(claim) and not claim.meta.deleting]
        if not suspects:
            return Done()
        workspace = await self._client.get_live(WORKSPACES, key)
        uid = workspace.meta.uid if workspace is not None else ""
        orphans = [claim for claim in suspects if _uid(claim) != uid]
        waiting = [claim for claim in orphans if not self._confirmed(claim)]
        for claim in orphans:
            if claim not in waiting:
                await self._delete(claim)
        return Again(GRACE) if waiting else Done()

    def _confirmed(self, claim: Record) -> bool:
        now = self._clock.monotonic()
        first = self._first_seen.setdefault(claim.meta.uid, now)
        return now - first >= GRACE

    async def _delete(self, claim: Record) -> None:
        with suppress(NotFound):
            await self._client.delete(NODECLAIMS, claim.key, uid=claim.meta.uid)
        self._first_seen.pop(claim.meta.uid, None)


def _uid(claim: Record) -> str:
    return claim.meta.annotations.get(Annotation.WORKSPACE_UID, "")


def _made_here(claim: Record) -> bool:
    return bool(_uid(claim))
