"""Finalizers, as merge patches with a precondition: they replace the whole list, and must not
undo what somebody else has just written."""

from kaito.kube.objects import Json, Record


def has_finalizer(record: Record, name: str) -> bool:
    return name in record.meta.finalizers


def add_finalizer(record: Record, name: str) -> Json | None:
    """The JSON merge patch that adds it; None when it is there, or deletion has begun.

    Sending it raises Conflict when the object has changed meanwhile.
    """
    if has_finalizer(record, name) or record.meta.deleting:
        return None
    return _patch(record, (*record.meta.finalizers, name))


def remove_finalizer(record: Record, name: str) -> Json | None:
    """The JSON merge patch that removes it; None when it is not there."""
    if not has_finalizer(record, name):
        return None
    return _patch(record, tuple(other for other in record.meta.finalizers if other != name))


def _patch(record: Record, finalizers: tuple[str, ...]) -> Json:
    return {
        "metadata": {
            "uid": record.meta.uid,
            "resourceVersion": record.meta.resource_version,
            "finalizers": list(finalizers),
        }
    }
