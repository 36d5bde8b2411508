"""A crash before or after any single write of the path ends in the same state, paid once."""

import pytest

from kaito.api.resources import NODECLAIMS
from kaito.kube.resources import CONTROLLERREVISIONS, JOBS, PODS, SERVICES, STATEFULSETS
from kaito.testing.crashing import CrashPlan
from tests.scenarios.world import inference, seed, world

PATHS = {
    "inference": (inference, "workspace-phi-4-mini"),
    "tuning": (seed, "workspace-tuning-phi-3"),
}
MOST_WRITES = {"inference": 25, "tuning": 32}
"""More than the path has: the sweep tells when it has gone past the last write."""

KINDS = (NODECLAIMS, STATEFULSETS, JOBS, SERVICES, CONTROLLERREVISIONS, PODS)


async def picture(here):
    """What there is, by kind and name; pods by their owner, as Jobs name them by chance."""
    found = {}
    for kind in KINDS:
        for record in (await here.client.list(kind)).items:
            if kind == CONTROLLERREVISIONS and "workspace.kaito.io/name" not in record.meta.labels:
                continue
            if record.get("status", "phase") == "Failed":
                continue
            owner = record.meta.controller.kind if record.meta.controller else ""
            name = owner if kind == PODS else claim_free(record)
            found.setdefault(kind.kind, []).append(name)
    return {kind: sorted(names) for kind, names in found.items()}


def claim_free(record):
    """Names that follow from the Workspace's random UID say nothing here."""
    return "claim" if record.kind == "NodeClaim" else record.meta.name.rsplit("-", 1)[0]


async def run(make, name, plan):
    """Live with `plan` until it crashes, then live on; what there is in the end, and the cost."""
    async with world() as here:
        first = here.operator(plan)
        await here.apply(make())
        await here.until(lambda: crashed_or_ready(here, name, plan), 7200)
        if plan.crashed.is_set():
            await first.kill()
            second = here.operator()
            await here.ready(name)
            await second.stop()
        else:
            await first.stop()
        pools = here.arm.meter.pools_created
        return await picture(here), pools


async def crashed_or_ready(here, name, plan):
    return plan.crashed.is_set() or (await here.condition(name))["status"] == "True"


@pytest.mark.parametrize("path", PATHS)
async def test_the_sweep_covers_the_path(path):
    """The sweep below goes beyond the last write of a run without a crash."""
    plan = CrashPlan()
    make, name = PATHS[path]

    await run(make, name, plan)

    assert 10 < len(plan.writes) <= MOST_WRITES[path], plan.writes


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("path", "at"),
    [(path, at) for path, most in MOST_WRITES.items() for at in range(1, most + 1)],
)
async def test_a_crash_at_a_write(path, at, when):
    """Crash at write `at`; the next life ends with the same objects and no second pool."""
    make, name = PATHS[path]

    found, pools = await run(make, name, CrashPlan(at, when))

    assert pools == 1
    assert found == EXPECTED[path]


EXPECTED = {
    "inference": {
        "NodeClaim": ["claim"],
        "StatefulSet": ["workspace-phi-4"],
        "Service": ["kubernetes", "workspace-phi-4", "workspace-phi-4-mini"],
        "ControllerRevision": ["workspace-phi-4-mini"],
        "Pod": ["StatefulSet"],
    },
    "tuning": {
        "NodeClaim": ["claim"],
        "StatefulSet": ["workspace-tuning-phi"],
        "Job": ["workspace-tuning-phi"],
        "Service": ["kubernetes", "workspace-tuning-phi", "workspace-tuning-phi-3"],
        "ControllerRevision": ["workspace-tuning-phi-3"],
        "Pod": ["Job", "StatefulSet"],
    },
}
