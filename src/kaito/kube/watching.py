"""One watch: from a stream of bytes to events, until the server ends it.

Nothing here decides what to do when it ends; that is the reflector's business.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Literal, final

import msgspec

from kaito.kube.errors import ApiError, RequestTimeout, TransportError, error_of
from kaito.kube.objects import Record, Resource, record_of_fields
from kaito.kube.onepass import PARTIAL, OnePass
from kaito.kube.retrying import Sender, answered_error
from kaito.kube.transport import Request, Response, Stream

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "UNREADABLE"]

_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=1"
_MAX_LINE = 64 * 1024 * 1024
"""Bytes. Far above what etcd stores (1.5 MiB by default); beyond it the stream is nonsense."""
_MAX_ERROR_BODY = 1024 * 1024
_CR = 0x0D


class WatchEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a watch."""

    type: EventType
    record: Record | None = None
    """The object; of a BOOKMARK only `meta.resource_version` and annotations mean anything.

    None for ERROR and UNREADABLE.
    """
    status: ApiError | None = None
    """What an ERROR says. The server ends the stream after it."""
    problem: str = ""
    """What is wrong with an UNREADABLE event. The stream goes on; such an event is to be skipped
    and counted: it was of another kind, of an unknown type, without a name, or no JSON at all.
    """


class _Refusal(WatchEvent, frozen=True, gc=True):
    """An ERROR. Whoever raises its status closes a ring: the error, its traceback, a frame, this
    event. The collector must see all of a ring to break it, so this one is tracked.
    """


class _Event(msgspec.Struct, gc=False):
    type: str
    object: dict[str, msgspec.Raw]


class _Undecoded(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


_EVENT = msgspec.json.Decoder(_Event)
_UNDECODED = msgspec.json.Decoder(_Undecoded)


@asynccontextmanager
async def open_watch(
    sender: Sender,
    resource: Resource,
    request: Request,
    *,
    idle_timeout: float,
    metadata_only: bool,
) -> AsyncIterator[AsyncIterator[WatchEvent]]:
    """Open a watch and yield its events; they end when the server closes the stream.

    Opening raises ApiError when the server refuses, TransportError when it does not answer within
    the sender's timeout. Iterating raises TransportError when the connection breaks (IdleTimeout
    when nothing came for `idle_timeout` seconds). Leaving the context closes the connection.
    """
    accept = {"accept": f"{_METADATA_ONLY},application/json"} if metadata_only else {}
    request = sender.dressed(
        Request(method=request.method, path=request.path, query=request.query, headers=accept)
    )
    decode = _Decoder(resource, metadata_only=metadata_only)
    async with AsyncExitStack() as stack:
        stream = await _open(sender, request, stack, idle_timeout)
        events = await stack.enter_async_context(aclosing(_events(stream, decode)))
        yield events


async def _open(
    sender: Sender, request: Request, stack: AsyncExitStack, idle_timeout: float
) -> Stream:
    try:
        async with asyncio.timeout(sender.timeout):
            stream = await stack.enter_async_context(
                sender.transport.stream(request, idle_timeout=idle_timeout)
            )
            refused = await _body(stream) if stream.status >= 400 else None
    except TimeoutError:
        sender.count("<error>", request)
        raise RequestTimeout(f"no answer to a watch within {sender.timeout:g} s") from None
    except TransportError:
        sender.count("<error>", request)
        raise
    sender.count(str(stream.status), request)
    if refused is not None:
        raise answered_error(refused)
    return stream


async def _body(stream: Stream) -> Response:
    """The body of a refusal, or as much of it as a message needs."""
    body = bytearray()
    async for chunk in stream.chunks:
        body += chunk
        if len(body) > _MAX_ERROR_BODY:
            break
    return Response(status=stream.status, headers=stream.headers, body=bytes(body))


async def _events(stream: Stream, decode: "_Decoder") -> AsyncGenerator[WatchEvent, None]:
    lines = LineSplitter()
    async for chunk in stream.chunks:
        for line in lines.feed(chunk):
            yield decode(line)
    if lines.pending:
        raise TransportError("the watch ended within an event")


Line = bytes | memoryview


@final
class LineSplitter:
    """Cuts chunks into lines, in time linear in the bytes, however they are cut or joined.

    Lines come without their line end (LF or CRLF); empty ones are left out. A line that lies
    within one chunk is a view of it, to be used before the next is asked for: copying every event
    once more would cost as much as a third of decoding it.
    """

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether a line has begun that has not ended."""
        return any(piece.strip() for piece in self._pieces)

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk. Raises TransportError for one without end."""
        end = chunk.find(b"\n")
        if end < 0:
            self._begin(chunk)
            return
        start = 0
        if self._pieces:
            self._begin(chunk[:end])
            if line := b"".join(self._pieces).rstrip(b"\r"):
                yield line
            self._pieces, self._size = [], 0
            start, end = end + 1, chunk.find(b"\n", end + 1)
        view = memoryview(chunk)
        while end >= 0:
            last = end
            while last > start and chunk[last - 1] == _CR:
                last -= 1
            if last > start:
                yield view[start:last]
            start, end = end + 1, chunk.find(b"\n", end + 1)
        if start < len(chunk):
            self._begin(chunk[start:])

    def _begin(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _MAX_LINE:
            raise TransportError(f"a watch event is longer than {_MAX_LINE} bytes")


@final
class _Decoder:
    """Makes events of lines, for one resource."""

    def __init__(self, resource: Resource, *, metadata_only: bool) -> None:
        self._api_version, self._kind = resource.api_version, resource.kind
        self._metadata_only = metadata_only
        self._one_pass = OnePass(resource, metadata_only=metadata_only)

    def __call__(self, line: Line) -> WatchEvent:
        found = self._one_pass(line)
        return self._closely(line) if found is None else WatchEvent(*found)

    def _closely(self, line: Line) -> WatchEvent:
        """Anything else: other types, fields that are new to us, and what is wrong."""
        try:
            event = _EVENT.decode(line)
            match event.type:
                case "ADDED" | "MODIFIED" | "DELETED":
                    record = self._object(event.object)
                    self._one_pass.learn(record.fields)
                    return WatchEvent(event.type, record)
                case "BOOKMARK":
                    return WatchEvent("BOOKMARK", record_of_fields(event.object))
                case "ERROR":
                    status = error_of(500, bytes(_UNDECODED.decode(line).object))
                    return _Refusal("ERROR", None, status)
                case unknown:
                    return _unreadable(f"unknown type {unknown!r}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _unreadable(str(error))

    def _object(self, top: dict[str, msgspec.Raw]) -> Record:
        if self._metadata_only:
            if top.get("kind") == _PARTIAL:
                # What it is, is what was asked for.
                top.pop("apiVersion", None)
                del top["kind"]
            top = {name: raw for name, raw in top.items() if name in _HEAD}
        found = record_of_fields(top, api_version=self._api_version, kind=self._kind)
        if found.kind != self._kind or found.api_version != self._api_version:
            got, wanted = f"{found.api_version} {found.kind}", f"{self._api_version} {self._kind}"
            raise msgspec.ValidationError(f"the object is a {got}, not a {wanted}")
        if not found.meta.name or not found.meta.resource_version:
            raise msgspec.ValidationError("the object has no metadata.name or resourceVersion")
        return found


_HEAD = frozenset({"apiVersion", "kind", "metadata"})
_PARTIAL = msgspec.Raw(f'"{PARTIAL}"'.encode())


def _unreadable(problem: str) -> WatchEvent:
    return WatchEvent("UNREADABLE", problem=problem)
