"""A claim without a machine gets one.

    no machine ── launch ──> Creating ──> Ready: Launched is True, the cloud is not asked again
                    │            └──────> Failed: deleted, told, tried again later
                    └─ refused: told, tried again later

The intent (the finalizer) is on record before the first launch, and a launch never updates
anything, so it may be repeated after any crash. Nothing waits here: what was started is looked at
again in a later run.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, Protocol, final

from kaito.api.names import Annotation
from kaito.controllers.nodeclaim import readiness, words
from kaito.controllers.nodeclaim.observe import Observed
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.pace import Pace
from kaito.controllers.nodeclaim.request import image_family, machine_request
from kaito.controllers.nodeclaim.words import Reason
from kaito.framework.conditions import Condition
from kaito.kube.objects import Json, Record
from kaito.provisioner.cloud import (
    Busy,
    Cloud,
    CloudError,
    Instance,
    InvalidRequest,
    LaunchFailed,
    MachineRequest,
    NameTaken,
    NotPermitted,
    SkuUnavailable,
    State,
    Throttled,
    Unreachable,
    belongs_to,
    reason_told,
)

_LAUNCH: Final = "Launch"


class Events(Protocol):
    """The part of a recorder that is used here."""

    def event(
        self,
        regarding: Record | Json,
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002 - the field's own name
        reason: str,
        message: str,
        action: str,
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What one run came to."""

    condition: Condition
    image: str = ""
    again: float | None = None
    """Seconds until the cloud should be asked again; None: not for this."""


@final
class Launcher:
    """Asks the cloud; the one place that decides what its errors mean for a claim."""

    def __init__(
        self, cloud: Cloud, *, pace: Pace, events: Events, options: NodeClaimOptions
    ) -> None:
        self._cloud = cloud
        self._pace = pace
        self._events = events
        self._options = options

    async def launch(self, seen: Observed) -> Launch:
        """One step of the way to a machine."""
        if seen.is_true(words.Condition.LAUNCHED):
            return Launch(condition=readiness.launched_true(seen))
        wait = self._pace.remaining(seen.uid)
        if wait > 0:
            return Launch(condition=readiness.launched_before(seen), again=wait)
        try:
            request = machine_request(seen.claim, self._options.tags)
            return await self._judge(seen, await self._find_or_start(seen, request))
        except CloudError as error:
            return self._refused(seen, error)

    async def _find_or_start(self, seen: Observed, request: MachineRequest) -> Instance:
        before = seen.claim.condition(words.Condition.LAUNCHED)
        if before is None and image_family(seen.claim) is None:
            self._warn(
                seen,
                Reason.UNKNOWN_IMAGE_FAMILY,
                f"annotation {Annotation.NODE_IMAGE_FAMILY} names no known image; Ubuntu is used",
            )
        if before and before.reason in {Reason.LAUNCHING, Reason.LAUNCH_TIMEOUT}:
            found = await self._cloud.get(request.name)
            if found is not None:
                return _ours(found, request)
        return await self._cloud.launch(request)

    async def _judge(self, seen: Observed, instance: Instance) -> Launch:
        match instance.state:
            case State.READY | State.STOPPED:
                return self._launched(seen, instance)
            case State.CREATING:
                return self._under_way(seen, instance)
            case State.DELETING:
                return self._in_the_way(seen)
            case State.FAILED:
                failure = instance.failure or LaunchFailed("the machine failed")
                await self._cloud.terminate(instance)
                return self._refused(seen, failure)

    def _launched(self, seen: Observed, instance: Instance) -> Launch:
        self._pace.running(seen.uid)
        message = f"machine {instance.name} ({instance.vm_size}) is running"
        # The status that says so is yet to be written; when that fails, this is run again.
        if self._pace.is_news(seen.uid, message):
            self._events.event(
                seen.record,
                type="Normal",
                reason=words.Condition.LAUNCHED,
                message=message,
                action=_LAUNCH,
            )
        return Launch(condition=readiness.launched_true(seen), image=instance.image_version)

    def _under_way(self, seen: Observed, instance: Instance) -> Launch:
        late = self._pace.creating(seen.uid) > self._options.launch_timeout
        reason, told = Reason.LAUNCHING, "; this usually takes 3 to 5 minutes"
        if late:
            limit = timedelta(seconds=round(self._options.launch_timeout))
            reason, told = Reason.LAUNCH_TIMEOUT, f"; it has taken longer than {limit}"
        message = f"the cloud is creating machine {instance.name} ({instance.vm_size}){told}"
        before = seen.claim.condition(words.Condition.LAUNCHED)
        if late and before and before.reason != reason:
            self._warn(seen, reason, message)
        again = self._pace.wait(seen.uid, self._options.poll)
        return Launch(condition=readiness.launched_unknown(seen, reason, message), again=again)

    def _in_the_way(self, seen: Observed) -> Launch:
        """An earlier machine of this name is on its way out; what went wrong stays told."""
        again = self._pace.wait(seen.uid, self._options.poll)
        before = readiness.launched_before(seen)
        if before.reason != Reason.LAUNCH_FAILED:
            message = "an earlier machine of this name is being deleted first"
            before = readiness.launched_unknown(seen, Reason.LAUNCHING, message)
        return Launch(condition=before, again=again)

    def _refused(self, seen: Observed, error: CloudError) -> Launch:
        """The policy: how each error is told, and when to try again."""
        before = readiness.launched_before(seen)
        longest = self._options.retry_longest
        match error:
            case Busy() | Throttled():
                # Nobody's fault, and over soon: not worth replacing what is told now.
                again = max(self._options.poll, error.retry_after or 0.0)
                condition = before
                if before.reason == Reason.AWAITING:
                    condition = readiness.launched_unknown(seen, Reason.LAUNCHING, error.told)
                return Launch(condition=condition, again=self._pace.wait(seen.uid, again))
            case Unreachable():
                again = error.retry_after or self._options.retry_first
            case InvalidRequest() | NameTaken() | SkuUnavailable() | NotPermitted():
                again = longest
            case _:
                again = min(longest, self._options.retry_first * 2 ** self._refusals(seen))
        if reason_told(before.message) != error.reason:
            self._warn(seen, error.reason, error.told.partition(": ")[2])
        condition = readiness.launched_unknown(seen, Reason.LAUNCH_FAILED, error.told)
        return Launch(condition=condition, again=self._pace.wait(seen.uid, again))

    def _refusals(self, seen: Observed) -> int:
        return min(self._pace.refused(seen.uid), 10)

    def _warn(self, seen: Observed, reason: str, message: str) -> None:
        self._events.event(
            seen.record, type="Warning", reason=reason, message=message, action=_LAUNCH
        )


def _ours(found: Instance, request: MachineRequest) -> Instance:
    if belongs_to(found, request.owner_uid, request.created_at):
        return found
    raise NameTaken(f"machine {found.name} exists and was not made for this NodeClaim")
