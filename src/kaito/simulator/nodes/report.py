"""A pod's status as a kubelet of Kubernetes 1.36 writes it."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from kaito.kube.clock import rfc3339
from kaito.kube.objects import Json
from kaito.simulator import images
from kaito.simulator.nodes.containers import Container, Ended, Phase
from kaito.simulator.nodes.lifecycle import Play, last_run

_OURS = (
    "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
)  # fmt: skip
"""The conditions that a kubelet owns, in its order."""


def status_of(play: Play, now: float) -> Json:
    """The whole status; conditions keep their transition time while their status is the same."""
    inits = [one for one in play.containers if one.kind != "main"]
    mains = [one for one in play.containers if one.kind == "main"]
    before = play.pod.get("status") or {}
    status: Json = {
        "phase": play.phase,
        "conditions": _conditions(play, before.get("conditions") or [], now),
        "hostIP": play.host,
        "hostIPs": [{"ip": play.host}],
        "startTime": before.get("startTime") or _time(play.begun),
        "containerStatuses": [_container(play, one) for one in _sorted(mains)],
        "observedGeneration": play.pod["metadata"].get("generation", 1),
    }
    if play.mounted:
        status |= {"podIP": play.address, "podIPs": [{"ip": play.address}]}
    if inits:
        status["initContainerStatuses"] = [_container(play, one) for one in inits]
    return status


def _sorted(containers: Iterable[Container]) -> list[Container]:
    return sorted(containers, key=lambda one: one.name)


# ---- conditions


def _conditions(play: Play, before: list[Json], now: float) -> list[Json]:
    known = {entry["type"]: entry for entry in before}
    wanted = {
        "PodReadyToStartContainers": _condition(play.mounted and not play.over, "", ""),
        "Initialized": _initialized(play),
        "Ready": _ready(play),
        "ContainersReady": _ready(play),
        "PodScheduled": _condition(True, "", ""),
    }
    generation = play.pod["metadata"].get("generation", 1)
    ours = [_entry(name, wanted[name], known.get(name), generation, now) for name in _OURS]
    return [*ours, *(entry for entry in before if entry["type"] not in _OURS)]


def _condition(status: bool, reason: str, message: str) -> Json:
    extra = {"reason": reason, "message": message}
    return {"status": str(status), **{name: text for name, text in extra.items() if text}}


def _entry(name: str, wanted: Json, before: Json | None, generation: int, now: float) -> Json:
    same = before is not None and before["status"] == wanted["status"]
    since = before["lastTransitionTime"] if before is not None and same else _time(now)
    return {
        "type": name,
        "observedGeneration": generation,
        "lastProbeTime": None,
        "lastTransitionTime": since,
        **wanted,
    }


def _initialized(play: Play) -> Json:
    waiting = [
        one.name
        for one in play.containers
        if (one.kind == "init" and not one.succeeded) or (one.kind == "sidecar" and not one.started)
    ]
    if play.phase == "Succeeded":
        return _condition(True, "PodCompleted", "")
    if waiting:
        message = f"containers with incomplete status: [{' '.join(waiting)}]"
        return _condition(False, "ContainersNotInitialized", message)
    return _condition(True, "", "")


def _ready(play: Play) -> Json:
    if play.phase in ("Succeeded", "Failed"):
        reason = "PodCompleted" if play.phase == "Succeeded" else "PodFailed"
        return _condition(False, reason, "")
    unready = [one.name for one in play.containers if one.kind == "main" and not one.ready]
    if unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        return _condition(False, "ContainersNotReady", message)
    return _condition(True, "", "")


# ---- containers


def _container(play: Play, one: Container) -> Json:
    previous = last_run(one)
    status: Json = {
        "name": one.name,
        "image": one.image,
        "imageID": _image_id(one) if one.last or one.phase is Phase.RUNNING else "",
        "ready": one.ready or (one.kind == "init" and one.succeeded),
        "restartCount": one.restarts,
        "started": one.phase is Phase.RUNNING and (one.started or one.kind == "init"),
        "state": _state(play, one),
        "lastState": {} if previous is None else {"terminated": _run(play, one, previous)},
    }
    if one.last is not None or one.phase is Phase.RUNNING:
        status["containerID"] = _container_id(play, one, one.started_at)
    return status


def _state(play: Play, one: Container) -> Json:
    if one.phase is Phase.RUNNING:
        return {"running": {"startedAt": _time(one.started_at)}}
    if one.phase is Phase.ENDED and one.last is not None:
        return {"terminated": _run(play, one, one.last)}
    reason, message = _waiting(play, one)
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _waiting(play: Play, one: Container) -> tuple[str, str]:
    match one.phase:
        case Phase.INVALID:
            return "InvalidImageName", one.problem
        case Phase.PULL_FAILED:
            return "ErrImagePull", one.problem
        case Phase.PULL_BACKOFF:
            message = f'Back-off pulling image "{one.image}": ErrImagePull: {one.problem}'
            return "ImagePullBackOff", message
        case Phase.MISCONFIGURED:
            return "CreateContainerConfigError", one.problem
        case Phase.CRASH_BACKOFF:
            return "CrashLoopBackOff", one.problem
        case _:
            # A kubelet says PodInitializing wherever the pod has init containers at all.
            initialising = any(sibling.kind != "main" for sibling in play.containers)
            return ("PodInitializing" if initialising else "ContainerCreating"), ""


def _run(play: Play, one: Container, run: Ended) -> Json:
    return {
        "exitCode": run.code,
        "reason": run.why,
        "startedAt": _time(run.started),
        "finishedAt": _time(run.finished),
        "containerID": _container_id(play, one, run.started),
    }


def _container_id(play: Play, one: Container, started: float) -> str:
    text = f"{play.pod['metadata']['uid']}/{one.name}/{started}"
    return f"simulated://{hashlib.sha256(text.encode()).hexdigest()}"


def _image_id(one: Container) -> str:
    reference = images.parse(one.image)
    digest = hashlib.sha256(str(reference).encode()).hexdigest()
    return f"{reference.registry}/{reference.repository}@sha256:{digest}"


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
