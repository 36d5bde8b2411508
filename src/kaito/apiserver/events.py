"""Events are stored once and served by two groups under two sets of names."""

from typing import Final

from kaito.apiserver.kinds import Conversion
from kaito.kube.objects import Json

_NAMES: Final = {
    # core/v1: events.k8s.io/v1
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_BACK: Final = {new: old for old, new in _NAMES.items()}


def _renamed(names: dict[str, str], obj: Json) -> Json:
    return {names.get(field, field): value for field, value in obj.items()}


def load(obj: Json) -> Json:
    """A stored (core) Event as events.k8s.io shows it."""
    return _renamed(_NAMES, obj)


def store(obj: Json) -> Json:
    """An Event of events.k8s.io as it is stored."""
    return _renamed(_BACK, obj)


CONVERSION: Final = Conversion(load, store)
