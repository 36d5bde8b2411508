"""Waiting after failures."""

import pytest

from kaito.framework.ratelimit import RateLimiter, RateLimitOptions, TokenBucket
from kaito.kube.clock import LoopClock

UNLIMITED = {"rate": 1e9, "burst": 10**9}


async def test_s43_the_wait_doubles_is_capped_and_is_forgotten():
    """5 ms, 10 ms, 20 ms ... 1000 s; after a success the next failure waits 5 ms again."""
    limiter = RateLimiter(LoopClock().monotonic, RateLimitOptions(**UNLIMITED))

    waits = [limiter.when("a") for _ in range(20)]

    assert waits == [pytest.approx(min(0.005 * 2**n, 1000.0)) for n in range(20)]
    assert limiter.failures("a") == 20
    assert limiter.when("b") == 0.005
    limiter.forget("a")
    assert limiter.failures("a") == 0
    assert limiter.when("a") == 0.005


async def test_s43_a_million_failures_do_not_overflow():
    """The exponent is bounded, so a key that fails for a year still waits the maximum."""
    limiter = RateLimiter(LoopClock().monotonic, RateLimitOptions(**UNLIMITED))
    limiter._failures["a"] = 10**9

    assert limiter.when("a") == 1000.0


async def test_s43_many_keys_that_fail_at_once_are_spread():
    """After a burst of 100 the retries of all keys together go at ten a second."""
    limiter = RateLimiter(LoopClock().monotonic)

    waits = [limiter.when(n) for n in range(120)]

    assert waits[:100] == [0.005] * 100
    assert waits[100:] == [pytest.approx((n + 1) / 10) for n in range(20)]


async def test_tokens_taken_in_advance_are_paid_back_with_time():
    """Ten a second: who waits as long as told finds the next token as far away as before."""
    clock = LoopClock()
    bucket = TokenBucket(clock.monotonic, rate=10, burst=2)
    assert [bucket.reserve() for _ in range(4)] == [0, 0, pytest.approx(0.1), pytest.approx(0.2)]

    await clock.sleep(0.2)

    assert bucket.reserve() == pytest.approx(0.1)
    await clock.sleep(100)
    assert [bucket.reserve() for _ in range(3)] == [0, 0, pytest.approx(0.1)]


async def test_a_bucket_refills_with_time_but_not_beyond_its_size():
    """Two tokens at one per second: a third must wait; a long rest gives two again."""
    clock = LoopClock()
    bucket = TokenBucket(clock.monotonic, rate=1, burst=2)
    assert [bucket.take() for _ in range(3)] == [True, True, False]

    await clock.sleep(1)

    assert [bucket.take() for _ in range(2)] == [True, False]
    await clock.sleep(100)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
