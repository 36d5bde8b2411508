"""Durations as people type them, and on two clocks."""

import pytest

from kaito.cli.durations import Elapsed, Stopwatch, long, parse
from kaito.kube.clock import LoopClock, ScaledClock


@pytest.mark.parametrize(
    ("text", "seconds"), [("300s", 300), ("5m", 300), ("1h30m", 5400), ("2.5", 2.5), ("0.5s", 0.5)]
)
def test_durations_are_read(text, seconds):
    """As kubectl takes them, and plain seconds."""
    assert parse(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "5 minutes", "-3s", "0", "inf", "nan", "5m5"])
def test_anything_else_is_refused(text):
    """No unit is guessed, and no time at all is not a timeout."""
    with pytest.raises(ValueError, match="duration"):
        parse(text)


def test_they_are_told_as_ages_are():
    """7m40s, as kubectl writes it."""
    assert [long(s) for s in (0, 59.6, 460, 3725)] == ["0s", "1m00s", "7m40s", "1h02m05s"]


async def test_a_stopwatch_runs_on_both_clocks():
    """The world's time and the real one, from the same start."""
    clock = LoopClock()
    watch = Stopwatch(ScaledClock(clock, 100), clock)

    await clock.sleep(4.6)

    assert str(watch.now()) == "7m40s simulated, 4.6 s real"
    assert watch.now() - Elapsed(460, 4.6) == Elapsed(pytest.approx(0), pytest.approx(0))
