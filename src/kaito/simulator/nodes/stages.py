"""A container's way through its life, as a table of stages.

Nothing here waits or writes. `kaito.simulator.nodes.lifecycle` picks the stage that is due first.
Reasons and messages are those of a kubelet of Kubernetes 1.36.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from kaito.simulator import images
from kaito.simulator.nodes import probes
from kaito.simulator.nodes.containers import Container, Ended, Phase
from kaito.simulator.nodes.endings import ending, greeting
from kaito.simulator.nodes.moment import Change, Moment, Note, normal, warning


@dataclass(frozen=True, slots=True)
class Stage:
    """One arrow: from the phase in which it applies, at its time, to what comes next."""

    name: str
    phase: Phase
    applies: Callable[[Moment], bool]
    at: Callable[[Moment], float]
    """Seconds since the epoch; infinite: not of its own accord."""
    change: Callable[[Moment, float], Change]
    """Given the time at which it happens."""


# ---- images


def _its_turn(moment: Moment) -> bool:
    """Init containers run one by one; the others start together, after them."""
    for sibling in moment.siblings:
        if sibling.kind == "main" or sibling.name == moment.one.name:
            return True
        passed = sibling.succeeded if sibling.kind == "init" else sibling.started
        if not passed:
            return False
    return True


def _valid(image: str) -> bool:
    try:
        images.parse(image)
    except images.InvalidReference:
        return False
    return True


def _refuse(moment: Moment, at: float) -> Change:
    image = moment.one.image
    try:
        images.parse(image)
        why = ""
    except images.InvalidReference as error:
        why = f"couldn't parse image name {_quoted(image)}: {error}"
    message = f"Failed to apply default image tag {_quoted(image)}: {why}"
    return Change(
        container=replace(moment.one, phase=Phase.INVALID, since=at, problem=message),
        notes=(warning("InspectFailed", message), warning("Failed", "Error: InvalidImageName")),
    )


def _on_node(moment: Moment) -> bool:
    reference = images.parse(moment.one.image)
    latest = reference.tag == "latest" and not reference.digest
    policy = moment.one.spec.get("imagePullPolicy") or ("Always" if latest else "IfNotPresent")
    return policy != "Always" and moment.around.cached(str(reference))


def _skip_pull(moment: Moment, at: float) -> Change:
    message = (
        f"Container image {_quoted(moment.one.image)} already present on machine "
        "and can be accessed by the pod"
    )
    return Change(
        container=replace(moment.one, phase=Phase.PULLED, since=at),
        notes=(normal("Pulled", message),),
    )


def _pull(moment: Moment, at: float) -> Change:
    return Change(
        container=replace(moment.one, phase=Phase.PULLING, since=at),
        notes=(normal("Pulling", f"Pulling image {_quoted(moment.one.image)}"),),
    )


def _problem(moment: Moment) -> str:
    return moment.around.registries.problem(images.parse(moment.one.image))


def _pulled_at(moment: Moment) -> float:
    options = moment.around.options
    if _problem(moment):
        return moment.one.since + options.pull_failure
    reference = images.parse(moment.one.image)
    # A tag that is pulled always costs one question when the node has the image.
    size = 0 if moment.around.cached(str(reference)) else images.size_of(reference)
    return moment.one.since + options.pull_overhead + size / options.pull_bytes_per_second


def _finish_pull(moment: Moment, at: float) -> Change:
    one, problem = moment.one, _problem(moment)
    image = _quoted(one.image)
    if problem:
        failed = replace(
            one,
            phase=Phase.PULL_FAILED,
            since=at,
            problem=problem,
            failed_pulls=one.failed_pulls + 1,
        )
        notes = (
            warning("Failed", f"Failed to pull image {image}: {problem}"),
            warning("Failed", "Error: ErrImagePull"),
        )
        return Change(container=failed, notes=notes)
    reference = images.parse(one.image)
    took = f"{at - one.since:.3f}s"
    size = images.size_of(reference)
    message = (
        f"Successfully pulled image {image} in {took} ({took} including waiting). "
        f"Image size: {size} bytes."
    )
    return Change(
        container=replace(one, phase=Phase.PULLED, since=at, failed_pulls=0, problem=""),
        notes=(normal("Pulled", message),),
        pulled=str(reference),
    )


def _back_off_pull(moment: Moment, _at: float) -> Change:
    # `since` stays the time of the failure: the backoff counts from there.
    return Change(
        container=replace(moment.one, phase=Phase.PULL_BACKOFF),
        notes=(
            normal("BackOff", f"Back-off pulling image {_quoted(moment.one.image)}"),
            warning("Failed", "Error: ImagePullBackOff"),
        ),
    )


def _pull_again_at(moment: Moment) -> float:
    options = moment.around.options
    wait = doubled(options.image_backoff, moment.one.failed_pulls - 1, options.backoff_limit)
    return moment.one.since + wait


def doubled(first: float, times: int, limit: float) -> float:
    """`first`, doubled so many times, but never more than `limit`."""
    return min(first * 2.0 ** min(times, 30), limit)


# ---- running


def _start(moment: Moment, at: float) -> Change:
    missing = moment.around.misconfigured(moment.one.spec)
    if missing:
        waiting = replace(moment.one, phase=Phase.MISCONFIGURED, since=at, problem=missing)
        return Change(container=waiting, notes=(warning("Failed", f"Error: {missing}"),))
    running = replace(
        moment.one,
        phase=Phase.RUNNING,
        since=at,
        started_at=at,
        restarts=moment.one.restarts + (1 if moment.one.last else 0),
        started=False,
        ready=False,
        complained=False,
        sick_since=0.0,
        problem="",
    )
    return Change(
        container=running,
        notes=(normal("Created", "Container created"), normal("Started", "Container started")),
        lines=greeting(running),
    )


def _configured(moment: Moment) -> bool:
    return not moment.around.misconfigured(moment.one.spec)


def _ends_at(moment: Moment) -> float:
    found = ending(moment)
    return math.inf if found is None else found.at


def _end(moment: Moment, at: float) -> Change:
    found = ending(moment)
    if found is None:
        return Change(container=moment.one)
    return Change(
        container=ended(
            moment.one, found.code, at, moment.around.options.backoff_reset, found.lines
        ),
        lines=found.lines,
        pushed=found.pushed,
    )


MESSAGE_LIMIT = 2048
"""Bytes of the log that become a termination message at most; a kubelet's."""


def ended(
    one: Container,
    code: int,
    at: float,
    reset: float = math.inf,
    last_words: tuple[str, ...] = (),
) -> Container:
    """The container after its run has ended."""
    tells = one.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError" and code != 0
    message = "\n".join(last_words)[-MESSAGE_LIMIT:] if tells else ""
    run = Ended(code=code, started=one.started_at, finished=at, message=message)
    crashes = 1 if at - one.started_at >= reset else one.crashes + 1
    return replace(
        one, phase=Phase.ENDED, since=at, last=run, started=False, ready=False, crashes=crashes
    )


def should_restart(moment: Moment) -> bool:
    one = moment.one
    failed = not one.succeeded
    match one.kind:
        case "sidecar":
            return True
        case "init":
            return failed and moment.policy != "Never"
        case _:
            return moment.policy == "Always" or (moment.policy == "OnFailure" and failed)


def _crash_wait(moment: Moment) -> float:
    """The first restart is at once; then 10 s, 20 s, 40 s ... up to five minutes."""
    if moment.one.crashes < 2:
        return 0.0
    options = moment.around.options
    return doubled(options.crash_backoff, moment.one.crashes - 2, options.backoff_limit)


def _back_off(moment: Moment, _at: float) -> Change:
    name = f"{moment.pod['metadata']['name']}_{moment.pod['metadata']['namespace']}({moment.uid})"
    wait = _go_duration(_crash_wait(moment))
    problem = f"back-off {wait} restarting failed container={moment.one.name} pod={name}"
    message = f"Back-off restarting failed container {moment.one.name} in pod {name}"
    # `since` stays the time of the end: the backoff counts from there.
    waiting = replace(moment.one, phase=Phase.CRASH_BACKOFF, problem=problem)
    return Change(container=waiting, notes=(warning("BackOff", message),))


def _go_duration(seconds: float) -> str:
    """As Go prints a duration: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _restart(moment: Moment, at: float) -> Change:
    # The image is on the node, so what is left is to create the container.
    return Change(container=replace(moment.one, phase=Phase.PULLED, since=at, problem=""))


# ---- probes


def _started(moment: Moment, at: float) -> Change:
    probe = probes.probe_of(moment.one.spec, "startupProbe")
    lines = moment.around.engine.benchmark(at) if probe is not None and probe.benchmark else ()
    up = replace(moment.one, started=True, up_since=at, complained=False)
    return Change(container=up, lines=lines)


def _complain(moment: Moment, _at: float) -> Change:
    message = probes.complaint(moment, "Startup", "startupProbe")
    return Change(
        container=replace(moment.one, complained=True), notes=(warning("Unhealthy", message),)
    )


def _first_tick(moment: Moment) -> float:
    probe = probes.probe_of(moment.one.spec, "startupProbe")
    return math.inf if probe is None else moment.one.started_at + probe.delay


def _killed(kind: str) -> Callable[[Moment, float], Change]:
    def kill(moment: Moment, at: float) -> Change:
        message = f"Container {moment.one.name} failed {kind} probe, will be restarted"
        dead = ended(moment.one, 137, at, moment.around.options.backoff_reset)
        return Change(container=dead, notes=(normal("Killing", message),))

    return kill


def _ill(moment: Moment) -> bool:
    return bool(moment.around.engine.sick(moment.uid))


def _ill_since(name: str) -> Callable[[Moment], float]:
    """When a probe that fails since the container fell ill gives up."""

    def at(moment: Moment) -> float:
        probe = probes.probe_of(moment.one.spec, name)
        if probe is None:
            return math.inf
        return probe.gives_up(probe.tick(moment.one.started_at, moment.one.sick_since))

    return at


def _unready(moment: Moment, _at: float) -> Change:
    message = probes.complaint(moment, "Readiness", "readinessProbe")
    return Change(
        container=replace(moment.one, ready=False), notes=(warning("Unhealthy", message),)
    )


def _now(moment: Moment) -> float:
    return moment.around.now


def _since(moment: Moment) -> float:
    return moment.one.since


def _quoted(text: str) -> str:
    return f'"{text}"'


def _always(_moment: Moment) -> bool:
    return True


def _becomes(**fields: object) -> Callable[[Moment, float], Change]:
    def change(moment: Moment, _at: float) -> Change:
        return Change(container=replace(moment.one, **fields))

    return change


STAGES: tuple[Stage, ...] = (
    Stage(
        "refuse image", Phase.WAITING,
        lambda m: _its_turn(m) and not _valid(m.one.image), _now, _refuse,
    ),
    Stage(
        "skip pull", Phase.WAITING,
        lambda m: _its_turn(m) and _valid(m.one.image) and _on_node(m), _now, _skip_pull,
    ),
    Stage(
        "pull", Phase.WAITING,
        lambda m: _its_turn(m) and _valid(m.one.image) and not _on_node(m), _now, _pull,
    ),
    Stage("finish pull", Phase.PULLING, _always, _pulled_at, _finish_pull),
    Stage(
        "back off pull", Phase.PULL_FAILED, _always,
        lambda m: m.one.since + min(2.0, m.around.options.image_backoff / 2), _back_off_pull,
    ),
    Stage("pull again", Phase.PULL_BACKOFF, _always, _pull_again_at, _pull),
    Stage(
        "start", Phase.PULLED, _always,
        lambda m: m.one.since + m.around.options.create, _start,
    ),
    Stage("configured", Phase.MISCONFIGURED, _configured, _now, _start),
    Stage("end", Phase.RUNNING, _always, _ends_at, _end),
    Stage("started", Phase.RUNNING, lambda m: not m.one.started, probes.startup_at, _started),
    Stage(
        "complain", Phase.RUNNING,
        lambda m: not m.one.started and not m.one.complained
        and _first_tick(m) < probes.healthy_at(m),
        _first_tick, _complain,
    ),
    Stage(
        "startup failed", Phase.RUNNING,
        lambda m: not m.one.started and math.isinf(probes.startup_at(m)),
        probes.startup_fails_at, _killed("startup"),
    ),
    Stage(
        "ready", Phase.RUNNING, lambda m: m.one.started and not m.one.ready and not _ill(m),
        probes.ready_at, _becomes(ready=True),
    ),
    Stage(
        "fall ill", Phase.RUNNING, lambda m: m.one.started and _ill(m) and not m.one.sick_since,
        _now, lambda m, at: Change(container=replace(m.one, sick_since=at)),
    ),
    Stage(
        "recover", Phase.RUNNING, lambda m: bool(m.one.sick_since) and not _ill(m),
        _now, _becomes(sick_since=0.0),
    ),
    Stage(
        "unready", Phase.RUNNING, lambda m: m.one.ready and bool(m.one.sick_since) and _ill(m),
        _ill_since("readinessProbe"), _unready,
    ),
    Stage(
        "not alive", Phase.RUNNING, lambda m: bool(m.one.sick_since) and _ill(m),
        _ill_since("livenessProbe"), _killed("liveness"),
    ),
    Stage(
        "restart", Phase.ENDED, lambda m: should_restart(m) and m.one.crashes < 2,
        _since, _restart,
    ),
    Stage(
        "back off", Phase.ENDED, lambda m: should_restart(m) and m.one.crashes >= 2,
        _since, _back_off,
    ),
    Stage(
        "restart after backoff", Phase.CRASH_BACKOFF, _always,
        lambda m: m.one.since + _crash_wait(m), _restart,
    ),
)  # fmt: skip


def next_stage(moment: Moment) -> tuple[float, Stage] | None:
    """The stage that is due first, and when; None when the container stays as it is."""
    best: tuple[float, Stage] | None = None
    for stage in STAGES:
        if stage.phase is not moment.one.phase or not stage.applies(moment):
            continue
        at = stage.at(moment)
        if not math.isinf(at) and (best is None or at < best[0]):
            best = at, stage
    return best


__all__ = ["STAGES", "Note", "Stage", "doubled", "ended", "next_stage", "should_restart"]
