"""A claim's status is written when what programs compare has changed; words alone can wait."""

from typing import Any, Final, final

from kaito.api.resources import NODECLAIMS
from kaito.controllers.nodeclaim.observe import Observed
from kaito.controllers.nodeclaim.pace import Pace
from kaito.controllers.nodeclaim.readiness import Report
from kaito.framework.conditions import set_conditions
from kaito.framework.consistent import ConsistentClient
from kaito.kube.objects import Json, Record

_QUIET: Final = 30.0
"""Seconds between two writes that differ in messages only."""


@final
class StatusWriter:
    """One merge patch per distinct set of (type, status, reason) and facts."""

    def __init__(self, client: ConsistentClient, *, pace: Pace, manager: str) -> None:
        self._client = client
        self._pace = pace
        self._manager = manager

    async def write(self, seen: Observed, report: Report) -> float | None:
        """Write if need be. Returns the seconds after which words that were held back are due."""
        status: Json = seen.record.field("status", dict) or {}
        existing: list[Json] = status.get("conditions") or []
        conditions = set_conditions(existing, report.conditions, seen.now)
        changed = _differing(status, report.fields)
        if not changed and conditions == existing:
            return None
        if not changed and _compared(conditions) == _compared(existing):
            wait = _QUIET - self._pace.silent_for(seen.uid)
            if wait > 0:
                return wait
        await self._patch(seen, {**changed, "conditions": conditions})
        return None

    async def _patch(self, seen: Observed, status: Json) -> Record:
        record = await self._client.merge_patch(
            NODECLAIMS,
            seen.key,
            {"status": status},
            resource_version=seen.record.meta.resource_version,
            subresource="status",
            field_manager=self._manager,
        )
        self._pace.told(seen.uid)
        return record


def _compared(conditions: list[Json]) -> list[tuple[Any, Any, Any]]:
    return [(c.get("type"), c.get("status"), c.get("reason")) for c in conditions]


def _differing(status: Json, fields: dict[str, Any]) -> Json:
    """The fields that are not as they should be, as a merge patch: maps lose what is gone."""
    changed: Json = {}
    for name, value in fields.items():
        present = status.get(name)
        if present == value:
            continue
        if isinstance(value, dict) and isinstance(present, dict):
            changed[name] = {**{key: None for key in present if key not in value}, **value}
        else:
            changed[name] = value
    return changed
