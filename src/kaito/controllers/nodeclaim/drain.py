"""Which pods leave a Node next, and how. Pure.

Four waves, as in Karpenter: pods that are neither critical nor a DaemonSet's, the DaemonSets' of
those, then the same for critical ones; a wave begins when the one before it has left. Not waited
for are pods that have ended, static pods, pods that tolerate the taint of draining, and pods whose
deletion has not come to its end for a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from kaito.controllers.nodeclaim import words
from kaito.kube.clock import parse_rfc3339
from kaito.kube.objects import Meta, Record

_STUCK: Final = timedelta(minutes=1)
_DEFAULT_GRACE: Final = 30
"""Kubernetes' terminationGracePeriodSeconds."""
_CRITICAL: Final = frozenset({"system-cluster-critical", "system-node-critical"})


class _Toleration(msgspec.Struct, frozen=True):
    key: str = ""
    operator: str = ""
    effect: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    tolerations: tuple[_Toleration, ...] | None = None
    priority_class_name: str = ""
    termination_grace_period_seconds: int | None = None


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as it was read."""

    meta: Meta
    spec: _Spec
    phase: str

    @property
    def daemon(self) -> bool:
        controller = self.meta.controller
        return controller is not None and controller.kind == "DaemonSet"

    @property
    def wave(self) -> tuple[bool, bool]:
        return self.spec.priority_class_name in _CRITICAL, self.daemon

    @property
    def grace(self) -> timedelta:
        seconds = self.spec.termination_grace_period_seconds
        return timedelta(seconds=_DEFAULT_GRACE if seconds is None else seconds)

    @property
    def protected(self) -> bool:
        """Its owner asked that nobody disrupts it."""
        return self.meta.annotations.get(words.Annotation.DO_NOT_DISRUPT) == "true"


def pod_of(record: Record) -> Pod:
    """Read a pod leniently."""
    status = record.field("status", _Status) or _Status()
    return Pod(record.meta, record.field("spec", _Spec) or _Spec(), status.phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do now. With nothing waiting, the Node is drained."""

    waiting: tuple[Pod, ...] = ()
    """All pods that still have to leave."""
    evict: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    """The time for politeness is over for these."""


def next_step(pods: Sequence[Pod], now: datetime, deadline: datetime | None) -> Step:
    """Ask the next wave to leave; after `deadline` less a pod's own grace, make it leave."""
    waiting = tuple(pod for pod in pods if _waited_for(pod, now))
    if not waiting:
        return Step()
    wave = min(pod.wave for pod in waiting)
    here = [pod for pod in waiting if not pod.meta.deleting]
    late = tuple(pod for pod in here if deadline is not None and now >= deadline - pod.grace)
    polite = tuple(
        pod for pod in here if pod.wave == wave and pod not in late and not pod.protected
    )
    return Step(waiting=waiting, evict=polite, delete=late)


def told(waiting: Sequence[Pod]) -> str:
    """Whom the drain waits for, in one line that changes only when that does."""
    names = sorted(f"{pod.meta.namespace}/{pod.meta.name}" for pod in waiting)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"waiting for pods to leave the node: {', '.join(names[:5])}{more}"


def _waited_for(pod: Pod, now: datetime) -> bool:
    if pod.phase in {"Succeeded", "Failed"} or words.Annotation.MIRROR in pod.meta.annotations:
        return False
    if _tolerates(pod):
        return False
    ends = pod.meta.deletion_timestamp
    return ends is None or now < parse_rfc3339(ends) + _STUCK


def _tolerates(pod: Pod) -> bool:
    """The taint `karpenter.sh/disrupted:NoSchedule`."""
    return any(
        (not toleration.key and toleration.operator == "Exists")
        or toleration.key == words.Taint.DISRUPTED
        for toleration in pod.spec.tolerations or ()
        if toleration.effect in {"", "NoSchedule"}
    )
