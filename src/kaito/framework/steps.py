"""A coroutine whose steps, from one `await` to the next, are taken by a function.

That is how something is done around every step (time it, enter a context) of code that knows
nothing of it, and how a coroutine that was begun by hand is awaited to its end.
"""

from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Advance = Callable[[Any], Any]
"""The `send` or the `throw` of a coroutine: goes on, and returns what it waits for next."""


@coroutine
def resumed(
    work: Coroutine[Any, Any, T], waits_for: Any, step: Callable[[Advance, Any], Any]
) -> Generator[Any, Any, T]:
    """Await the rest of `work`, which was begun and waits for `waits_for`.

    `step(advance, value)` must return `advance(value)`, and is called for each further step.
    """
    while True:
        advance: Advance = work.send
        try:
            value = yield waits_for
        except BaseException as thrown:  # noqa: BLE001 - thrown on into `work`, cancellation too
            advance, value = work.throw, thrown
        try:
            waits_for = step(advance, value)
        except StopIteration as stop:
            result: T = stop.value
            return result
