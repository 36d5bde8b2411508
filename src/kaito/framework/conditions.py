"""Conditions as `metav1.Condition` has them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from kaito.kube.clock import parse_rfc3339, rfc3339
from kaito.kube.objects import Json

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One observation about an object. `reason` is a CamelCase word that programs may compare."""

    type: str
    status: Status
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime | None = None


def condition(type_: str, holds: bool | None, reason: str, message: str = "") -> Condition:
    """A condition that is True or False as `holds` says, Unknown where that is None."""
    status: Status = "Unknown" if holds is None else "True" if holds else "False"
    return Condition(type=type_, status=status, reason=reason, message=message)


def parse_condition(entry: Mapping[str, Any]) -> Condition:
    """The condition of one entry of `status.conditions`; lenient towards what others wrote."""
    moment = entry.get("lastTransitionTime")
    status = entry.get("status")
    return Condition(
        type=entry.get("type") or "",
        status=status if status in ("True", "False") else "Unknown",
        reason=entry.get("reason") or "",
        message=entry.get("message") or "",
        observed_generation=entry.get("observedGeneration") or 0,
        last_transition_time=parse_rfc3339(moment) if moment else None,
    )


def find_condition(entries: Iterable[Mapping[str, Any]] | None, type_: str) -> Condition | None:
    """The condition of that type in `status.conditions`, if it is there."""
    found = next((entry for entry in entries or () if entry.get("type") == type_), None)
    return None if found is None else parse_condition(found)


def set_conditions(
    existing: Sequence[Json] | None, new: Sequence[Condition], now: datetime
) -> list[Json]:
    """`existing` with `new` put in, as fresh dicts.

    The order is stable: known types stay where they are, others follow in the order given, and
    types that `new` does not name are kept. `lastTransitionTime` is kept where the status is
    unchanged, else it is the condition's own or `now`. Where nothing differs, the result equals
    `existing`.
    """
    wanted = {condition.type: condition for condition in new}
    merged = [
        _entry(wanted.pop(entry["type"]), entry, now) if entry.get("type") in wanted else {**entry}
        for entry in existing or ()
    ]
    return merged + [_entry(condition, None, now) for condition in wanted.values()]


def _entry(condition: Condition, before: Json | None, now: datetime) -> Json:
    entry: Json = {} if before is None else {**before}
    if before is None or before.get("status") != condition.status:
        entry["lastTransitionTime"] = rfc3339(condition.last_transition_time or now)
    entry.update(
        type=condition.type,
        status=condition.status,
        reason=condition.reason,
        message=condition.message,
    )
    if condition.observed_generation:
        entry["observedGeneration"] = condition.observed_generation
    return entry
