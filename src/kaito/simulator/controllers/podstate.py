"""What controllers ask about pods, and how they make them from templates."""

import copy
import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from kaito.kube.objects import Json, Record

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters that form no words; those that Kubernetes uses in generated names."""


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str | None = None


class _Status(msgspec.Struct):
    phase: str | None = None


# Asked by a dozen handlers of every change of every pod: the rest is skipped, not decoded.
_spec: Final = msgspec.json.Decoder(_Spec).decode
_status: Final = msgspec.json.Decoder(_Status).decode


def node_of(pod: Record) -> str:
    """The name of the node that a pod is bound to, if it is."""
    text = pod.raw("spec")
    return (_spec(text).node_name or "") if text is not None else ""


def phase(pod: Record) -> str:
    text = pod.raw("status")
    return (_status(text).phase or "") if text is not None else ""


def is_over(pod: Record) -> bool:
    """It has succeeded or failed."""
    return phase(pod) in ("Succeeded", "Failed")


def is_ready(pod: Record) -> bool:
    return ready_since(pod) is not None


def ready_since(pod: Record) -> str | None:
    """The transition time of its Ready condition, if that is True."""
    for condition in pod.get("status", "conditions") or ():
        if condition["type"] == "Ready" and condition["status"] == "True":
            return str(condition.get("lastTransitionTime") or "")
    return None


def is_running_and_ready(pod: Record) -> bool:
    return phase(pod) == "Running" and is_ready(pod)


def is_active(pod: Record) -> bool:
    return not is_over(pod) and not pod.meta.deleting


def owner_reference(owner: Record) -> Json:
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.meta.name,
        "uid": owner.meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def adopted(record: Record, owner: Record) -> list[Json]:
    """The owner references of an orphan once it has a controller."""
    before = [msgspec.to_builtins(reference) for reference in record.meta.owners]
    return [*before, owner_reference(owner)]


def pod_from(template: Json, owner: Record, **metadata: Any) -> Json:
    """A pod of a template. `metadata` is merged in; labels and annotations are added to."""
    given = template.get("metadata") or {}
    made: Json = {
        "namespace": owner.meta.namespace,
        "labels": {**(given.get("labels") or {}), **metadata.pop("labels", {})},
        "ownerReferences": [owner_reference(owner)],
        **metadata,
    }
    if given.get("annotations"):
        made["annotations"] = dict(given["annotations"])
    if given.get("finalizers") and "finalizers" not in made:
        made["finalizers"] = list(given["finalizers"])
    spec = copy.deepcopy(template.get("spec") or {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": spec}


def hash_of(value: object) -> str:
    """A short name for a value: equal values have equal names, on every run."""
    text = msgspec.json.encode(value, order="deterministic")
    number = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    return "".join(_ALPHABET[int(digit)] for digit in str(number))


def by_age(pods: Iterable[Record]) -> list[Record]:
    return sorted(pods, key=lambda pod: (pod.meta.creation_timestamp or "", pod.meta.name))
