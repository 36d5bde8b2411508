"""Whose is whose: objects by their controller, and orphans that match a selector adopted."""

from collections.abc import Iterable
from typing import final

from kaito.framework.cache import Cache
from kaito.framework.store import Store
from kaito.kube.objects import Record, Resource
from kaito.kube.selectors import LabelSelector
from kaito.simulator.controllers.hands import Patch
from kaito.simulator.controllers.podstate import adopted

_OWNER = "controller"
_LABEL = "label"


def _owners(record: Record) -> Iterable[str]:
    """The controller's uid; orphans are found by their namespace."""
    controller = record.meta.controller
    yield f"orphans of {record.meta.namespace}" if controller is None else controller.uid


def _labels(record: Record) -> Iterable[str]:
    return [f"{record.meta.namespace}/{key}={value}" for key, value in record.meta.labels.items()]


@final
class Dependents:
    """Objects of one kind, found without looking at all of them."""

    def __init__(self, cache: Cache, resource: Resource) -> None:
        self.resource = resource
        indexes = {_OWNER: _owners, _LABEL: _labels}
        self.store: Store = cache.informer(resource, indexes=indexes).store

    def of(self, owner: Record) -> list[Record]:
        """Those that `owner` controls."""
        return self.store.by_index(_OWNER, owner.meta.uid)

    def adoptable(self, owner: Record) -> list[Record]:
        """Those that match the selector of `owner` and have no controller."""
        if owner.meta.deleting:
            return []
        selector = LabelSelector.of(owner.get("spec", "selector"))
        orphans = self.store.by_index(_OWNER, f"orphans of {owner.meta.namespace}")
        return [
            one for one in orphans if not one.meta.deleting and selector.matches(one.meta.labels)
        ]

    def adoptions(self, owner: Record) -> list[Patch]:
        """The patches that make `owner` the controller of what it may adopt."""
        return [self.adoption(one, owner) for one in self.adoptable(owner)]

    def adoption(self, record: Record, owner: Record) -> Patch:
        return Patch(
            resource=self.resource,
            key=record.key,
            uid=record.meta.uid,
            version=record.meta.resource_version,
            patch={"metadata": {"ownerReferences": adopted(record, owner)}},
        )

    def with_labels(self, namespace: str, labels: dict[str, str]) -> list[Record]:
        """Those that have all of these labels; none when there are no labels to have."""
        if not labels:
            return []
        (key, value), *rest = sorted(labels.items())
        found = self.store.by_index(_LABEL, f"{namespace}/{key}={value}")
        return [one for one in found if all(one.meta.labels.get(k) == v for k, v in rest)]
