"""A pod in play, read back from its status: a kubelet that starts again goes on where it was."""

from collections.abc import Callable

from msgspec.structs import replace

from kaito.kube.objects import Json
from kaito.simulator.nodes.containers import Container, Ended, Phase
from kaito.simulator.nodes.lifecycle import Play, begin

Read = Callable[[str], float]
"""A stamp as seconds since the epoch of the world."""


def resume(pod: Json, *, address: str, host: str, now: float, read: Read) -> Play:
    """The play that led to this status; a pod without one has just begun."""
    status = pod.get("status") or {}
    play = begin(pod, address=address, host=host, now=now)
    if not status.get("startTime"):
        return play
    known = {
        one["name"]: one
        for one in (
            *(status.get("initContainerStatuses") or ()),
            *(status.get("containerStatuses") or ()),
        )
    }
    containers = tuple(_container(one, known.get(one.name), read) for one in play.containers)
    return replace(
        play,
        begun=read(status["startTime"]),
        containers=containers,
        mounted=bool(status.get("podIP")),
    )


def _container(one: Container, status: Json | None, read: Read) -> Container:
    if status is None:
        return one
    state = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated")
    restarts = status.get("restartCount", 0)
    one = replace(
        one, restarts=restarts, crashes=restarts, last=None if last is None else _run(last, read)
    )
    if state.get("running"):
        began = read(state["running"]["startedAt"])
        started = bool(status.get("started"))
        return replace(
            one,
            phase=Phase.RUNNING,
            since=began,
            started_at=began,
            started=started,
            up_since=began if started else 0.0,
            ready=bool(status.get("ready")),
        )
    if state.get("terminated"):
        run = _run(state["terminated"], read)
        return replace(one, phase=Phase.ENDED, since=run.finished, started_at=run.started, last=run)
    # Waiting: for whatever reason, it is looked at anew.
    return one


def _run(terminated: Json, read: Read) -> Ended:
    finished = read(terminated["finishedAt"]) if terminated.get("finishedAt") else 0.0
    return Ended(
        code=terminated.get("exitCode", 0),
        started=read(terminated["startedAt"]) if terminated.get("startedAt") else finished,
        finished=finished,
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
    )
