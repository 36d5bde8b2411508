"""WATCH: what is there, then what changes, as one stream of lines.

A watcher is a cursor into the bucket's changes. It is woken by writes, and by the clock for
bookmarks and for its end; closing the stream ends it at once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, final

import msgspec

from kaito.apiserver import forms
from kaito.apiserver.asking import Answers, Unanswered
from kaito.apiserver.core import Call, encode
from kaito.apiserver.kinds import Kind
from kaito.apiserver.negotiation import Accepted, accepted
from kaito.apiserver.options import version_of
from kaito.apiserver.representing import JSON_HEADERS, table, without_spec
from kaito.apiserver.routing import is_true
from kaito.apiserver.selecting import Selection, selection
from kaito.apiserver.status import (
    Cause,
    Refused,
    bad_request,
    expired,
    forbidden_value,
    invalid,
    unsupported_value,
)
from kaito.apiserver.storage import Bucket, Change, Stored
from kaito.kube.transport import Request, Stream

BOOKMARK_SECONDS: Final = 60.0
"""A bookmark about every minute: `bookmarkFrequency` of the watch cache."""
LAST_BOOKMARK_SECONDS: Final = 2.0
"""And one this long before the watch ends by its timeout."""
MIN_TIMEOUT_SECONDS: Final = 1800.0
"""A watch without `timeoutSeconds` ends between this and twice this: `--min-request-timeout`."""
_BATCH: Final = 512
_INITIAL_EVENTS_END: Final = {"k8s.io/initial-events-end": "true"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    version: str
    """resourceVersion as given: empty and "0" begin with what is there."""
    bookmarks: bool
    initial: bool | None
    timeout: float

    @property
    def begins_with_state(self) -> bool:
        return self.initial if self.initial is not None else self.version in ("", "0")

    @property
    def marks_end_of_state(self) -> bool:
        """Whether a bookmark tells that the initial state is complete."""
        return self.bookmarks and (
            self.initial is True or (self.initial is None and not self.version)
        )


def watch_options(request: Request, random: Random) -> WatchOptions:
    version_of(request.param("resourceVersion"))
    initial = request.param("sendInitialEvents")
    options = WatchOptions(
        version=request.param("resourceVersion"),
        bookmarks=is_true(request.param("allowWatchBookmarks")),
        initial=is_true(initial) if initial else None,
        timeout=_timeout(request, random),
    )
    causes = list(_complaints(request, options))
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    return options


def _timeout(request: Request, random: Random) -> float:
    text = request.param("timeoutSeconds")
    if text and not text.lstrip("-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    given = int(text or 0)
    return float(given) if given > 0 else MIN_TIMEOUT_SECONDS * (1.0 + random.random())


def _complaints(request: Request, options: WatchOptions) -> Iterator[Cause]:
    match = request.param("resourceVersionMatch")
    where = "resourceVersionMatch"
    if options.initial is not None:
        if match != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            yield forbidden_value(where, why)
    elif match:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        yield forbidden_value(where, why)
    if match not in ("", "NotOlderThan"):
        yield unsupported_value(where, f'"{match}"', ["NotOlderThan"])
    if request.param("continue"):
        yield forbidden_value(where, f"{where} is forbidden when continue is provided")


def watch(call: Call) -> Stream:
    """The stream of events that the request asks for."""
    how = accepted(call.request)
    options = watch_options(call.request, call.core.random)
    watcher = Watcher(call, selection(call), options, how)
    watcher.open()
    return Stream(status=200, headers=JSON_HEADERS, chunks=watcher.chunks())


@final
@dataclass(slots=True)
class Watcher:
    """One open watch."""

    call: Call
    chosen: Selection
    options: WatchOptions
    how: Accepted
    _position: int = 0
    _sent: int = 0
    """The version up to which the client knows everything."""
    _first_table: bool = True
    _opening: list[bytes] = field(default_factory=list)
    _refused: Refused | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Lines of events until the timeout, or until history has moved past this reader."""
        if self.call.answers is not None:
            # The attempts are over, and so is the moment at which they were made.
            self.call = replace(self.call, core=replace(self.call.core, moment=None))
        core = self.call.core
        bucket = core.bucket(self.call.kind)
        clock = core.clock.monotonic
        end = clock() + self.options.timeout
        stop_listening = bucket.listen(self._woken.set)
        try:
            for first in range(0, len(self._opening), _BATCH):
                yield b"".join(self._opening[first : first + _BATCH])
            self._opening = []
            if self._refused is not None:
                yield _line("ERROR", encode(self._refused.status()))
                return
            async with aclosing(self._follow(bucket, clock, end)) as following:
                async for chunk in following:
                    yield chunk
        finally:
            stop_listening()

    async def _follow(
        self, bucket: Bucket, clock: Callable[[], float], end: float
    ) -> AsyncGenerator[bytes, None]:
        bookmark = clock() + BOOKMARK_SECONDS
        last_bookmark = end - LAST_BOOKMARK_SECONDS
        if last_bookmark < clock():
            last_bookmark = end
        while True:
            self._woken.clear()
            if self._position < bucket.first:
                yield _line("ERROR", encode(_too_old(self._sent, bucket).status()))
                return
            try:
                while chunk := await self._drained(bucket):
                    yield chunk
            except Refused as refused:
                yield _line("ERROR", encode(refused.status()))
                return
            now = clock()
            if now >= end or self._redefined():
                return
            due = min(bookmark, last_bookmark) if self.options.bookmarks else end
            if self.options.bookmarks and now >= due:
                yield self._bookmark(None)
                bookmark = now + BOOKMARK_SECONDS
                last_bookmark = end if now >= last_bookmark else last_bookmark
                continue
            await self._wait(min(due, end) - now)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            pass

    def open(self) -> None:
        """Fix the moment at which this watch begins: that of the request, not of the first read."""
        storage, bucket = self.call.core.storage, self.call.core.bucket(self.call.kind)
        if self.options.begins_with_state:
            self._position, self._sent = bucket.next_position(), storage.revision
            found = self.chosen.of(bucket.scan(self.chosen.namespace))
            forms.expect(self.call, found)
            self._opening = [self._event("ADDED", stored, None) for stored in found]
            if self.options.marks_end_of_state:
                self._opening.append(self._bookmark(_INITIAL_EVENTS_END))
            return
        asked = version_of(self.options.version) or storage.revision
        if asked < storage.oldest(bucket):
            self._refused = _too_old(asked, bucket)
        self._position, self._sent = bucket.position(asked), asked

    def _redefined(self) -> bool:
        """A custom kind is another one when its definition changes; its watches end."""
        kind = self.call.kind
        group, version, plural = kind.resource[:3]
        return kind.custom and self.call.core.kinds.find(group, version, plural) is not kind

    async def _drained(self, bucket: Bucket) -> bytes:
        """The next events as lines; whoever converts them is asked first."""
        asked, first = self.call.answers, self._first_table
        if asked is None or self.call.kind.webhook is None:
            return self._drain(bucket)
        answers = Answers(asked.new_uid, asked.caller)
        self.call = replace(self.call, answers=answers)
        while True:
            try:
                self._expect(bucket)
                return self._drain(bucket)
            except Unanswered as unanswered:
                self._first_table = first
                await answers.learn(unanswered)

    def _expect(self, bucket: Bucket) -> None:
        index = self._position - bucket.first
        batch = [bucket.changes[at] for at in range(index, len(bucket.changes))][:_BATCH]
        objects = [change.new for change in batch]
        if self.chosen.deep:
            objects += [change.old for change in batch if change.old is not None]
        forms.expect(self.call, [stored for stored in objects if self.chosen.near(stored)])

    def _drain(self, bucket: Bucket) -> bytes:
        """The next events as lines; empty when there is nothing new."""
        lines: list[bytes] = []
        index = self._position - bucket.first
        while index < len(bucket.changes) and len(lines) < _BATCH:
            change = bucket.changes[index]
            index += 1
            if change.version > self._sent and (line := self._line_of(change)):
                lines.append(line)
        self._position = bucket.first + index
        self._sent = max(self._sent, bucket.changes[index - 1].version if index else 0)
        return b"".join(lines)

    def _line_of(self, change: Change) -> bytes:
        """What this watcher is told about a change: selected objects enter and leave."""
        new = change.type != "DELETED" and self.chosen.has(change.new)
        if change.old is None:
            return self._event("ADDED", change.new, change) if new else b""
        old = self.chosen.has(change.old)
        if new:
            return self._event("MODIFIED" if old else "ADDED", change.new, change if old else None)
        if not old:
            return b""
        if change.type == "DELETED":
            return self._event("DELETED", change.new, change)
        return self._event("DELETED", _at_version(change.old, change.version), None)

    def _event(self, kind: str, stored: Stored, change: Change | None) -> bytes:
        """One line; what costs an encoding is shared between watchers of the same version."""
        if self.how.shape != "object" or change is None or self.call.kind.conversion is None:
            return _line(kind, self._object(stored))
        key = self.call.kind.resource.version
        line = change.lines.get(key)
        if line is None:
            line = change.lines[key] = _line(kind, self._object(stored))
        return line

    def _object(self, stored: Stored) -> bytes:
        if self.how.shape == "object":
            return forms.text(self.call, stored)
        if self.how.shape == "metadata" and (raw := forms.metadata(self.call, stored)) is not None:
            return self._partial + raw + b"}"
        obj = forms.shown(self.call, stored)
        if self.how.shape == "metadata":
            return encode(without_spec(obj, self.how))
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        drawn = table(self.call, [obj], metadata, definitions=self._first_table)
        self._first_table = False
        return encode(drawn)

    @property
    def _partial(self) -> bytes:
        version = f"meta.k8s.io/{self.how.version}"
        head = f'{{"kind":"PartialObjectMetadata","apiVersion":"{version}","metadata":'
        return head.encode()

    def _bookmark(self, annotations: dict[str, str] | None) -> bytes:
        """How far the client is, if it saw everything up to now."""
        self._sent = max(self._sent, self.call.core.storage.revision)
        metadata: dict[str, object] = {"resourceVersion": str(self._sent)}
        if annotations:
            metadata["annotations"] = annotations
        return _line("BOOKMARK", encode(self._empty(self.call.kind, metadata)))

    def _empty(self, kind: Kind, metadata: dict[str, object]) -> dict[str, object]:
        head = {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version}
        match self.how.shape:
            case "table":
                at = {"resourceVersion": metadata["resourceVersion"]}
                nothing = {**head, "metadata": metadata}
                drawn = table(self.call, [nothing], at, definitions=self._first_table)
                self._first_table = False
                return drawn
            case "metadata":
                version = f"meta.k8s.io/{self.how.version}"
                head = {"kind": "PartialObjectMetadata", "apiVersion": version}
            case "object":
                pass
        return {**head, "metadata": metadata}


def _line(kind: str, obj: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + obj + b"}\n"


def _at_version(stored: Stored, version: int) -> Stored:
    """The same content, shown with the version of the change that made it leave."""
    obj = stored.json()
    obj["metadata"]["resourceVersion"] = str(version)
    return msgspec.structs.replace(stored, version=version, tail=encode(obj), memo={})


def _too_old(asked: int, bucket: Bucket) -> Refused:
    return expired(f"too old resource version: {asked} ({bucket.dropped + 1})")
