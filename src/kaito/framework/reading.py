"""Which stores a run may read: those that its controller has waited for.

A store that nobody waited for may still be empty when the first run reads it, and what is missing
looks like what was deleted. So such a read is an error, always, and not only when it comes too
early. Outside of runs (handlers, probes, tests) everything may be read at any time.
"""

from contextvars import ContextVar
from typing import Protocol

from kaito.framework.reconcile import current_controller
from kaito.kube.objects import Resource


class Readable(Protocol):
    """A store, as far as it matters here."""

    @property
    def resource(self) -> Resource: ...


awaited_stores: ContextVar[set[Readable] | None] = ContextVar("awaited_stores", default=None)
"""Those of the controller whose run this is; None outside of runs. Child tasks inherit it."""


class NotAwaited(LookupError):
    """A run has read a store that its controller does not wait for: a mistake in the program."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(
            f"controller {current_controller.get()} reads {resource.group_resource}, whose cache "
            "it does not wait for, so that it may be empty yet: to its sources, add reads() of "
            "that kind, or any other source of it, with the options of the informer"
        )


def check_awaited(store: Readable) -> None:
    """Raises NotAwaited when the run that is going on may not read this store."""
    awaited = awaited_stores.get()
    if awaited is not None and store not in awaited:
        raise NotAwaited(store.resource)


def allow_incomplete(store: Readable) -> None:
    """From now on, runs of the controller whose run this is may read the store as it is.

    For whoever has waited for it within the run (`Informer.synced` says so by itself), and for
    whom an absence proves nothing.
    """
    awaited = awaited_stores.get()
    if awaited is not None:
        awaited.add(store)
