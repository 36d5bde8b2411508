"""Which events are worth a reconcile. A predicate looks at metadata first; it runs on every event.

Only an update is ever filtered here: an object that appears or goes is always news.
"""

from collections.abc import Callable

from kaito.framework.events import Event, Updated
from kaito.kube.objects import Meta

Predicate = Callable[[Event], bool]


def _changed(differs: Callable[[Meta, Meta], bool]) -> Predicate:
    def predicate(event: Event) -> bool:
        return not isinstance(event, Updated) or differs(event.old.meta, event.new.meta)

    return predicate


resource_version_changed: Predicate = _changed(
    lambda old, new: old.resource_version != new.resource_version
)
"""Anything at all changed; what a resync repeats did not."""

generation_changed: Predicate = _changed(
    lambda old, new: old.generation != new.generation or old.deleting != new.deleting
)
"""The spec changed, or deletion began. Kinds without a generation never pass."""

labels_changed: Predicate = _changed(lambda old, new: old.label_map != new.label_map)

annotations_changed: Predicate = _changed(lambda old, new: old.annotation_map != new.annotation_map)

finalizers_changed: Predicate = _changed(lambda old, new: old.finalizers != new.finalizers)

owners_changed: Predicate = _changed(lambda old, new: old.owners != new.owners)


def any_of(*predicates: Predicate) -> Predicate:
    """Passes what at least one of them lets pass."""
    return lambda event: any(predicate(event) for predicate in predicates)


def all_of(*predicates: Predicate) -> Predicate:
    """Passes what every one of them lets pass."""
    return lambda event: all(predicate(event) for predicate in predicates)


def negate(predicate: Predicate) -> Predicate:
    """Passes what the other holds back."""
    return lambda event: not predicate(event)
