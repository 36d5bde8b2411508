"""A crash before or after any single write of taking over ends as if there had been none."""

import pytest

from kaito.kube.resources import CONTROLLERREVISIONS
from kaito.testing.crashing import CrashPlan
from tests.scenarios.test_takeover import INFERENCE, TUNING, installed, live, pods
from tests.scenarios.world import world

MOST_WRITES = {INFERENCE: 15, TUNING: 7}
"""More than there are: the sweep tells when it has gone past the last write."""

SETTLED = 120.0
"""Seconds in which everything is taken over."""


async def run(name, plan):
    """Take over with `plan` until it crashes, then again; what there was before, and after."""
    async with world() as here:
        found = await installed(here, name)
        before = await picture(here, found)
        first = here.operator(plan)
        await here.clock.sleep(SETTLED)
        if plan.crashed.is_set():
            await first.kill()
            second = here.operator()
            await here.clock.sleep(SETTLED)
            await second.stop()
        else:
            await first.stop()
        return before, await picture(here, found), await ours(here, found)


async def picture(here, found):
    """Pods to the last restart, pools, and what the workload and Services are."""
    specs = {}
    for obj in (found.workload, *found.of_kind("Service")):
        record = await live(here, obj)
        specs[obj["kind"], record.meta.name] = (record.meta.uid, record.get("spec"))
    return await pods(here), here.arm.states(), specs


async def ours(here, found):
    """Our revisions, and the children that carry our mark."""
    marked = [
        record.meta.name
        for obj in (found.workload, *found.of_kind("Service"))
        if "kaito.sh/applied" in (record := await live(here, obj)).meta.annotations
    ]
    revisions = (await here.client.list(CONTROLLERREVISIONS)).items
    return len([r for r in revisions if "kaito.sh/applied" in r.meta.annotations]), len(marked)


@pytest.mark.parametrize("name", MOST_WRITES)
async def test_the_sweep_covers_the_takeover(name):
    """The sweep below goes beyond the last write of a takeover without a crash."""
    plan = CrashPlan()

    await run(name, plan)

    assert 5 < len(plan.writes) <= MOST_WRITES[name], plan.writes


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("name", "at"),
    [(name, at) for name, most in MOST_WRITES.items() for at in range(1, most + 1)],
)
async def test_a_crash_at_a_write(name, at, when):
    """Crash at write `at`; the next life has everything, in one revision, and touched nothing."""
    before, after, (revisions, marked) = await run(name, CrashPlan(at, when))

    assert after == before
    assert (revisions, marked) == (1, 3 if name == INFERENCE else 1)
