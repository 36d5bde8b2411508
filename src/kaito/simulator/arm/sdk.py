"""The door in the same process: the real SDK speaks to the endpoint without a socket."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, final

import msgspec
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from multidict import CIMultiDict
from yarl import URL

from kaito.kube.transport import Request, Response
from kaito.simulator.arm.faults import ConnectionLost

Handle = Callable[[Request], Awaitable[Response]]
"""`ArmEndpoint.handle`, or what lies before it."""


def azure_transport(handle: Handle) -> "AsyncHttpTransport[Any, Any]":
    """A transport for the SDK's `transport=`; works in virtual time."""
    return _InProcess(handle)


@final
class AnyCredential:
    """A credential for the embedded cloud, which asks only that there is a token."""

    _FOREVER = 4_000_000_000
    """Seconds since 1970: the SDK compares it with the system's clock."""

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("embedded", self._FOREVER)

    async def close(self) -> None:
        """Nothing to release."""

    async def __aenter__(self) -> "AnyCredential":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@final
class _InProcess(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def send(self, request: HttpRequest, **_: Any) -> AsyncHttpResponse:
        url = URL(request.url)
        content = request.content or b""
        ours = Request(
            method=request.method,
            path=url.path,
            query=tuple(url.query.items()),
            headers={
                "host": url.host or "",
                **{name.lower(): value for name, value in request.headers.items()},
            },
            body=content if isinstance(content, bytes) else str(content).encode(),
        )
        try:
            return _Answer(request, await self._handle(ours))
        except ConnectionLost as lost:
            kind = ServiceResponseError if lost.arrived else ServiceRequestError
            raise kind(str(lost)) from lost

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@final
class _Answer(AsyncHttpResponse):
    """A complete answer in the SDK's terms."""

    def __init__(self, request: HttpRequest, response: Response) -> None:
        self._request = request
        self._response = response
        self._headers: MutableMapping[str, str] = CIMultiDict(response.headers)
        self._encoding: str | None = "utf-8"

    @property
    def request(self) -> HttpRequest:
        return self._request

    @property
    def status_code(self) -> int:
        return self._response.status

    @property
    def headers(self) -> MutableMapping[str, str]:
        return self._headers

    @property
    def reason(self) -> str:
        return HTTPStatus(self.status_code).phrase

    @property
    def content_type(self) -> str | None:
        return self._headers.get("content-type")

    @property
    def is_closed(self) -> bool:
        return True

    @property
    def is_stream_consumed(self) -> bool:
        return True

    @property
    def encoding(self) -> str | None:
        return self._encoding

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        self._encoding = value

    @property
    def url(self) -> str:
        return self._request.url

    @property
    def content(self) -> bytes:
        return self._response.body

    def text(self, encoding: str | None = None) -> str:
        return self.content.decode(encoding or self._encoding or "utf-8")

    def json(self) -> Any:
        try:
            return msgspec.json.decode(self.content)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error

    def raise_for_status(self) -> None:
        if self.status_code >= HTTPStatus.BAD_REQUEST:
            raise HttpResponseError(response=self)

    async def read(self) -> bytes:
        return self.content

    async def iter_bytes(self, **_: Any) -> AsyncIterator[bytes]:
        yield self.content

    async def iter_raw(self, **_: Any) -> AsyncIterator[bytes]:
        yield self.content

    async def close(self) -> None:
        """It was complete from the start."""

    async def __aexit__(self, *_: object) -> None:
        await self.close()
