"""What the cloud has and the claims, compared every few minutes with one list.

A machine that is provably ours and has no claim is an *orphan*: nobody will ever delete it, and it
costs money. A claim whose machine the cloud has lost is *forsaken*: nobody will ever serve it.
Both are ended, carefully:

- existence is what the cloud lists, never what Node objects say; stopped machines exist;
- an orphan is old enough that its claim cannot be one we have not seen yet;
- both are seen in two sweeps in a row, and looked at once more, live, right before the end;
- one sweep ends only a few; many at once are told as an error, for they look like our mistake.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

import structlog

from kaito.api.nodeclaim import NodeClaim, parse
from kaito.api.resources import NODECLAIMS
from kaito.controllers.nodeclaim import words
from kaito.controllers.nodeclaim.launch import Events
from kaito.controllers.nodeclaim.managed import is_managed
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.words import Reason
from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import Again, Result, annotate
from kaito.kube.clock import Clock
from kaito.kube.errors import NotFound
from kaito.kube.objects import ObjectKey, Record
from kaito.provisioner.cloud import Cloud, CloudError, Instance, State

log = structlog.get_logger(__name__)

SWEEP: Final = ObjectKey("", "sweep")
"""The one key of this controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """What one sweep found, by uid of the claim."""

    orphans: Mapping[str, Instance]
    forsaken: Mapping[str, NodeClaim]


def suspects(
    instances: Iterable[Instance],
    claims: Iterable[NodeClaim],
    now: datetime,
    grace: timedelta,
) -> Suspects:
    """Compare both sides. Pure."""
    machines = {instance.name: instance for instance in instances}
    known = {claim.metadata.uid: claim for claim in claims}
    orphans = {
        machine.owner_uid: machine
        for machine in machines.values()
        if machine.owner_uid
        and machine.owner_uid not in known
        and machine.state not in {State.DELETING, State.STOPPED}
        and machine.created_at is not None
        and now - machine.created_at > grace
    }
    forsaken = {
        uid: claim
        for uid, claim in known.items()
        if claim.metadata.name not in machines
        and is_managed(claim)
        and not claim.metadata.deleting
        and _is_launched(claim)
    }
    return Suspects(orphans=orphans, forsaken=forsaken)


def _is_launched(claim: NodeClaim) -> bool:
    condition = claim.condition(words.Condition.LAUNCHED)
    return condition is not None and condition.status == "True"


@final
class Sweeper:
    """The reconciler behind `SWEEP`. Forgetting its suspicions costs one more sweep."""

    def __init__(
        self,
        *,
        client: ConsistentClient,
        cloud: Cloud,
        clock: Clock,
        events: Events,
        options: NodeClaimOptions,
    ) -> None:
        self._client = client
        self._cloud = cloud
        self._clock = clock
        self._events = events
        self._options = options
        self._before = Suspects(orphans={}, forsaken={})

    async def reconcile(self, _: ObjectKey) -> Result:
        try:
            instances = await self._cloud.list()
        except CloudError as error:
            annotate(sweep=error.told)
            return Again(max(error.retry_after or 0.0, self._options.sweep))
        found = suspects(
            instances,
            [parse(record) for record in self._client.store(NODECLAIMS).list()],
            self._clock.wall(),
            timedelta(seconds=self._options.orphan_grace),
        )
        again = {uid: m for uid, m in found.orphans.items() if uid in self._before.orphans}
        lost = {uid: c for uid, c in found.forsaken.items() if uid in self._before.forsaken}
        self._before = found
        for uid in self._few(again, "machines of ours have no claim"):
            await self._end_orphan(again[uid])
        for uid in self._few(lost, "claims have lost their machine"):
            await self._end_forsaken(lost[uid])
        return Again(self._options.sweep)

    def _few(self, candidates: Mapping[str, object], what: str) -> list[str]:
        """The brake: the first few, in a stable order, and an error when there are more."""
        if len(candidates) > self._options.brake:
            log.error(
                "too many at once, ending only a few",
                what=what,
                count=len(candidates),
                ending=self._options.brake,
            )
        return sorted(candidates)[: self._options.brake]

    async def _end_orphan(self, orphan: Instance) -> None:
        """Once more, live: is there really no claim, and is it still that machine?"""
        claim = await self._client.get_live(NODECLAIMS, ObjectKey("", orphan.name))
        if claim is not None and claim.meta.uid == orphan.owner_uid:
            return
        try:
            machine = await self._cloud.get(orphan.name)
            if machine is None or machine.owner_uid != orphan.owner_uid:
                return
            await self._cloud.terminate(machine)
        except CloudError as error:
            log.warning("orphan not deleted", machine=orphan.name, error=error.told)
            return
        annotate(orphan=orphan.name)
        log.warning(
            "deleted a machine without a claim",
            machine=orphan.name,
            claim_uid=orphan.owner_uid,
            reason=Reason.ORPHAN_DELETED,
        )

    async def _end_forsaken(self, claim: NodeClaim) -> None:
        """Its owner makes another one; a claim cannot be launched twice."""
        try:
            if await self._cloud.get(claim.metadata.name) is not None:
                return
        except CloudError:
            return
        record = await self._client.get_live(NODECLAIMS, claim.key)
        if record is None or record.meta.uid != claim.metadata.uid or record.meta.deleting:
            return
        await self._delete(record)

    async def _delete(self, record: Record) -> None:
        annotate(forsaken=record.meta.name)
        self._events.event(
            record,
            type="Warning",
            reason=Reason.GONE,
            message="the cloud has no such machine any more; the claim is deleted",
            action="Delete",
        )
        try:
            await self._client.delete(NODECLAIMS, record.key, uid=record.meta.uid)
        except NotFound:
            return
