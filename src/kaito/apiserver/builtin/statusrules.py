"""What a real server checks of a built-in object's status; each text is the real server's."""

from collections.abc import Callable, Iterator
from typing import Final

from kaito.kube import quantity
from kaito.kube.objects import Json
from kaito.kube.schema import fields
from kaito.kube.schema.fields import FieldError

Findings = Iterator[FieldError]
_NEGATIVE: Final = "must be greater than or equal to 0"
_TOO_MANY: Final = "cannot be greater than status.replicas"

_COUNTS: Final = {
    "Deployment": ("updatedReplicas", "readyReplicas", "availableReplicas"),
    "StatefulSet": ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
    "ReplicaSet": ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
}
_OTHERS: Final = {
    "Deployment": ("unavailableReplicas", "terminatingReplicas"),
    "StatefulSet": (),
    "ReplicaSet": ("terminatingReplicas",),
}
_UNCHECKED: Final = {("StatefulSet", "availableReplicas")}
_READY: Final = {
    "Deployment": "cannot be greater than readyReplicas",
    "StatefulSet": "cannot be greater than status.readyReplicas",
    "ReplicaSet": "cannot be greater than readyReplicas",
}


def check(group: str, kind: str, obj: Json, old: Json | None) -> list[FieldError]:
    """Findings about the status of a built-in object; `old` is what it replaces."""
    status, before = obj.get("status") or {}, (old or {}).get("status") or {}
    rule = _RULES.get((group, kind))
    return [] if rule is None else list(rule(kind, obj, status, before))


def _counted(status: Json, *names: str) -> Findings:
    for name in names:
        if (status.get(name) or 0) < 0:
            yield fields.invalid(f"status.{name}", status[name], _NEGATIVE)


def _workload(kind: str, _: Json, status: Json, __: Json) -> Findings:
    counts = _COUNTS[kind]
    checked = [name for name in counts if (kind, name) not in _UNCHECKED]
    yield from _counted(
        status, "replicas", *checked, *_OTHERS[kind], "observedGeneration", "collisionCount"
    )
    replicas = status.get("replicas") or 0
    for name in counts:
        if (value := status.get(name) or 0) > replicas:
            yield fields.invalid(f"status.{name}", value, _TOO_MANY)
    available, ready = status.get("availableReplicas") or 0, status.get("readyReplicas") or 0
    if available > ready:
        yield fields.invalid("status.availableReplicas", available, _READY[kind])


def _daemon_set(_: str, __: Json, status: Json, ___: Json) -> Findings:
    yield from _counted(
        status,
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    )


def _job(_: str, __: Json, status: Json, before: Json) -> Findings:
    yield from _counted(status, "active", "succeeded", "failed", "ready", "terminating")
    for name in ("succeeded", "failed"):
        if (status.get(name) or 0) < (before.get(name) or 0):
            why = f"cannot decrease the {name} counter"
            yield fields.invalid(f"status.{name}", status.get(name) or 0, why)
    ready = status.get("ready") or 0
    if ready >= 0 and ready > (status.get("active") or 0):
        yield fields.invalid("status.ready", ready, "cannot set more ready pods than active")
    yield from _job_end(status)
    for outcome, uids in sorted((status.get("uncountedTerminatedPods") or {}).items()):
        for index, uid in enumerate(uids or ()):
            path = f"status.uncountedTerminatedPods.{outcome}[{index}]"
            if not uid:
                yield fields.invalid(path, uid, "must not be empty")
            elif uid in uids[:index]:
                yield fields.duplicate(path, uid)


def _job_end(status: Json) -> Findings:
    true = {c.get("type") for c in status.get("conditions") or () if c.get("status") == "True"}
    end, start = status.get("completionTime"), status.get("startTime")
    if end is not None and "Complete" not in true:
        why = "cannot set completionTime when there is no Complete=True condition"
        yield fields.invalid("status.completionTime", end, why)
    if end is not None and start is not None and end < start:
        yield fields.invalid("status.completionTime", end, "must be equal to or after `startTime`")
    for last, first in (("Complete", "SuccessCriteriaMet"), ("Failed", "FailureTarget")):
        if last in true and first not in true:
            why = f"cannot set {last}=True condition without the {first}=true condition"
            yield fields.invalid("status.conditions", fields.OMITTED, why)


def _node(_: str, __: Json, status: Json, ___: Json) -> Findings:
    for part in ("capacity", "allocatable"):
        for name, amount in (status.get(part) or {}).items():
            path = f"status.{part}.{name}"
            value = quantity.parse(amount)
            if value < 0:
                yield fields.invalid(path, amount, _NEGATIVE)
            elif "/" in name and value != int(value):
                yield fields.invalid(path, amount, "must be an integer")


def _service(_: str, obj: Json, status: Json, __: Json) -> Findings:
    ingress = (status.get("loadBalancer") or {}).get("ingress")
    if ingress and (obj.get("spec") or {}).get("type") != "LoadBalancer":
        why = "may only be used when `spec.type` is 'LoadBalancer'"
        yield fields.forbidden("status.loadBalancer.ingress", why)


_Rule = Callable[[str, Json, Json, Json], Findings]
_RULES: Final[dict[tuple[str, str], _Rule]] = {
    ("apps", "Deployment"): _workload,
    ("apps", "StatefulSet"): _workload,
    ("apps", "ReplicaSet"): _workload,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "Node"): _node,
    ("", "Service"): _service,
}
