"""How long a key that failed has to wait."""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar, final

K = TypeVar("K", bound=Hashable)

_LARGEST_EXPONENT = 1000
"""2.0 ** 1000 still fits a float; every realistic maximum is reached long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitOptions:
    """The defaults of client-go's `DefaultTypedControllerRateLimiter`."""

    base: float = 0.005
    """Seconds to wait after the first failure of a key; each further one doubles it."""
    maximum: float = 1000.0
    """The longest that a key waits, in seconds."""
    rate: float = 10.0
    """Retries per second, all keys together, in the long run."""
    burst: int = 100
    """Retries, all keys together, that may go at once after a quiet time."""


DEFAULT_LIMITS = RateLimitOptions()


@final
class RateLimiter(Generic[K]):
    """Per key exponential, and a token bucket over all keys; the longer wait wins."""

    def __init__(
        self, monotonic: Callable[[], float], options: RateLimitOptions = DEFAULT_LIMITS
    ) -> None:
        self._options = options
        self._failures: Counter[K] = Counter()
        self._bucket = TokenBucket(monotonic, rate=options.rate, burst=options.burst)

    def when(self, key: K) -> float:
        """Count one failure of `key`; the seconds until it may be tried again."""
        exponent = min(self._failures[key], _LARGEST_EXPONENT)
        self._failures[key] += 1
        own = min(self._options.maximum, self._options.base * 2.0**exponent)
        return max(own, self._bucket.reserve())

    def forget(self, key: K) -> None:
        """`key` succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Failures since the last success."""
        return self._failures[key]


@final
class TokenBucket:
    """`burst` tokens, refilled at `rate` per second. Tokens may be taken in advance."""

    def __init__(self, monotonic: Callable[[], float], *, rate: float, burst: int) -> None:
        self._monotonic = monotonic
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled = monotonic()

    def reserve(self) -> float:
        """Take one token, from the future if there is none; the seconds until it exists."""
        self._fill()
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def take(self) -> bool:
        """Take one token if there is a whole one."""
        self._fill()
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
