"""One pod as its kubelet plays it: pure, from one frozen value to the next.

    begin ──> advance ──> advance ──> ... ──> finished
                 │ mounts, then the containers' stages, then the end of sidecars or of everything
                 └─ answers when to look again, and what to tell: events, log lines, images

Whoever holds the value decides when to call `advance`: at the time it asked for, or whenever
something it looks at has changed. Calling it too often changes nothing.
"""

import math

import msgspec
from msgspec.structs import replace

from kaito.kube.objects import Json
from kaito.simulator.images import Reference
from kaito.simulator.nodes.containers import Container, Ended, Phase, containers_of
from kaito.simulator.nodes.endings import is_running, stopped_code
from kaito.simulator.nodes.moment import Change, Moment, Note, Surroundings, normal, warning
from kaito.simulator.nodes.stages import doubled, ended, next_stage

MOUNT_RETRY_LIMIT = 122.0
"""A kubelet's longest wait between two tries to mount a volume."""


class Play(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A pod in play. Times are seconds since the epoch."""

    pod: Json
    """As it is now, while it is played; not to be changed."""
    address: str
    host: str
    """Address of its machine."""
    begun: float
    containers: tuple[Container, ...]
    mounted: bool = False
    mount_failures: int = 0
    mount_failed_at: float = 0.0
    stopping: float | None = None
    """When its containers were told to stop because the pod is being deleted."""

    @property
    def policy(self) -> str:
        return str(self.pod["spec"].get("restartPolicy") or "Always")

    @property
    def phase(self) -> str:
        return _phase(self)

    @property
    def over(self) -> bool:
        """It has succeeded or failed, and stays so."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def gone(self) -> bool:
        """It is being deleted and nothing of it runs any more."""
        deleting = bool(self.pod["metadata"].get("deletionTimestamp"))
        return deleting and not any(map(is_running, self.containers))


class Step(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What `advance` made of a pod, and what it wants to be told to others."""

    play: Play
    notes: tuple[Note, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    """(container, line)."""
    pulled: tuple[str, ...] = ()
    pushed: tuple[tuple[Reference, str], ...] = ()
    wake: float = math.inf
    """When to look again, if nothing changes before."""


def begin(pod: Json, *, address: str, host: str, now: float) -> Play:
    """A pod that has just been bound to a node."""
    return Play(pod=pod, address=address, host=host, begun=now, containers=containers_of(pod, now))


def advance(play: Play, around: Surroundings) -> Step:
    """Everything that is due by now."""
    if play.pod["metadata"].get("deletionTimestamp"):
        return _stop(play, around)
    if play.over:
        return Step(play=play)
    step = _mount(play, around)
    if not step.play.mounted:
        return step
    return _run(step.play, around)


def _mount(play: Play, around: Surroundings) -> Step:
    if play.mounted:
        return Step(play=play)
    if not around.missing:
        return Step(play=replace(play, mounted=True))
    due = play.mount_failed_at + _mount_wait(play, around) if play.mount_failures else 0.0
    if around.now < due:
        return Step(play=play, wake=due)
    notes = tuple(
        warning("FailedMount", f'MountVolume.SetUp failed for volume "{volume}" : {what}')
        for volume, what in around.missing
    )
    failed = replace(play, mount_failures=play.mount_failures + 1, mount_failed_at=around.now)
    return Step(play=failed, notes=notes, wake=around.now + _mount_wait(failed, around))


def _mount_wait(play: Play, around: Surroundings) -> float:
    return doubled(around.options.mount_retry, play.mount_failures - 1, MOUNT_RETRY_LIMIT)


def _run(play: Play, around: Surroundings) -> Step:
    step = Step(play=play)
    while True:
        wake, due = math.inf, None
        for index, one in enumerate(step.play.containers):
            moment = _moment(step.play, one, around)
            found = next_stage(moment)
            if found is not None and found[0] < wake:
                wake, due = found[0], (index, moment, found[1])
        if due is None or wake > around.now:
            return replace(step, wake=wake)
        index, moment, stage = due
        step = _apply(step, index, stage.change(moment, wake))
        if step.play.over:
            return _end_sidecars(step, wake)


def _moment(play: Play, one: Container, around: Surroundings) -> Moment:
    return Moment(pod=play.pod, siblings=play.containers, one=one, around=around)


def _apply(step: Step, index: int, change: Change) -> Step:
    containers = list(step.play.containers)
    containers[index] = change.container
    name = change.container.name
    return replace(
        step,
        play=replace(step.play, containers=tuple(containers)),
        notes=(*step.notes, *change.notes),
        lines=(*step.lines, *((name, line) for line in change.lines)),
        pulled=(*step.pulled, change.pulled) if change.pulled else step.pulled,
        pushed=(*step.pushed, change.pushed) if change.pushed else step.pushed,
    )


def _end_sidecars(step: Step, at: float) -> Step:
    """When the last main container has ended for good, sidecars are stopped."""
    containers = tuple(
        ended(one, stopped_code(one), at) if is_running(one) else one
        for one in step.play.containers
    )
    return replace(step, play=replace(step.play, containers=containers))


def _stop(play: Play, around: Surroundings) -> Step:
    """The pod is being deleted: what runs is told to stop, and ends soon after."""
    running = [one for one in play.containers if is_running(one)]
    if not running:
        return Step(play=play)
    notes: tuple[Note, ...] = ()
    if play.stopping is None:
        play = replace(play, stopping=around.now)
        notes = tuple(normal("Killing", f"Stopping container {one.name}") for one in running)
    grace = play.pod["metadata"].get("deletionGracePeriodSeconds")
    took = min(around.options.stop, 30.0 if grace is None else float(grace))
    at = (play.stopping or around.now) + took
    if around.now < at:
        return Step(play=play, notes=notes, wake=at)
    containers = tuple(
        ended(one, stopped_code(one), at) if is_running(one) else one for one in play.containers
    )
    return Step(play=replace(play, containers=containers), notes=notes)


def _phase(play: Play) -> str:
    """A pod's phase from its containers, by the rules of a kubelet."""
    inits = [one for one in play.containers if one.kind == "init"]
    mains = [one for one in play.containers if one.kind == "main"]
    if any(_failed_for_good(play, one) for one in inits):
        return "Failed"
    if any(not one.succeeded for one in inits) or any(map(_never_ran, mains)):
        return _phase_of_the_stopped(play)
    if any(one.phase is not Phase.ENDED or _restarts(play, one) for one in mains):
        return _phase_of_the_stopped(play, "Running")
    return "Succeeded" if all(one.succeeded for one in mains) else "Failed"


def _phase_of_the_stopped(play: Play, phase: str = "Pending") -> str:
    """A deleted pod whose containers have all ended is over, whatever its restart policy."""
    if not play.gone or phase == "Pending":
        return phase
    mains = [one for one in play.containers if one.kind == "main"]
    return "Succeeded" if all(one.succeeded for one in mains) else "Failed"


def _failed_for_good(play: Play, one: Container) -> bool:
    return one.phase is Phase.ENDED and not one.succeeded and play.policy == "Never"


def _never_ran(one: Container) -> bool:
    return one.last is None and one.phase is not Phase.RUNNING


def _restarts(play: Play, one: Container) -> bool:
    if play.policy == "Always":
        return True
    return play.policy == "OnFailure" and not one.succeeded


def last_run(one: Container) -> Ended | None:
    """The run before the present one."""
    return one.last if one.phase is not Phase.ENDED else None


__all__ = ["Play", "Step", "advance", "begin", "last_run"]
