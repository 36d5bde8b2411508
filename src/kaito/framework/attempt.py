"""One run of one key: its context, its deadline, its fate, its metrics, and its one log line."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, final

import structlog

from kaito.framework.blocking import report_blocking
from kaito.framework.deadline import Deadline
from kaito.framework.fairness import Item
from kaito.framework.fence import Fenced
from kaito.framework.metrics import ControllerMetrics, Outcome
from kaito.framework.reading import Readable, awaited_stores
from kaito.framework.reconcile import (
    Again,
    Reconciler,
    Result,
    Terminal,
    collect_facts,
    current_key,
    reconcile_id,
)
from kaito.framework.workqueue import WorkQueue
from kaito.kube.clock import Clock
from kaito.kube.errors import Conflict
from kaito.kube.objects import ObjectKey

_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""What in Go would have been a panic: counted as such, handled like any other error."""


class ReconcileTimeout(Exception):
    """A run took longer than its controller allows."""


class _Interrupted(Exception):
    """A run raised CancelledError although nobody had cancelled it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What the runs of one controller have in common."""

    reconciler: Reconciler
    queue: WorkQueue[ObjectKey]
    clock: Clock
    random: Random
    metrics: ControllerMetrics
    timeout: float | None
    stores: set[Readable]
    """What runs may read: the controller has waited for it."""
    # Bound once: structlog assembles a logger anew for every call on an unbound one.
    log: Any = field(default_factory=lambda: structlog.get_logger(__name__).bind())

    async def run(self, item: Item[ObjectKey], release: Callable[[], None]) -> None:
        """Call the reconciler once and decide what becomes of the key.

        `release` is called exactly once: at the end, or when the run ignores its cancellation and
        somebody else should work meanwhile. Raises nothing but Fenced, and CancelledError when the
        task was cancelled from outside.
        """
        facts = self._enter(item.key)
        # Without a deadline nobody but us releases: a million runs need no million guards.
        once = release if self.timeout is None else _Once(release)
        started = self.clock.monotonic()
        self.metrics.active += 1
        try:
            outcome = await self._outcome(item, once, started, facts)
        finally:
            self.metrics.active -= 1
            self.queue.done(item.key)
            once()
        seconds = self.clock.monotonic() - started
        self.metrics.results[outcome] += 1
        self.metrics.seconds.observe(seconds)
        if facts and outcome != "error":
            self.log.info("reconciled", **_line(facts, result=outcome, seconds=round(seconds, 6)))
        elif outcome != "error":
            self.log.debug("reconciled", result=outcome, seconds=round(seconds, 6))

    def _enter(self, key: ObjectKey) -> dict[str, Any]:
        """This task's context is its own, so nothing has to be put back afterwards."""
        current_key.set(key)
        awaited_stores.set(self.stores)
        reconcile_id.set(f"{self.random.getrandbits(64):016x}")
        return collect_facts()

    async def _outcome(
        self, item: Item[ObjectKey], once: Callable[[], None], started: float, facts: dict[str, Any]
    ) -> Outcome:
        try:
            work: Awaitable[Result] = report_blocking(
                self.reconciler.reconcile(item.key), self.clock.monotonic, self._blocked
            )
            if self.timeout is not None:
                work = self._in_time(_this_task(), self.timeout, work, once)
            result = await work
        except asyncio.CancelledError:
            if _this_task().cancelling():
                raise
            return self._failed(item, _Interrupted("cancelled from within"), started, facts)
        except Exception as error:  # noqa: BLE001 - the one place where a run's failure ends
            return self._failed(item, error, started, facts)
        self.queue.forget(item.key)
        if isinstance(result, Again):
            priority = item.priority if result.priority is None else result.priority
            self.queue.add_after(item.key, result.after, priority=priority)
            return "requeue_after"
        return "success"

    async def _in_time(
        self,
        task: asyncio.Task[Any],
        timeout: float,
        work: Awaitable[Result],
        once: Callable[[], None],
    ) -> Result:
        deadline = Deadline(task, self.clock, timeout, lambda: self._stuck(once))
        try:
            result = await work
        except (Exception, asyncio.CancelledError) as error:
            deadline.end()
            if deadline.expired and not task.cancelling():
                raise self._timed_out(timeout) from error
            raise
        deadline.end()
        if deadline.expired:
            raise self._timed_out(timeout)
        return result

    def _timed_out(self, timeout: float) -> ReconcileTimeout:
        self.metrics.timeouts += 1
        return ReconcileTimeout(f"the run took longer than {timeout:g} seconds")

    def _stuck(self, once: Callable[[], None]) -> None:
        # Called by a timer, whose context is that of the run.
        self.log.error("reconcile ignores its cancellation; its worker is replaced")
        once()

    def _blocked(self, seconds: float) -> None:
        self.metrics.blocked += 1
        self.log.warning("reconcile blocked the event loop", blocked_seconds=round(seconds, 3))

    def _failed(
        self, item: Item[ObjectKey], error: Exception, started: float, facts: dict[str, Any]
    ) -> Outcome:
        seconds = round(self.clock.monotonic() - started, 6)
        told = _line(facts, result="error", seconds=seconds)
        causes = tuple(_leaves(error))
        if any(isinstance(cause, Fenced) for cause in causes):
            raise error
        if all(isinstance(cause, Conflict) for cause in causes):
            self.queue.add_rate_limited(item.key, priority=item.priority)
            return "requeue"
        self.metrics.errors += 1
        if all(isinstance(cause, Terminal) for cause in causes):
            self.metrics.terminal_errors += 1
            self.queue.forget(item.key)
            self.log.error("reconcile failed for good", **_line(told, error=str(error)))
            return "error"
        if any(isinstance(cause, _BUGS) for cause in causes):
            self.metrics.panics += 1
        self.queue.add_rate_limited(item.key, priority=item.priority)
        failures = self.queue.failures(item.key)
        self.log.error("reconcile failed", **_line(told, failures=failures, exc_info=error))
        return "error"


@final
class _Once:
    """Calls back the first time that it is called."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


def _line(facts: dict[str, Any], **own: Any) -> dict[str, Any]:
    """The fields of a log line: a fact never hides, nor breaks, what we have to say."""
    return {("fact" if name == "event" else name): fact for name, fact in facts.items()} | own


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What a group of a reconciler's own TaskGroup is made of."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a run needs a task")
    return task
