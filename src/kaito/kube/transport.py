"""The seam between this code and an API server: bytes in, bytes or a stream out.

Implementations: HTTPS over aiohttp (`kaito.kube.https`), and the in-process door of the embedded
API server (`kaito.apiserver`), which needs neither socket nor thread and so works in virtual time.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. Header names are lower case. `query` keeps order and repetition.

    Headers and body are left out when it is printed: they may hold secrets.
    """

    method: str
    path: str
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete response. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A response whose body arrives in pieces. Pieces need not end at line ends."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """Carries requests to one API server as one identity.

    Both methods raise `kaito.kube.errors.TransportError` when no answer came. A status of 400 or
    more is an answer, not an error of the transport.
    """

    async def send(self, request: Request, *, timeout: float | None = None) -> Response:
        """One request, one complete answer; `timeout` in seconds covers all of it."""
        ...

    def stream(
        self, request: Request, *, idle_timeout: float | None = None
    ) -> AbstractAsyncContextManager[Stream]:
        """Open a streaming answer; leaving the context closes it.

        `idle_timeout`: seconds without a single byte after which `chunks` raises
        `kaito.kube.errors.IdleTimeout`.
        """
        ...

    async def close(self) -> None:
        """Release connections; later calls raise `TransportError`."""
        ...
