"""Status, written when there is something new to say."""

from collections.abc import Sequence
from dataclasses import replace

from kaito.framework.conditions import Condition, set_conditions
from kaito.framework.consistent import ConsistentClient
from kaito.kube.clock import Clock
from kaito.kube.objects import Json, Record, Resource
from kaito.kube.patches import merge_diff


async def report(
    client: ConsistentClient,
    resource: Resource,
    record: Record,
    status: Json,
    *,
    conditions: Sequence[Condition] = (),
    clock: Clock | None = None,
    field_manager: str = "",
) -> bool:
    """Make the status of `record` say `status` and `conditions`; whether that took a request.

    Fields that `status` does not name are kept, one that is None is removed. Conditions are merged
    by type as `set_conditions` does, at the time of `clock` or else the client's; one that names no
    generation has observed that of `record`. What is there already is not written again. Raises
    Conflict when the object is not the one that was read any more, and NotFound when it is gone.
    """
    before: Json = record.get("status") or {}
    wanted = {**before, **status}
    if conditions:
        observed = [
            replace(each, observed_generation=each.observed_generation or record.meta.generation)
            for each in conditions
        ]
        now = (clock or client.clock).wall()
        wanted["conditions"] = set_conditions(before.get("conditions"), observed, now)
    patch = merge_diff(before, {name: value for name, value in wanted.items() if value is not None})
    if not patch:
        return False
    await client.merge_patch(
        resource,
        record.key,
        {"status": patch},
        uid=record.meta.uid,
        resource_version=record.meta.resource_version,
        field_manager=field_manager,
        subresource="status",
    )
    return True
