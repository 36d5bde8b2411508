"""One run of one key: its context, its deadline, its fate, its metrics, and its one log line."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from random import Random
from typing import Any, final

import structlog

from kaito.framework.deadline import Deadline
from kaito.framework.fairness import Item
from kaito.framework.fence import Fenced
from kaito.framework.metrics import ControllerMetrics, Outcome
from kaito.framework.reconcile import (
    Again,
    Done,
    Reconciler,
    Result,
    Terminal,
    collect_facts,
    current_key,
    reconcile_id,
)
from kaito.framework.steps import resumed
from kaito.framework.workqueue import WorkQueue
from kaito.kube.clock import Clock
from kaito.kube.errors import Conflict
from kaito.kube.objects import ObjectKey

BLOCKED_SECONDS = 0.1
"""A step of a run that keeps the event loop to itself for longer is reported: every watch, probe
and lease renewal of the process has waited for it."""

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
    context: Context
    """Every run starts with a copy of it."""
    # Bound once: structlog assembles a logger anew for every call on an unbound one.
    log: Any = field(default_factory=lambda: structlog.get_logger(__name__).bind())

    def begin(self, item: Item[ObjectKey]) -> "Run | None":
        """Call the reconciler once, up to where it has to wait.

        None when it never had to: the run is over, and it is decided what becomes of the key.
        Otherwise the same task must await the `rest`. Raises nothing but Fenced, and CancelledError
        when the task was cancelled.
        """
        context = self.context.copy()
        run = Run(self, item, context)
        return run if context.run(run.begin) else None


@final
class Run:
    """One run of one key. It begins in whatever task has got the key: most find nothing to do and
    end at once, so a task of its own would be the greater part of their cost. What it sees as its
    context is its own nevertheless, in every step.
    """

    __slots__ = ("_attempt", "_context", "_facts", "_item", "_started", "_waits_for", "_work")

    _work: Coroutine[Any, Any, Result]
    _waits_for: Any

    def __init__(self, attempt: Attempt, item: Item[ObjectKey], context: Context) -> None:
        self._attempt = attempt
        self._item = item
        self._context = context
        self._facts: dict[str, Any] = {}
        self._started = 0.0

    @property
    def key(self) -> ObjectKey:
        return self._item.key

    def begin(self) -> bool:
        """The first step, called in the context of the run; False when it was also the last."""
        attempt = self._attempt
        current_key.set(self._item.key)
        reconcile_id.set(f"{attempt.random.getrandbits(64):016x}")
        self._facts = collect_facts()
        self._started = attempt.clock.monotonic()
        attempt.metrics.active += 1
        try:
            self._work = attempt.reconciler.reconcile(self._item.key)
            self._waits_for = self._step(self._work.send, None)
        except StopIteration as stop:
            self._end(self._returned, stop.value)
        except BaseException as error:  # noqa: BLE001 - sorted out in one place
            self._end(self._raised, self._explained(error))
        else:
            return True
        return False

    def _explained(self, error: BaseException) -> BaseException:
        """A plain function in place of a coroutine is looked for only when something broke."""
        work = getattr(self, "_work", error)
        if work is error or hasattr(work, "send"):
            return error
        return TypeError(f"reconcile must be `async def`: calling it gave {_named(work)}")

    async def rest(self, on_stuck: Callable[[], None]) -> None:
        """What is left of the run. `on_stuck` is called when it ignores that it is cancelled
        because of its deadline, so that somebody else may work meanwhile. Raises as `begin` does.
        """
        steps: Awaitable[Result] = resumed(self._work, self._waits_for, self._in_context)
        if self._attempt.timeout is not None:
            steps = self._in_time(this_task(), self._attempt.timeout, steps, on_stuck)
        try:
            result = await steps
        except BaseException as error:  # noqa: BLE001 - sorted out in one place
            self._context.run(self._end, self._raised, error)
        else:
            self._context.run(self._end, self._returned, result)

    # ---- steps

    def _in_context(self, advance: Callable[[Any], Any], value: Any) -> Any:
        return self._context.run(self._step, advance, value)

    def _step(self, advance: Callable[[Any], Any], value: Any) -> Any:
        """From one `await` to the next, timed: what the run waits for now."""
        now = self._attempt.clock.monotonic
        started = now()
        try:
            return advance(value)
        finally:
            taken = now() - started
            if taken > BLOCKED_SECONDS:
                self._attempt.metrics.blocked += 1
                self._attempt.log.warning(
                    "reconcile blocked the event loop", blocked_seconds=round(taken, 3)
                )

    async def _in_time(
        self,
        task: asyncio.Task[Any],
        timeout: float,
        steps: Awaitable[Result],
        on_stuck: Callable[[], None],
    ) -> Result:
        left = timeout - (self._attempt.clock.monotonic() - self._started)
        # The timer of the deadline speaks in the context of the run.
        deadline = self._context.run(
            Deadline, task, self._attempt.clock, left, lambda: self._stuck(on_stuck)
        )
        try:
            result = await steps
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
        self._attempt.metrics.timeouts += 1
        return ReconcileTimeout(f"the run took longer than {timeout:g} seconds")

    def _stuck(self, on_stuck: Callable[[], None]) -> None:
        self._attempt.log.error("reconcile ignores its cancellation; its worker is replaced")
        on_stuck()

    # ---- the end

    def _end(self, decide: Callable[[Any], Outcome], how: Any) -> None:
        """Decide what becomes of the key, and account for the run whatever that is."""
        attempt, facts = self._attempt, self._facts
        try:
            outcome = decide(how)
        finally:
            attempt.metrics.active -= 1
            attempt.queue.done(self._item.key)
        seconds = attempt.clock.monotonic() - self._started
        attempt.metrics.results[outcome] += 1
        attempt.metrics.seconds.observe(seconds)
        if outcome == "error":
            return
        if facts:
            line = _line(facts, result=outcome, seconds=round(seconds, 6))
            attempt.log.info("reconciled", **line)
        else:
            # As a rule nobody listens: to round would cost more than all else that is done here.
            attempt.log.debug("reconciled", result=outcome, seconds=seconds)

    def _returned(self, result: object) -> Outcome:
        key, queue = self._item.key, self._attempt.queue
        if not isinstance(result, Done | Again):
            told = f"reconcile must return Done() or Again(seconds), not {_named(result)}"
            wrong = TypeError(told)
            return self._failed(wrong, (wrong,))
        queue.forget(key)
        if isinstance(result, Again):
            priority = self._item.priority if result.priority is None else result.priority
            queue.add_after(key, result.after, priority=priority)
            return "requeue_after"
        return "success"

    def _raised(self, error: BaseException) -> Outcome:
        if isinstance(error, asyncio.CancelledError) and not this_task().cancelling():
            error = _Interrupted("cancelled from within")
        if not isinstance(error, Exception):
            raise error
        causes = tuple(_leaves(error))
        if any(isinstance(cause, Fenced) for cause in causes):
            raise error
        return self._failed(error, causes)

    def _failed(self, error: Exception, causes: Sequence[BaseException]) -> Outcome:
        key, priority = self._item.key, self._item.priority
        queue, metrics, log = self._attempt.queue, self._attempt.metrics, self._attempt.log
        if all(isinstance(cause, Conflict) for cause in causes):
            queue.add_rate_limited(key, priority=priority)
            return "requeue"
        seconds = round(self._attempt.clock.monotonic() - self._started, 6)
        told = _line(self._facts, result="error", seconds=seconds)
        metrics.errors += 1
        if all(isinstance(cause, Terminal) for cause in causes):
            metrics.terminal_errors += 1
            queue.forget(key)
            log.error("reconcile failed for good", **_line(told, error=str(error)))
            return "error"
        if any(isinstance(cause, _BUGS) for cause in causes):
            metrics.panics += 1
        queue.add_rate_limited(key, priority=priority)
        log.error("reconcile failed", **_line(told, failures=queue.failures(key), exc_info=error))
        return "error"


def _named(value: object) -> str:
    """By its type alone: what is in it may be secret."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


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


def this_task() -> asyncio.Task[Any]:
    """The task that this code runs in."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a run needs a task")
    return task
