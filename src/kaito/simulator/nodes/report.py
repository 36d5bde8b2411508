"""A pod's status as a kubelet of Kubernetes 1.36 writes it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

from kaito.kube.objects import Json
from kaito.simulator import images
from kaito.simulator.nodes.containers import Container, Ended, Phase
from kaito.simulator.nodes.lifecycle import Play, last_run

_OURS = (
    "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
)  # fmt: skip
"""The conditions that a kubelet owns, in its order."""


Stamp = Callable[[float], str]
"""How a moment of the world is written."""


def status_of(play: Play, now: float, stamp: Stamp) -> Json:
    """The whole status; conditions keep their transition time while their status is the same."""
    return _Report(play, now, stamp).status()


@final
@dataclass(frozen=True, slots=True)
class _Report:
    play: Play
    now: float
    stamp: Stamp

    def status(self) -> Json:
        play = self.play
        inits = [one for one in play.containers if one.kind != "main"]
        mains = [one for one in play.containers if one.kind == "main"]
        before = play.pod.get("status") or {}
        status: Json = {
            "phase": play.phase,
            "conditions": self._conditions(before.get("conditions") or []),
            "hostIP": play.host,
            "hostIPs": [{"ip": play.host}],
            "startTime": before.get("startTime") or self.stamp(play.begun),
            "containerStatuses": [self._container(one) for one in _sorted(mains)],
            "observedGeneration": play.pod["metadata"].get("generation", 1),
        }
        if play.mounted:
            status |= {"podIP": play.address, "podIPs": [{"ip": play.address}]}
        if inits:
            status["initContainerStatuses"] = [self._container(one) for one in inits]
        return status

    def _conditions(self, before: list[Json]) -> list[Json]:
        play = self.play
        known = {entry["type"]: entry for entry in before}
        wanted = {
            "PodReadyToStartContainers": _condition(play.mounted and not play.over, "", ""),
            "Initialized": _initialized(play),
            "Ready": _ready(play),
            "ContainersReady": _ready(play),
            "PodScheduled": _condition(True, "", ""),
        }
        ours = [self._entry(name, wanted[name], known.get(name)) for name in _OURS]
        return [*ours, *(entry for entry in before if entry["type"] not in _OURS)]

    def _entry(self, name: str, wanted: Json, before: Json | None) -> Json:
        same = before is not None and before["status"] == wanted["status"]
        since = before.get("lastTransitionTime") if before is not None and same else None
        return {
            "type": name,
            "observedGeneration": self.play.pod["metadata"].get("generation", 1),
            "lastProbeTime": None,
            "lastTransitionTime": since or self.stamp(self.now),
            **wanted,
        }

    def _container(self, one: Container) -> Json:
        previous = last_run(one)
        # A container that waits to be restarted has not been counted up yet.
        before = one.restarts - (1 if one.phase is Phase.RUNNING else 0)
        ran = one.last is not None or one.phase is Phase.RUNNING
        status: Json = {
            "name": one.name,
            "image": one.image,
            "imageID": _image_id(one) if ran else "",
            "ready": one.ready or (one.kind == "init" and one.succeeded),
            "restartCount": one.restarts,
            "started": one.phase is Phase.RUNNING and (one.started or one.kind == "init"),
            "state": self._state(one),
            "lastState": {}
            if previous is None
            else {"terminated": self._run(one, previous, before)},
        }
        if ran:
            status["containerID"] = self._container_id(one, one.restarts)
        return status

    def _state(self, one: Container) -> Json:
        if one.phase is Phase.RUNNING:
            return {"running": {"startedAt": self.stamp(one.started_at)}}
        if one.phase is Phase.ENDED and one.last is not None:
            return {"terminated": self._run(one, one.last, one.restarts)}
        reason, message = _waiting(self.play, one)
        return {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def _run(self, one: Container, run: Ended, number: int) -> Json:
        return {
            "exitCode": run.code,
            "reason": run.why,
            **({"message": run.message} if run.message else {}),
            "startedAt": self.stamp(run.started),
            "finishedAt": self.stamp(run.finished),
            "containerID": self._container_id(one, number),
        }

    def _container_id(self, one: Container, run: int) -> str:
        text = f"{self.play.pod['metadata']['uid']}/{one.name}/{run}"
        return f"simulated://{hashlib.sha256(text.encode()).hexdigest()}"


def _sorted(containers: Iterable[Container]) -> list[Container]:
    return sorted(containers, key=lambda one: one.name)


def _condition(status: bool, reason: str, message: str) -> Json:
    extra = {"reason": reason, "message": message}
    return {"status": str(status), **{name: text for name, text in extra.items() if text}}


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


def _image_id(one: Container) -> str:
    reference = images.parse(one.image)
    digest = hashlib.sha256(str(reference).encode()).hexdigest()
    return f"{reference.registry}/{reference.repository}@sha256:{digest}"
