"""An operator that has run for long needs what it needed in its first hours."""

import asyncio
import gc
import sys
from collections import Counter
from dataclasses import dataclass

from benchmarks.churn import Day, day, settle

WARM, MORE = 2.25, 1.5
"""Hours. The recorder's spam filter remembers an object for two after its last event."""
SPREAD = 20
"""Objects of one type by which two moments of the same life may differ. Meanwhile ninety objects
are born and die, the history is forgotten eighteen times, and there are a thousand reconciles: of
whatever one of these leaves behind there would be more."""


@dataclass(frozen=True, slots=True)
class Census:
    tracked: Counter[str]
    """What the collector sees, by type."""
    blocks: int
    tasks: int
    timers: int
    remembered: dict[str, int]
    """What the parts of the framework keep by key."""


def census(one: Day) -> Census:
    """What there is, with nothing unreachable in it."""
    manager, queue = one.manager, one.controller.queue
    settle()
    tracked: Counter[str] = Counter()
    for found in gc.get_objects():
        tracked[type(found).__name__] += 1
    return Census(
        tracked=tracked,
        blocks=sys.getallocatedblocks(),
        tasks=len(asyncio.all_tasks()),
        timers=len(asyncio.get_running_loop()._scheduled),  # type: ignore[attr-defined]
        remembered={
            "keys wanted later": len(queue._heap) + queue.waiting,
            "keys in the queue": len(queue) + queue.parked,
            "failures": len(queue._limiter._failures),
            "written and not seen": len(manager.client._catch_up._ledgers),
            "laid over the cache": sum(
                len(informer.store._overlays) for informer in manager.cache.informers()
            ),
            "rewritten by admission": len(manager.client.rewrites._paths),
            "events": len(manager._events._series) + len(manager._events._queue),
            "similar events": len(manager._events._similar),
            "noisy objects": len(manager._events._spam),
        },
    )


async def test_hours_of_churn_leave_nothing_behind(lines: list[object]) -> None:
    """Births, deaths, failures, lost answers, relists, renewals and events: afterwards there are no
    more objects, tasks, timers, nor anything remembered by key, than before."""
    async with day(20, haste=6, retry_period=16.0) as one:
        await one.pass_(WARM)
        lines.clear()
        before = census(one)
        await one.pass_(MORE)
        lines.clear()
        after = census(one)

    grown = {kind: n for kind, n in (after.tracked - before.tracked).items() if n > SPREAD}
    assert grown == {}
    assert after.blocks - before.blocks < 0.01 * before.blocks
    assert after.tasks == before.tasks
    assert after.timers < before.timers + SPREAD
    remembered = {what: n - before.remembered[what] for what, n in after.remembered.items()}
    assert {what: n for what, n in remembered.items() if n > SPREAD} == {}
