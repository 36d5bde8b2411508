"""What a reconciler is asked, what it may answer, and how it says that something went wrong.

A reconciler gets a key and nothing else: it looks at the world as it is now and moves it one step
towards what is wanted. It may be called again at any time, so it must be idempotent; it never runs
twice at once for one key.

The fate of a key follows from what `reconcile` does:

    returns Done                  nothing more to do until something changes
    returns Again(after)          look again then, however quiet the world is
    raises Terminal               beyond what trying again can mend: reported, not retried
    raises kube.errors.Conflict   somebody else was faster: tried again, without a word
    raises fence.Fenced           leadership has ended: the process must stop
    raises anything else          reported once per run and tried again, ever more slowly
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import signature
from typing import Any, Protocol, final, runtime_checkable

from kaito.kube.objects import ObjectKey


@dataclass(frozen=True, slots=True)
class Done:
    """Converged as far as this key can be moved now."""


@dataclass(frozen=True, slots=True)
class Again:
    """Come back in `after` seconds, or earlier if something changes.

    `priority` is the priority of that run; None keeps the one this run had.
    """

    after: float
    priority: int | None = None


Result = Done | Again


class Terminal(Exception):
    """Report this and do not retry; the next change of the object brings the next run."""


@runtime_checkable
class Reconciler(Protocol):
    """The one method that an operator's author has to write."""

    def reconcile(self, key: ObjectKey, /) -> Coroutine[Any, Any, Result]: ...


ReconcileFunction = Callable[[ObjectKey], Coroutine[Any, Any, Result]]
"""The same as a plain `async def`."""


def reconciler_of(given: "Reconciler | ReconcileFunction") -> Reconciler:
    """What a controller calls. Raises TypeError for what cannot be called with a key."""
    function = given.reconcile if isinstance(given, Reconciler) else given
    try:
        signature(function).bind(ObjectKey("", ""))
    except TypeError as error:
        raise TypeError(f"a reconciler is `async def reconcile(key)`: {error}") from error
    return given if isinstance(given, Reconciler) else Calling(given)


@final
class Calling:
    """A reconciler that is one function."""

    def __init__(self, function: ReconcileFunction) -> None:
        self.reconcile = function


class Consistency(Protocol):
    """Asked before each run: has the cache seen what the last run of this key wrote?"""

    def behind(self, key: ObjectKey) -> Awaitable[None] | None:
        """None: it has. Otherwise what to wait for; the key is parked and holds no worker."""
        ...


current_controller: ContextVar[str] = ContextVar("current_controller", default="")
"""The controller whose reconcile this is; child tasks inherit it."""

current_kind: ContextVar[str] = ContextVar("current_kind", default="")
"""The kind that the controller reconciles."""

current_key: ContextVar[ObjectKey | None] = ContextVar("current_key", default=None)
"""The key being reconciled; child tasks inherit it."""

reconcile_id: ContextVar[str] = ContextVar("reconcile_id", default="")
"""Names one run of one key in everything that it logs."""

_facts: ContextVar[dict[str, Any] | None] = ContextVar("reconcile_facts", default=None)


def annotate(**facts: Any) -> None:
    """Add facts to the one log line of this reconcile, which is then worth an `info`.

    Outside a reconcile this does nothing. Never pass a secret.
    """
    collected = _facts.get()
    if collected is not None:
        collected.update(facts)


def collect_facts() -> dict[str, Any]:
    """Start an empty collection for the run that begins in this context, and return it."""
    collected: dict[str, Any] = {}
    _facts.set(collected)
    return collected
