"""When and how a running container ends by itself, as a function of what it runs."""

from dataclasses import dataclass

from kaito.simulator import images
from kaito.simulator.nodes.containers import Container, Phase
from kaito.simulator.nodes.moment import Moment
from kaito.simulator.programs import Curl, Exit, Fetch, Idle, Pause, Pull, Push, Serve, Train


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`at`: seconds since the epoch."""

    at: float
    code: int = 0
    lines: tuple[str, ...] = ()
    pushed: tuple[images.Reference, str] | None = None


def greeting(container: Container) -> tuple[str, ...]:
    """The first lines of a container's log."""
    match container.program:
        case Serve(model=model, runtime=runtime):
            return (f"kaito's simulated engine plays {runtime} for {model}; no model is used",)
        case Train():
            return ("simulated training: no GPU and no model is used",)
        case Fetch(what=what, sources=sources):
            return tuple(f"simulated download of {what} from {source}" for source in sources)
        case Pull(image=image):
            return (f"simulated pull of {image}",)
        case Push(image=image):
            return (f"simulated push to {image}",)
        case Exit(first=first) | Idle(first=first):
            return first
        case _:
            return ()


def ending(moment: Moment) -> Ending | None:
    """The end that is in sight; None: it runs until it is stopped or something else changes."""
    crash = moment.around.crash(moment.pod, moment.one.name)
    if crash is not None:
        line = f"made to fail with exit code {crash.code}"
        return Ending(at=moment.one.started_at + crash.after, code=crash.code, lines=(line,))
    options, began = moment.around.options, moment.one.started_at
    match moment.one.program:
        case Train():
            lines = ("simulated training finished", "wrote adapter_model.safetensors")
            return Ending(at=began + options.train, lines=lines)
        case Fetch(what=what):
            took = options.fetch_weights if what == "weights" else options.fetch_data
            return Ending(at=began + took, lines=("done",))
        case Exit(code=code, after=after, last=last):
            took = options.task if after is None else after
            return Ending(at=began + took, code=code, lines=last)
        case Pull(image=image):
            return _pull(moment, image)
        case Push():
            return _push(moment, moment.one.program)
        case Pause():
            return _pause(moment)
        case Curl():
            done = moment.around.answers.get(moment.one.name)
            return None if done is None else Ending(at=done.finished, code=done.code)
        case _:
            return None


def _pull(moment: Moment, image: str) -> Ending:
    at = moment.one.started_at + moment.around.options.pull_artifact
    try:
        problem = moment.around.registries.problem(images.parse(image))
    except images.InvalidReference as error:
        problem = f"parsing image name {image}: {error}"
    return Ending(at=at, code=1 if problem else 0, lines=(problem or f"unpacked {image}",))


def _push(moment: Moment, push: Push) -> Ending | None:
    began = moment.one.started_at
    if push.waits:
        trained = [c for c in moment.siblings if isinstance(c.program, Train) and c.succeeded]
        if not trained or trained[0].last is None:
            return None
        began = max(began, trained[0].last.finished)
    at = began + moment.around.options.push
    try:
        image = images.parse(push.image)
    except images.InvalidReference as error:
        return Ending(at=at, code=1, lines=(f"Error: invalid reference: {error}",))
    problem = moment.around.registries.push_problem(image, moment.around.credentials)
    if problem:
        return Ending(at=at, code=1, lines=(problem,))
    return Ending(at=at, lines=(f"Pushed [registry] {image}",), pushed=(image, push.model))


def _pause(moment: Moment) -> Ending | None:
    """It is told to stop by the pusher that shares its process namespace."""
    pushers = [c for c in moment.siblings if isinstance(c.program, Push)]
    if not pushers or any(not c.succeeded for c in pushers):
        return None
    return Ending(at=max(c.last.finished for c in pushers if c.last is not None))


def stopped_code(container: Container) -> int:
    """The exit code of a program that is told to stop: servers obey, others die of SIGTERM."""
    return 0 if isinstance(container.program, Serve | Pause) else 143


def is_running(container: Container) -> bool:
    return container.phase is Phase.RUNNING
