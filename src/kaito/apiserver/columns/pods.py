"""Pods: ready containers, the status in one word, restarts."""

from dataclasses import dataclass
from typing import Any, Final, final

from kaito.apiserver.columns.cells import (
    AGE,
    NAME,
    NONE,
    ago,
    at,
    column,
    plain,
    text,
    wide,
)
from kaito.apiserver.kinds import Column, Moment
from kaito.kube.objects import Json


@final
@dataclass(slots=True)
class _Summary:
    """What the cells of one pod say."""

    reason: str = ""
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count_restart(self, status: Json) -> None:
        self.restarts += status.get("restartCount", 0)
        finished = at(status, "lastState", "terminated", "finishedAt") or ""
        self.last_restart = max(self.last_restart, finished)


def _exit_words(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _sidecars(pod: Json) -> set[str]:
    """Init containers that stay: their own restartPolicy is Always."""
    initial = at(pod, "spec", "initContainers") or []
    return {c["name"] for c in initial if c.get("restartPolicy") == "Always"}


def _condition(pod: Json, kind: str) -> Json:
    conditions = at(pod, "status", "conditions") or []
    found: Json = next((one for one in conditions if one.get("type") == kind), {})
    return found


def summary(pod: Json) -> _Summary:
    """The pod in few words, the deepest cause first."""
    sidecars = _sidecars(pod)
    said = _Summary(
        reason=at(pod, "status", "reason") or at(pod, "status", "phase") or "",
        total=len(at(pod, "spec", "containers") or []) + len(sidecars),
    )
    if _condition(pod, "PodScheduled").get("reason") == "SchedulingGated":
        said.reason = "SchedulingGated"
    initializing = _initial(pod, said, sidecars)
    if not initializing or _condition(pod, "Initialized").get("status") == "True":
        _main(pod, said, sidecars)
    _deleted(pod, said)
    return said


def _initial(pod: Json, said: _Summary, sidecars: set[str]) -> bool:
    """Init containers; True while one of them has not finished."""
    statuses = at(pod, "status", "initContainerStatuses") or []
    count = len(at(pod, "spec", "initContainers") or [])
    for index, status in enumerate(statuses):
        said.count_restart(status)
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and not terminated.get("exitCode", 0):
            continue
        if status["name"] in sidecars and status.get("started"):
            said.ready += bool(status.get("ready"))
            continue
        if terminated is not None:
            said.reason = f"Init:{_exit_words(terminated)}"
        elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
            said.reason = f"Init:{waiting['reason']}"
        else:
            said.reason = f"Init:{index}/{count}"
        return True
    return False


def _main(pod: Json, said: _Summary, sidecars: set[str]) -> None:
    """The containers proper; of the init containers' restarts only the sidecars' count now."""
    said.restarts, said.last_restart = 0, ""
    for status in at(pod, "status", "initContainerStatuses") or []:
        if status["name"] in sidecars:
            said.count_restart(status)
    running = False
    for status in reversed(at(pod, "status", "containerStatuses") or []):
        said.count_restart(status)
        state = status.get("state") or {}
        if at(state, "waiting", "reason"):
            said.reason = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            said.reason = _exit_words(state["terminated"])
        elif status.get("ready") and state.get("running") is not None:
            running = True
            said.ready += 1
    if said.reason == "Completed" and running:
        ready = _condition(pod, "Ready").get("status") == "True"
        said.reason = "Running" if ready else "NotReady"


def _deleted(pod: Json, said: _Summary) -> None:
    if not pod["metadata"].get("deletionTimestamp"):
        return
    if at(pod, "status", "reason") == "NodeLost":
        said.reason = "Unknown"
    elif at(pod, "status", "phase") not in ("Succeeded", "Failed"):
        said.reason = "Terminating"


def _ready(pod: Json) -> str:
    said = summary(pod)
    return f"{said.ready}/{said.total}"


def _restarts(pod: Json, moment: Moment) -> str:
    said = summary(pod)
    if said.restarts and said.last_restart:
        return f"{said.restarts} ({ago(said.last_restart, moment)} ago)"
    return str(said.restarts)


def _address(pod: Json) -> Any:
    addresses = at(pod, "status", "podIPs") or []
    return addresses[0].get("ip") if addresses else at(pod, "status", "podIP") or NONE


def _gates(pod: Json) -> str:
    gates = at(pod, "spec", "readinessGates") or []
    if not gates:
        return NONE
    true = sum(_condition(pod, gate["conditionType"]).get("status") == "True" for gate in gates)
    return f"{true}/{len(gates)}"


COLUMNS: Final[tuple[Column, ...]] = (
    NAME,
    plain("Ready", _ready),
    plain("Status", lambda pod: summary(pod).reason),
    column("Restarts", _restarts),
    AGE,
    wide(plain("IP", _address)),
    wide(column("Node", text("spec", "nodeName"))),
    wide(column("Nominated Node", text("status", "nominatedNodeName"))),
    wide(plain("Readiness Gates", _gates)),
)
