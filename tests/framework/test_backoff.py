"""Delays of the reflector, and when they start over."""

from random import Random

import pytest

from kaito.framework.backoff import Backoff
from kaito.kube.clock import LoopClock


@pytest.mark.parametrize(("quiet", "factor"), [(119, 2), (121, 1)])
async def test_s12_failures_are_forgotten_two_minutes_after_the_last_wait(
    quiet: float, factor: float
) -> None:
    """The quiet time begins when what had failed is tried again, not when it had failed."""
    clock = LoopClock()
    backoff = Backoff(clock, Random(1), jitter=0.0, first=20, longest=40)
    await clock.sleep(backoff.delay())
    await clock.sleep(quiet)
    assert backoff.delay() == 20 * factor


async def test_s12_delays_double_up_to_thirty_seconds_and_are_stretched() -> None:
    """0.8 s, 1.6 s ... 30 s, each longer by up to its own length."""
    backoff, chance = Backoff(LoopClock(), Random(1)), Random(1)
    bases = [min(0.8 * 2**n, 30.0) for n in range(9)]
    assert [backoff.delay() for _ in bases] == [
        pytest.approx(base * (1 + chance.random())) for base in bases
    ]
