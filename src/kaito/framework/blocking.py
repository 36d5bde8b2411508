"""Finds the code that keeps the event loop to itself.

While one reconcile computes, every watch, probe and lease renewal of the process waits. Each step
of a reconcile (from one `await` to the next) is timed, so that the culprit is named, not guessed.
"""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

BLOCKED_SECONDS = 0.1
"""A step that takes longer than this is reported."""


@coroutine
def report_blocking(
    work: Coroutine[Any, Any, T],
    monotonic: Callable[[], float],
    report: Callable[[float], None],
    limit: float = BLOCKED_SECONDS,
) -> Generator[Any, Any, T]:
    """Await `work`, calling `report(seconds)` after each step that took longer than `limit`."""
    value: Any = None
    error: BaseException | None = None
    while True:
        started = monotonic()
        try:
            waits_for = work.send(value) if error is None else work.throw(error)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            taken = monotonic() - started
            if taken > limit:
                report(taken)
        value = error = None
        try:
            value = yield waits_for
        except BaseException as thrown:  # noqa: BLE001 - thrown on into `work`, cancellation too
            error = thrown
