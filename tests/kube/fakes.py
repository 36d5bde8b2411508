"""A transport that plays a script: it speaks the protocol of `kaito.kube.transport`."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import msgspec

from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.transport import Request, Response, Stream

Answer = Response | Exception | Callable[[Request], Response]


def ok(body: object, **headers: str) -> Response:
    return Response(status=200, headers=headers, body=msgspec.json.encode(body))


def status(code: int, reason: str = "", message: str = "no", **headers: str) -> Response:
    body = {"kind": "Status", "apiVersion": "v1", "reason": reason, "code": code}
    return Response(
        status=code,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=msgspec.json.encode(body | {"message": message, "status": "Failure"}),
    )


@dataclass
class Scripted:
    """Answers requests one after the other; `chunks` are what every stream delivers.

    A number among the chunks is a pause in seconds, an exception is raised.
    """

    answers: list[Answer] = field(default_factory=list)
    chunks: Iterable[bytes | float | Exception] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    host: str = "api.example:6443"
    requests: list[Request] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    streams_open: int = 0

    def __post_init__(self) -> None:
        self.clock = LoopClock()

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        self.requests.append(request)
        self.times.append(self.clock.monotonic())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    @asynccontextmanager
    async def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AsyncIterator[Stream]:
        self.requests.append(request)
        self.streams_open += 1
        try:
            yield Stream(status=self.status, headers=self.headers, chunks=self._chunks())
        finally:
            self.streams_open -= 1

    async def _chunks(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if isinstance(chunk, bytes):
                yield chunk
            else:
                await self.clock.sleep(chunk)

    async def close(self) -> None:
        pass


def client(transport: Scripted, **options) -> Client:
    return Client(transport, clock=LoopClock(), random=Random(1), **options)
