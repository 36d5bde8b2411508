"""The webhook server: HTTPS around plain functions.

    server = WebhookServer(certificates, clock=clock, registry=registry)
    server.validate("/validate-widget", check_widget)
    server.mutate("/mutate-widget", default_widget)
    server.convert("/convert", Conversions(WIDGETS))
    manager.serve_webhooks(server)

Whatever a function does, the server lives on: what it raises is a 500 for that request alone, and
the caller's failure policy decides. What went wrong is in the log, not in the answer.
"""

import asyncio
import inspect
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, Protocol, final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from kaito.framework.endpoints import parse_address, where
from kaito.framework.webhooks.admission import (
    Allowed,
    BadReview,
    Change,
    Denied,
    Mutated,
    Mutator,
    Validator,
    read_review,
    write_review,
)
from kaito.framework.webhooks.conversion import Conversions
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.kube.clock import Clock

log = structlog.get_logger(__name__)

_LONGEST_BODY: Final = 16 * 1024 * 1024
"""Bytes. An object is at most 3 MiB (etcd's limit with room), and a review holds two; a review for
conversion may hold a page of a list."""
_GOODBYE_SECONDS: Final = 0.1
"""For connections on which nothing is being answered."""
_JSON: Final = "application/json"
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_UNITS: Final = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class Certificates(Protocol):
    """Where the server's certificate comes from. The context stays the same when it changes."""

    @property
    def context(self) -> ssl.SSLContext: ...

    def problem(self) -> str | None:
        """Why no connection can be made at the moment."""
        ...

    async def run(self) -> None:
        """Keep the context up to date until cancelled; may end by itself."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """How the server is reached."""

    bind_address: str = ":9443"
    """controller-runtime's port."""
    drain_seconds: float = 10.0
    """How long requests in progress may take after the stop."""


DEFAULTS: Final = WebhookOptions()


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; errors are plain text."""

    status: int
    body: bytes
    content_type: str = _JSON


_Respond = Callable[[bytes, float | None], Awaitable[bytes]]


@final
class WebhookServer:
    """See the module. Functions are registered before it serves."""

    def __init__(
        self,
        certificates: Certificates,
        *,
        clock: Clock,
        registry: CollectorRegistry,
        options: WebhookOptions = DEFAULTS,
        metrics: WebhookMetrics | None = None,
    ) -> None:
        """`metrics` are made of `registry`, unless somebody shares theirs."""
        self.options: Final = options
        self.metrics: Final = metrics or WebhookMetrics(registry)
        self.certificates: Final = certificates
        self._clock = clock
        self._responders: dict[str, _Respond] = {}
        self._converting: set[str] = set()
        self._answering = 0
        self._answered = asyncio.Event()
        self.bound = ""
        """`host:port` while it serves."""

    def validate(self, path: str, validator: Validator) -> None:
        """Ask `validator` about what is sent to `path`."""

        async def respond(body: bytes, timeout: float | None) -> bytes:
            request = read_review(body, timeout=timeout)
            return write_review(request.uid, await _waited(validator(request)), None)

        self._add(path, respond)

    def mutate(self, path: str, mutator: Mutator) -> None:
        """Let `mutator` change what is sent to `path`. It works on a copy."""

        async def respond(body: bytes, timeout: float | None) -> bytes:
            request = read_review(body, timeout=timeout)
            raw = deepcopy(request.object)
            return write_review(request.uid, await _waited(mutator(request)), raw)

        self._add(path, respond)

    def convert(self, path: str, conversions: Conversions) -> None:
        """Convert what is sent to `path`."""

        async def respond(body: bytes, _: float | None) -> bytes:
            return conversions.review(body)

        self._add(path, respond)
        self._converting.add(path)

    def _add(self, path: str, respond: _Respond) -> None:
        if not path.startswith("/") or path in self._responders:
            raise ValueError(f"{path!r} is taken, or does not begin with a slash")
        self._responders[path] = respond
        self.metrics.expect(path)

    async def answer(self, path: str, body: bytes, timeout: str = "") -> Answer:
        """Answer one review; this is all that is behind the socket.

        `timeout` is a duration as Go writes it (`10s`), how long the caller will wait.
        """
        respond = self._responders.get(path)
        if respond is None:
            return Answer(404, b"404 page not found\n", "text/plain")
        metrics, start = self.metrics, self._clock.monotonic()
        with metrics.in_flight.labels(path).track_inprogress():
            answer = await self._respond(path, respond, body, seconds(timeout))
        metrics.latency.labels(path).observe(self._clock.monotonic() - start)
        metrics.requests.labels(path, str(answer.status)).inc()
        return answer

    async def _respond(
        self, path: str, respond: _Respond, body: bytes, timeout: float | None
    ) -> Answer:
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                return Answer(200, await respond(body, timeout))
        except BadReview as error:
            return Answer(400, f"{error}\n".encode(), "text/plain")
        except Exception as error:  # noqa: BLE001 - one request fails, the server does not
            if deadline.expired():
                log.warning("webhook timed out", webhook=path, seconds=timeout)
                return Answer(504, b"the webhook did not decide in time\n", "text/plain")
            self._panicked(path, error)
            return Answer(500, b"the webhook failed\n", "text/plain")

    def _panicked(self, path: str, error: Exception) -> None:
        converting = path in self._converting
        metrics = self.metrics
        (metrics.conversion_panics if converting else metrics.panics).inc()
        log.error("webhook failed", webhook=path, error=type(error).__name__, exc_info=error)

    def unready(self) -> str | None:
        """A readiness check: why no API server can reach a webhook here, or None."""
        return self.certificates.problem() if self.bound else "not listening"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen until left; the certificate is kept up to date meanwhile. Yields the address.

        Raises OSError when the address is in use.
        """
        host, port = parse_address(self.options.bind_address)
        app = web.Application(client_max_size=_LONGEST_BODY)
        app.router.add_post("/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_SECONDS)
        await runner.setup()
        try:
            context = self.certificates.context
            await web.TCPSite(runner, host, port, ssl_context=context).start()
            self.bound = where(runner)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self.certificates.run(), name="certificates")
                try:
                    yield self.bound
                finally:
                    task.cancel()
        finally:
            self.bound = ""
            await self._end(runner)

    async def _end(self, runner: web.AppRunner) -> None:
        """Let requests in progress end. Connections are kept by API servers, which would take their
        time to say goodbye: these are cut, or their sockets would outlive the server."""
        for site in tuple(runner.sites):
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.drain_seconds):
                while self._answering:
                    self._answered.clear()
                    await self._answered.wait()
        connections = runner.server.connections if runner.server is not None else []
        kept = [connection.transport for connection in connections]
        await runner.cleanup()
        for transport in kept:
            if transport is not None:
                transport.abort()
        await self._clock.sleep(0)  # the loop closes what was cut in its next round

    async def _serve(self, request: web.Request) -> web.Response:
        if request.content_type != _JSON:
            return web.Response(status=415, text=f"expected {_JSON}\n")
        self._answering += 1
        try:
            body = await request.read()
            answer = await self.answer(request.path, body, request.query.get("timeout", ""))
        finally:
            self._answering -= 1
            self._answered.set()
        return web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type
        )


async def _waited(verdict: Change | Awaitable[Change]) -> Change:
    """Functions that wait for nothing need not be coroutines."""
    found = await verdict if inspect.isawaitable(verdict) else verdict
    if not isinstance(found, Allowed | Denied | Mutated):
        raise TypeError(f"a webhook answered with a {type(found).__name__}")
    return found


def seconds(duration: str) -> float | None:
    """A Go duration (`1m30s`) in seconds; None for what is none."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
