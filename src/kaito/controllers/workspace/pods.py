"""What is wrong with a Workspace's pods, in the words that help most. Pure.

The classes and the order in which they are looked for are upstream's: an image that cannot be
pulled is told before the crash loop that follows from it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kaito.api.names import Reason
from kaito.controllers.workspace.progress import Step, troubled
from kaito.framework.conditions import find_condition
from kaito.kube.objects import Json, Record

MESSAGE_LIMIT = 256
"""Characters of a container's own words that go into a condition."""

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_START = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def trouble(pods: Sequence[Record]) -> Step | None:
    """The first trouble of the first pod that has one; None while everything is on its way."""
    for look in _LOOKS:
        for pod in pods:
            found = look(pod)
            if found is not None:
                reason, message = found
                return troubled(reason, f"pod {pod.meta.name}: {message}"[: 2 * MESSAGE_LIMIT])
    return None


Finding = tuple[str, str] | None


def _containers(pod: Record) -> Iterator[Json]:
    status = pod.get("status") or {}
    for field in ("initContainerStatuses", "containerStatuses"):
        yield from status.get(field) or ()


def _waiting(pod: Record, reasons: frozenset[str]) -> tuple[str, Json] | None:
    for container in _containers(pod):
        state = (container.get("state") or {}).get("waiting") or {}
        if state.get("reason") in reasons:
            return container["name"], state
    return None


def last_termination(container: Json) -> dict[str, Any]:
    """How the container ended last, now or before its restart; empty when it never did."""
    for field in ("state", "lastState"):
        ended = (container.get(field) or {}).get("terminated")
        if ended:
            return dict(ended)
    return {}


def _oom_killed(pod: Record) -> Finding:
    for container in _containers(pod):
        if last_termination(container).get("reason") == "OOMKilled":
            return Reason.CONTAINER_OOM_KILLED, (
                f"container {container['name']} ran out of memory and was killed; "
                "choose a larger instanceType or a shorter max-model-len"
            )
    return None


def _image_pull(pod: Record) -> Finding:
    found = _waiting(pod, _PULL)
    if found is None:
        return None
    name, state = found
    return Reason.IMAGE_PULL_ERROR, f"container {name}: {_words(state)}"


def _start_error(pod: Record) -> Finding:
    found = _waiting(pod, _START)
    if found is None:
        return None
    name, state = found
    return Reason.CONTAINER_START_ERROR, f"container {name}: {_words(state)}"


def _crash_loop(pod: Record) -> Finding:
    for container in _containers(pod):
        state = (container.get("state") or {}).get("waiting") or {}
        if state.get("reason") != "CrashLoopBackOff":
            continue
        ended = last_termination(container)
        return Reason.CONTAINER_CRASH_LOOP, (
            f"container {container['name']} keeps failing (exit code "
            f"{ended.get('exitCode', 'unknown')}, {container.get('restartCount', 0)} restarts); "
            f"see: kubectl logs -n {pod.meta.namespace} {pod.meta.name} "
            f"-c {container['name']} --previous"
        )
    return None


def _evicted(pod: Record) -> Finding:
    status = pod.get("status") or {}
    if status.get("phase") != "Failed" or status.get("reason") != "Evicted":
        return None
    message = status.get("message") or "evicted"
    lower = message.lower()
    if "ephemeral-storage" in lower or "disk" in lower:
        return Reason.NODE_DISK_PRESSURE, message
    if "memory" in lower:
        return Reason.NODE_MEMORY_PRESSURE, message
    return Reason.POD_EVICTED, message


def _unschedulable(pod: Record) -> Finding:
    scheduled = find_condition(pod.get("status", "conditions"), "PodScheduled")
    if scheduled is None or scheduled.status != "False":
        return None
    return Reason.UNSCHEDULABLE, scheduled.message or scheduled.reason


def _words(state: Json) -> str:
    message = state.get("message") or state.get("reason") or ""
    return str(message)[:MESSAGE_LIMIT]


_LOOKS: tuple[Callable[[Record], Finding], ...] = (
    _oom_killed,
    _image_pull,
    _start_error,
    _crash_loop,
    _evicted,
    _unschedulable,
)


def failure(pods: Sequence[Record]) -> str:
    """Which container ended a failed pod, with what; empty when the pods do not tell."""
    for pod in pods:
        for container in _containers(pod):
            ended = last_termination(container)
            if ended.get("exitCode"):
                words = str(ended.get("message") or ended.get("reason") or "").strip()
                tail = f": {words[-MESSAGE_LIMIT:]}" if words else ""
                return f"container {container['name']} exited with {ended['exitCode']}{tail}"
    return ""


def has_started(pod: Record) -> bool:
    """Some container of the pod runs or has run."""
    return any(
        (container.get("state") or {}).keys() & {"running", "terminated"}
        for container in _containers(pod)
    )


def stage(pods: Sequence[Record]) -> str:
    """What the newest pod is doing, for a message that tells progress."""
    if not pods:
        return "no pod has been created yet"
    pod = max(pods, key=lambda record: record.meta.creation_timestamp or "")
    for container in _containers(pod):
        state = container.get("state") or {}
        if "running" in state and not container.get("ready"):
            return f"container {container['name']} of pod {pod.meta.name} is running"
        if "waiting" in state and state["waiting"].get("reason") != "PodInitializing":
            reason = state["waiting"].get("reason", "waiting")
            return f"container {container['name']} of pod {pod.meta.name}: {reason}"
    return f"pod {pod.meta.name} is {(pod.get('status', 'phase') or 'Pending').lower()}"
