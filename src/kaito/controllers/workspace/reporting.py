"""Writes the status when it says something new, and tells the turning points as Events."""

from typing import Literal, final

from kaito.api.names import ConditionType, Reason
from kaito.api.resources import WORKSPACES
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Progress
from kaito.controllers.workspace.status import MESSAGE_INTERVAL, Change, compare, desired
from kaito.framework.conditions import find_condition
from kaito.framework.consistent import ConsistentClient
from kaito.framework.reconcile import Again, Done, Result
from kaito.framework.recorder import Recorder
from kaito.kube.clock import Clock
from kaito.kube.objects import ObjectKey


@final
class Reporter:
    """Holds nothing but when each Workspace's status was last written for a message alone."""

    def __init__(
        self, client: ConsistentClient, recorder: Recorder, clock: Clock, field_manager: str
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._field_manager = field_manager
        self._written: dict[ObjectKey, float] = {}

    async def report(self, observed: Observed, progress: Progress) -> Result:
        """Bring the status up to date; Again when a mere message has to wait its turn."""
        change = compare(observed, desired(observed, progress, self._clock.wall()))
        if change is None:
            return Done()
        wait = self._too_early(observed.key)
        if not change.urgent and wait > 0:
            return Again(wait)
        await self._write(observed, change)
        if change.urgent:
            self._tell(observed, progress)
        return Done()

    def _too_early(self, key: ObjectKey) -> float:
        last = self._written.get(key)
        return 0.0 if last is None else last + MESSAGE_INTERVAL - self._clock.monotonic()

    async def _write(self, observed: Observed, change: Change) -> None:
        meta = observed.record.meta
        patch = {
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": change.status,
        }
        await self._client.merge_patch(
            WORKSPACES,
            observed.key,
            patch,
            field_manager=self._field_manager,
            subresource="status",
        )
        self._written[observed.key] = self._clock.monotonic()

    def forget(self, key: ObjectKey) -> None:
        """The Workspace is gone."""
        self._written.pop(key, None)

    def _tell(self, observed: Observed, progress: Progress) -> None:
        conditions = observed.record.get("status", "conditions")
        before = find_condition(conditions, ConditionType.READY)
        blocked = progress.blocked
        if blocked is None:
            if before is None or before.status != "True":
                self._event(observed, "Normal", Reason.READY, "the model answers")
        elif blocked.trouble and (before is None or before.reason != blocked.reason):
            self._event(observed, "Warning", blocked.reason, blocked.message)

    def _event(
        self, observed: Observed, type_: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        self._recorder.event(
            observed.record, type=type_, reason=reason, message=message, action="Reconcile"
        )
