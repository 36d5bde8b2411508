"""Virtual time and the clocks that run on it."""

import asyncio
from datetime import UTC, datetime

import pytest

from kaito.kube.clock import LoopClock, ScaledClock, parse_rfc3339, rfc3339, rfc3339_micro
from kaito.testing.loop import Deadlock, VirtualTimeLoop


async def test_a_virtual_day_passes_at_once():
    """Sleeping for a day moves every clock by a day and takes no real time."""
    clock = LoopClock()
    before = clock.wall()

    await clock.sleep(86_400)

    assert (clock.wall() - before).total_seconds() == pytest.approx(86_400)


async def test_a_scaled_clock_runs_faster_than_its_base():
    """On a clock of speed 60 a minute lasts one second of the base clock."""
    base = LoopClock()
    world = ScaledClock(base, 60)

    await world.sleep(60)

    assert base.monotonic() == pytest.approx(1)
    assert world.monotonic() == pytest.approx(60)


def test_waiting_for_nothing_is_reported():
    """A loop on which nothing can ever happen says so instead of hanging."""

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    loop = VirtualTimeLoop()
    try:
        with pytest.raises(Deadlock):
            loop.run_until_complete(forever())
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(task)
    finally:
        loop.close()


def test_timestamps_survive_a_round_trip():
    """What is written as metav1.Time or MicroTime is read back as the same moment."""
    moment = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)

    assert parse_rfc3339(rfc3339_micro(moment)) == moment
    assert parse_rfc3339(rfc3339(moment)) == moment.replace(microsecond=0)


async def test_a_timer_runs_on_its_own_clock_and_can_be_cancelled():
    """A minute on a clock of speed 60 calls back after one second; a cancelled timer never does."""
    base = LoopClock()
    world = ScaledClock(base, 60)
    called = []

    world.call_later(60, lambda: called.append(base.monotonic()))
    world.call_later(30, lambda: called.append(-1.0)).cancel()
    await base.sleep(2)

    assert called == [pytest.approx(1)]
