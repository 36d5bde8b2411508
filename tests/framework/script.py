"""An API server that follows a script: one answer per request, in order, over the wire's seam.

When the script is at its end it holds every further stream open and silent.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import msgspec

from kaito.framework.events import Event
from kaito.framework.informer import Informer, InformerOptions
from kaito.framework.subscription import Subscription
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.errors import IdleTimeout, TransportError
from kaito.kube.objects import Json
from kaito.kube.transport import Request, Response, Stream
from tests.framework.objects import WIDGETS

HANG = float("inf")
"""In a stream: say nothing more."""

Line = Json | bytes | float | Exception
"""An event, raw bytes, seconds to wait, or how the connection breaks."""


@dataclass
class Answer:
    """`lines` make it a stream, else `body` is the whole answer; `error` is raised instead."""

    status: int = 200
    body: Json | None = None
    lines: Sequence[Line] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    retry_after: int | None = None


def added(obj: Json) -> Json:
    return {"type": "ADDED", "object": obj}


def modified(obj: Json) -> Json:
    return {"type": "MODIFIED", "object": obj}


def deleted(obj: Json) -> Json:
    return {"type": "DELETED", "object": obj}


def bookmark(version: int | str, annotation: str | None = None) -> Json:
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotation is not None:
        metadata["annotations"] = {"k8s.io/initial-events-end": annotation}
    return {
        "type": "BOOKMARK",
        "object": {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": metadata},
    }


def end(version: int | str) -> Json:
    return bookmark(version, "true")


def status(code: int, reason: str, message: str = "no", **details: object) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
        **({"details": details} if details else {}),
    }


def error(code: int, reason: str, message: str = "no", **details: object) -> Json:
    return {"type": "ERROR", "object": status(code, reason, message, **details)}


def stream(*lines: Line) -> Answer:
    return Answer(lines=lines)


def refuse(code: int, reason: str, message: str = "no", **details: object) -> Answer:
    return Answer(status=code, body=status(code, reason, message, **details))


def unreachable() -> Answer:
    return Answer(error=TransportError("connection refused", sent=False))


def page(version: int | str, *items: Json, token: str = "") -> Answer:
    metadata = {"resourceVersion": str(version), "continue": token}
    return Answer(
        body={
            "apiVersion": "example.org/v1",
            "kind": "WidgetList",
            "metadata": metadata,
            "items": list(items),
        }
    )


class Script:
    """A transport."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[float, Request]] = []
        self.open = 0

    def asked(self) -> list[str]:
        """Each request as `streamlist RV`, `watch RV` or `list RV [limit N] [token]`."""
        return [_told(request) for _, request in self.requests]

    def times(self) -> list[float]:
        return [moment for moment, _ in self.requests]

    def _answer(self, request: Request) -> Answer:
        self.requests.append((asyncio.get_running_loop().time(), request))
        answer = self.answers.pop(0) if self.answers else stream(HANG)
        if answer.error is not None:
            raise answer.error
        return answer

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        answer = self._answer(request)
        if answer.lines is not None:
            await asyncio.sleep(timeout or HANG)
            raise TransportError("no answer")
        return Response(
            status=answer.status,
            headers=answer.headers,
            body=msgspec.json.encode(answer.body),
        )

    @asynccontextmanager
    async def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AsyncIterator[Stream]:
        answer = self._answer(request)
        lines: Sequence[Line] = (
            answer.lines if answer.lines is not None else [msgspec.json.encode(answer.body)]
        )
        self.open += 1
        try:
            yield Stream(
                status=answer.status,
                headers=answer.headers,
                chunks=_chunks(lines, idle_timeout or HANG),
            )
        finally:
            self.open -= 1

    async def close(self) -> None:
        pass


async def _chunks(lines: Sequence[Line], idle_timeout: float) -> AsyncIterator[bytes]:
    for line in lines:
        await asyncio.sleep(0)
        match line:
            case float() | int():
                await asyncio.sleep(min(line, idle_timeout))
                if line > idle_timeout:
                    raise IdleTimeout("silent")
            case Exception():
                raise line
            case bytes():
                yield line
            case _:
                yield msgspec.json.encode(line) + b"\n"


def _told(request: Request) -> str:
    version = request.param("resourceVersion") or "-"
    if request.param("sendInitialEvents") == "true":
        assert request.param("resourceVersionMatch") == "NotOlderThan"
        return f"streamlist {version}"
    if request.param("watch"):
        return f"watch {version}"
    limit, token = request.param("limit"), request.param("continue")
    words = ["list", version, limit and f"limit {limit}", token and f"from {token}"]
    return " ".join(word for word in words if word)


@dataclass
class Followed:
    """An informer at work on a script."""

    script: Script
    informer: Informer
    events: list[Event]
    subscription: Subscription
    task: "asyncio.Task[None]"

    def names(self) -> list[str]:
        return sorted(record.meta.name for record in self.informer.store.list())

    def told(self) -> list[str]:
        """Every event as `Kind name`."""
        return [f"{type(event).__name__} {event.record.meta.name}" for event in self.events]


@asynccontextmanager
async def following(*answers: Answer, seed: int = 1, **options: object) -> AsyncIterator[Followed]:
    """Run an informer for Widgets against a script, and end it with the block."""
    script = Script(*answers)
    clock, random = LoopClock(), Random(seed)
    client = Client(script, clock=clock, random=random)
    informer = Informer(
        client,
        InformerOptions(resource=WIDGETS, **options),  # type: ignore[arg-type]  # passed through
        clock=clock,
        random=random,
    )
    events: list[Event] = []
    subscription = informer.subscribe(events.append)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(informer.run())
        yield Followed(script, informer, events, subscription, task)
        task.cancel()
    assert script.open == 0, "a stream was left open"
