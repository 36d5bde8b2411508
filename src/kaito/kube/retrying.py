"""Sending one request until its fate is known: the one place that retries at the wire.

Tried again, at most ten times and within the call's deadline:

- an answer of 429 or 5xx that carries Retry-After, after that time;
- a request that was never sent (connection refused, DNS), after a growing pause;
- a read whose connection broke, likewise.

Never tried again: a write that may have reached the server without an answer. Whoever asked for
it must find out what happened.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol, final, runtime_checkable

from tenacity import AsyncRetrying, RetryCallState

from kaito.kube.clock import Clock
from kaito.kube.errors import ApiError, KubeError, RequestTimeout, TransportError, error_of
from kaito.kube.transport import Request, Response, Transport

_READS = frozenset({"GET", "HEAD"})
_MAX_TRIES = 10
"""As client-go has it."""
_UNSENT_TRIES = 5
"""Fewer than for an answer: a server that is not there is a matter for the caller's back-off."""
_FIRST_PAUSE = 0.1
_LEAST_PAUSE = 0.05
_JITTER = 0.1


class RequestMetrics(Protocol):
    """Told what client-go tells its own metrics. `host` is `host:port`, empty in the process."""

    def request_done(self, code: str, method: str, host: str) -> None:
        """One attempt, watches too. `code` is the HTTP status, or `<error>` without an answer."""
        ...

    def request_retried(self, code: str, method: str, host: str) -> None:
        """The same attempt once more, when it was not the first of its call."""
        ...

    def call_done(
        self, method: str, host: str, seconds: float, *, sent: int, received: int | None
    ) -> None:
        """A call with all its attempts and waits; no watch. Bytes of the bodies; `received` is
        None when there was no answer."""
        ...


@runtime_checkable
class HasHost(Protocol):
    """A transport that knows the host it speaks to."""

    @property
    def host(self) -> str: ...


@final
class Sender:
    """Sends requests; adds the user agent, counts, reads warnings, raises typed errors."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        random: Random,
        user_agent: str,
        metrics: RequestMetrics | None,
        host: str,
        timeout: float,
        on_warning: Callable[[str], None] | None,
    ) -> None:
        self.transport = transport
        self.timeout = timeout
        self._clock = clock
        self._random = random
        self._user_agent = user_agent
        self._metrics = metrics
        self._host = host or (transport.host if isinstance(transport, HasHost) else "")
        self._on_warning = on_warning

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        """The answer. Raises ApiError for 400 and more, TransportError when there is none.

        `timeout`: seconds for everything, waits included; default is the sender's own.
        """
        started = self._clock.monotonic()
        deadline = started + (self.timeout if timeout is None else timeout)
        call = _Call(self.dressed(request), deadline)

        try:
            return await self._tried(call, deadline)
        finally:
            if self._metrics is not None:
                self._metrics.call_done(
                    request.method,
                    self._host,
                    self._clock.monotonic() - started,
                    sent=len(request.body),
                    received=call.received,
                )

    async def _tried(self, call: "_Call", deadline: float) -> Response:
        """Once, which is nearly always enough, and then as the rules say."""
        try:
            return await self._once(call)
        except KubeError as error:
            if not _retriable(call.request, error):
                raise
            failures: list[KubeError] = [error]

        async def again() -> Response:
            if failures:
                raise failures.pop()
            return await self._once(call)

        def stop(state: RetryCallState) -> bool:
            late = self._clock.monotonic() + state.upcoming_sleep >= deadline
            return late or state.attempt_number >= _tries(_failure(state))

        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            retry=lambda state: _retriable(call.request, _failure(state)),
            wait=self._pause,
            stop=stop,
            reraise=True,
        )
        return await retrying(again)

    def dressed(self, request: Request) -> Request:
        """The request with the headers that every request has; its own win."""
        headers = {
            "accept": "application/json",
            "user-agent": self._user_agent,
            **request.headers,
        }
        return Request(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            body=request.body,
        )

    def count(self, code: str, request: Request, *, again: bool = False) -> None:
        """Report one attempt; `again`: not the first of its call."""
        if self._metrics is None:
            return
        self._metrics.request_done(code, request.method, self._host)
        if again:
            self._metrics.request_retried(code, request.method, self._host)

    async def _once(self, call: "_Call") -> Response:
        left = call.deadline - self._clock.monotonic()
        if left <= 0:
            raise RequestTimeout("no time was left to send the request", sent=False)
        again, call.tried, call.received = call.tried, True, None
        try:
            response = await self.transport.send(call.request, timeout=left)
        except TransportError:
            self.count("<error>", call.request, again=again)
            raise
        call.received = len(response.body)
        self.count(str(response.status), call.request, again=again)
        if self._on_warning is not None and (warning := response.headers.get("warning")):
            for text in warnings(warning):
                self._on_warning(text)
        if response.status >= 400:
            raise answered_error(response)
        return response

    def _pause(self, state: RetryCallState) -> float:
        failure = _failure(state)
        if isinstance(failure, ApiError) and failure.retry_after is not None:
            base = failure.retry_after
        else:
            base = _FIRST_PAUSE * 2.0 ** (state.attempt_number - 1)
        return max(_LEAST_PAUSE, base) * (1 + _JITTER * self._random.random())


@dataclass(slots=True)
class _Call:
    """One call and how far it has got."""

    request: Request
    deadline: float
    tried: bool = False
    received: int | None = None
    """Bytes of the last answer's body."""


def answered_error(response: Response) -> ApiError:
    """The typed error of an answer of 400 or more, Retry-After included."""
    return error_of(
        response.status, response.body, retry_after(response.headers.get("retry-after"))
    )


def retry_after(header: str | None) -> float | None:
    """Seconds. Only the number form is used by API servers; anything else counts as absent."""
    return float(header) if header and header.isascii() and header.isdigit() else None


_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


def warnings(header: str) -> list[str]:
    """The texts of a `Warning:` header (RFC 7234, code 299 as API servers send it)."""
    return [re.sub(r"\\(.)", r"\1", text) for text in _WARNING.findall(header)]


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _retriable(request: Request, failure: BaseException | None) -> bool:
    read = request.method in _READS
    match failure:
        case ApiError(retry_after=None):
            return False
        case ApiError(code=code):
            return code == 429 or (code >= 500 and (read or not _unknown_outcome(failure)))
        case TransportError(sent=False):
            return True
        case RequestTimeout():
            return False
        case TransportError():
            return read
        case _:
            return False


def _unknown_outcome(failure: ApiError) -> bool:
    """A 504 may come from a gateway, or from a server that went on with the write alone.

    `ServerTimeout` is the exception: it says that nothing was begun.
    """
    return failure.code == 504 and failure.reason != "ServerTimeout"


def _tries(failure: BaseException | None) -> int:
    return _UNSENT_TRIES if isinstance(failure, TransportError) else _MAX_TRIES
