"""Keeps one shard equal to a collection on the server: list, watch, resume, start over.

The order of things, with the reason for each, is that of client-go's reflector:

1. One watch that begins with all objects (`sendInitialEvents`). They are collected aside until the
   bookmark that is annotated as their end, then replace the content; the connection goes on.
2. Where the server does not offer that: a list in pages, and a watch from its version.
3. A watch that ends by itself, or falls silent, is opened again from the last version seen.
   Only a version that is too old, or an error, makes us start over.

The first read is a consistent one (no resourceVersion): after a restart nobody may see a past
before their own writes.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import final

import structlog

from kaito.framework.backoff import Backoff
from kaito.framework.index import Key
from kaito.framework.scope import Scope
from kaito.framework.shard import Shard
from kaito.framework.silence import Silence
from kaito.kube.client import Client, RecordList, WatchEvent
from kaito.kube.clock import Clock
from kaito.kube.errors import (
    ApiError,
    Forbidden,
    Gone,
    IdleTimeout,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
    Unauthorized,
)
from kaito.kube.objects import Record, Resource

_log = structlog.get_logger(__name__)

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends the initial objects of a streamed list."""

Transform = Callable[[Record], Record]
"""Makes a record smaller before it is held. Must keep name, namespace, uid, resourceVersion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectorOptions:
    """How to list and watch. The numbers are client-go's unless said otherwise."""

    metadata_only: bool = False
    transform: Transform | None = None
    page_size: int = 500
    shortest_watch: int = 300
    """Seconds; the server ends each watch after a random time between this and twice this."""
    idle_timeout: float = 70.0
    """Silence after which a watch is opened again: bookmarks come once a minute, and the server's
    watch cache keeps 75 s of history."""
    initial_silence: float = 10.0
    """Silence before the end of the initial objects that tells a server which ignores
    `sendInitialEvents`; one that knows it needs about 3 s at most for its first bookmark."""
    initial_limit: float = 120.0
    """The same for a server that never falls silent."""
    missing_retry: float = 10.0
    """Seconds between two looks for a kind that is not served."""
    internal_error_window: float = 30.0
    """Seconds for which internal errors of a watch are answered by opening it again."""


SHORT = 1.0
"""Seconds; a watch that ends sooner and brought nothing was refused in disguise. Servers that
forget a version sometimes say so only in this way."""


class _Cut(KubeError):
    """The stream ended before its initial objects were complete."""


class _Short(KubeError):
    """The watch ended within a second without a single event."""


@dataclass(frozen=True, slots=True)
class _Next:
    """What to do after a watch has ended."""

    resume: bool
    delay: float = 0.0


@final
class Reflector:
    """`count(what)` is told of lists, watches and oddities; `problem` is empty if all is well."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        scope: Scope,
        shard: Shard,
        *,
        clock: Clock,
        random: Random,
        count: Callable[[str], None],
        options: ReflectorOptions = ReflectorOptions(),
    ) -> None:
        self.problem = ""
        self.heard: float | None = None
        """When the server last said anything of this kind, on the monotonic clock."""
        self._client = client
        self._resource = resource
        self._scope = scope
        self._shard = shard
        self._clock = clock
        self._random = random
        self._count = count
        self._options = options
        self._backoff = Backoff(clock, random)
        self._log = _log.bind(kind=resource.group_kind, scope=str(scope))
        self._streaming = True
        self._unavailable = False
        """The server no longer, or not yet, knows our version: read without one."""
        self._internal_errors_since: float | None = None
        self._verb = "watch"

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            await self._clock.sleep(await self._round())

    # -- one round: fill the shard, then follow until it must be filled again --------------------

    async def _round(self) -> float:
        """Returns the seconds to wait before the next round."""
        async with AsyncExitStack() as connection:
            try:
                events = await self._fill(connection)
            except KubeError as error:
                return self._judge(error).delay
            if events is not None:
                verdict = await self._end_of(events)
            else:
                verdict = _Next(resume=True)
        while verdict.resume:
            if verdict.delay:
                await self._clock.sleep(verdict.delay)
            verdict = await self._watch()
        return verdict.delay

    async def _watch(self) -> _Next:
        async with AsyncExitStack() as connection:
            try:
                events = await self._open(connection, self._shard.version, initial=False)
            except KubeError as error:
                return self._judge(error)
            return await self._end_of(events)

    async def _end_of(self, events: AsyncIterator[WatchEvent]) -> _Next:
        try:
            await self._follow(events)
        except KubeError as error:
            return self._judge(error)
        return _Next(resume=True)

    # -- filling ---------------------------------------------------------------------------------

    async def _fill(self, connection: AsyncExitStack) -> AsyncIterator[WatchEvent] | None:
        """Make the shard equal to the server. Returns the stream that goes on, if there is one."""
        while True:
            version = "" if self._unavailable else self._shard.version
            try:
                if self._streaming and (events := await self._fill_by_stream(connection, version)):
                    return events
                await self._fill_by_list(version)
            except ApiError as error:
                if not version or not (isinstance(error, Gone) or too_large(error)):
                    raise
                self._unavailable = True
            else:
                return None

    async def _fill_by_stream(
        self, connection: AsyncExitStack, version: str
    ) -> AsyncIterator[WatchEvent] | None:
        """None: this server does not stream lists, or not now."""
        async with AsyncExitStack() as attempt:
            try:
                events = await self._open(attempt, version, initial=True)
                content, end = await self._collect(events)
            except TimeoutError:
                self._streaming = False
                self._count("watch_list_ignored")
                self._log.info("the server ignores sendInitialEvents; listing instead")
                return None
            except (Gone, TooManyRequests, Unauthorized, Forbidden, NotFound):
                raise
            except ApiError as error:
                if too_large(error):
                    raise
                self._count("watch_list_refused")
                self._log.debug("the server refused to stream the list", error=str(error))
                return None
            await self._filled(content.values(), end)
            connection.push_async_exit(attempt.pop_all())
            return events

    async def _collect(self, events: AsyncIterator[WatchEvent]) -> tuple[dict[Key, Record], str]:
        """The initial objects and their version. Raises TimeoutError when the end never comes."""
        content: dict[Key, Record] = {}
        began = self._clock.monotonic()
        async with Silence(self._clock, self._options.initial_silence) as silence:
            async for event in events:
                silence.heard = self._clock.monotonic()
                if silence.heard - began > self._options.initial_limit:
                    raise TimeoutError
                if event.type == "BOOKMARK":
                    if event.record and _ends_initial(event.record):
                        return content, event.record.meta.resource_version
                    continue
                record = self._accept(event)
                if record is None:
                    continue
                key = (record.meta.namespace, record.meta.name)
                if event.type == "DELETED":
                    content.pop(key, None)
                else:
                    content[key] = self._kept(record)
        raise _Cut("the stream ended before its initial objects were complete")

    async def _fill_by_list(self, version: str) -> None:
        records, end = await self._list(version)
        await self._filled(records, end)

    async def _list(self, version: str) -> tuple[list[Record], str]:
        """In pages when the read is consistent; else whole, so that a cache may serve it."""
        limit = 0 if version else self._options.page_size
        page = await self._page(limit=limit, version=version)
        records = [self._kept(item) for item in page.items]
        while page.continue_:
            try:
                page = await self._page(limit=limit, token=page.continue_)
            except Gone:
                self._count("continue_expired")
                page = await self._page(limit=0)
                records = []
            records += [self._kept(item) for item in page.items]
        return records, page.resource_version

    async def _filled(self, records: Iterable[Record], version: str) -> None:
        await self._shard.replace(records, version, self._pause)
        self._unavailable = False
        self.heard = self._clock.monotonic()
        self._solved()

    # -- following -------------------------------------------------------------------------------

    async def _follow(self, events: AsyncIterator[WatchEvent]) -> None:
        """Apply events until the watch ends. A version is taken from every event, except from the
        synthetic ones, in no order, with which a watch from no version begins."""
        now = self._clock.monotonic
        began = now()
        ordered = bool(self._shard.version)
        empty = True
        async for event in events:
            self.heard = now()
            record = self._accept(event)
            if empty:
                empty = False
                self._internal_errors_since = None
            if record is None:
                continue
            ordered = ordered or event.type != "ADDED"
            if event.type == "BOOKMARK":
                self._shard.advance(record.meta.resource_version)
            elif event.type == "DELETED":
                self._shard.remove(self._transformed(record))
            else:
                self._shard.upsert(self._transformed(record), advance=ordered)
        if empty and now() - began < SHORT:
            raise _Short("the watch ended at once and without an event")

    # -- judging ---------------------------------------------------------------------------------

    def _judge(self, error: KubeError) -> _Next:
        """What an error means for the next step."""
        if isinstance(error, IdleTimeout):
            self._count("watch_idle")
            return _Next(resume=True)
        if isinstance(error, NotFound):
            self._report(error, self._missing)
            return _Next(resume=False, delay=self._options.missing_retry)
        delay = self._backoff.delay()
        if isinstance(error, Gone):
            self._count("expired")
            return _Next(resume=False, delay=delay)
        self._report(error)
        if too_large(error):
            self._unavailable = True
        if isinstance(error, TooManyRequests):
            return _Next(resume=True, delay=max(delay, error.retry_after or 0.0))
        resume = isinstance(error, TransportError) or self._within_window(error)
        return _Next(resume=resume, delay=delay)

    def _within_window(self, error: KubeError) -> bool:
        if not isinstance(error, ServerError) or error.code != 500:
            return False
        now = self._clock.monotonic()
        if self._internal_errors_since is None:
            self._internal_errors_since = now
        if now - self._internal_errors_since < self._options.internal_error_window:
            return True
        self._internal_errors_since = None
        return False

    def _report(self, error: KubeError, hint: str = "") -> None:
        told = f"{hint} ({error})" if hint else str(error)
        problem = f"{self._verb} {self._resource.group_resource}: {told}"
        self._count("failed")
        if problem != self.problem:
            self.problem = problem
            self._log.warning("cannot follow", verb=self._verb, error=told)

    @property
    def _missing(self) -> str:
        kind = f"{self._resource.group_resource}/{self._resource.version}"
        return f"{kind} is not served; is its definition installed?"

    def _solved(self) -> None:
        self.problem = ""

    # -- requests and what they bring ------------------------------------------------------------

    async def _open(
        self, connection: AsyncExitStack, version: str, *, initial: bool
    ) -> AsyncIterator[WatchEvent]:
        self._verb = "watch"
        self._count("watch_list" if initial else "watch")
        shortest = self._options.shortest_watch
        events = await connection.enter_async_context(
            self._client.watch(
                self._resource,
                namespace=self._scope.namespace,
                label_selector=self._scope.label_selector,
                field_selector=self._scope.field_selector,
                resource_version=version,
                send_initial_events=initial,
                timeout_seconds=self._random.randint(shortest, 2 * shortest),
                idle_timeout=self._options.idle_timeout,
                metadata_only=self._options.metadata_only,
            )
        )
        if not initial:
            self._solved()
        return events

    async def _page(self, *, limit: int, token: str = "", version: str = "") -> RecordList:
        self._verb = "list"
        self._count("list")
        page = await self._client.list(
            self._resource,
            namespace=self._scope.namespace,
            label_selector=self._scope.label_selector,
            field_selector=self._scope.field_selector,
            limit=limit,
            continue_=token,
            resource_version=version,
            metadata_only=self._options.metadata_only,
        )
        for problem in page.problems:
            self._odd(problem)
        return page

    def _accept(self, event: WatchEvent) -> Record | None:
        """The record of an event, or None for what cannot be one of ours; errors are raised."""
        if event.status is not None:
            raise event.status
        if event.record is None:
            self._odd(event.problem)
            return None
        if not event.record.meta.resource_version:
            self._odd("a bookmark without a version")
            return None
        return event.record

    def _odd(self, problem: str) -> None:
        """Something that is not an object of our kind came along: skipped, counted."""
        self._count("unreadable")
        self._log.warning("skipped what the server sent", problem=problem)

    def _transformed(self, record: Record) -> Record:
        transform = self._options.transform
        return record if transform is None else transform(record)

    def _kept(self, record: Record) -> Record:
        """Of two copies of the same the old one: a list of what is known needs no memory, and
        what would be freed at once in the end, stopping the loop, is freed as it comes."""
        return self._shard.known(self._transformed(record))

    async def _pause(self) -> None:
        await self._clock.sleep(0)


def too_large(error: KubeError) -> bool:
    """Whether the server has not yet seen the version asked for: a cache that lags behind.

    Three dialects: a cause by its reason (since Kubernetes 1.19), a cause by its message (1.17),
    the message alone (before).
    """
    if not isinstance(error, ApiError):
        return False
    if any(cause.reason == "ResourceVersionTooLarge" for cause in error.causes):
        return True
    text = "Too large resource version"
    return error.reason == "Timeout" and (
        text in str(error) or any(text in cause.message for cause in error.causes)
    )


def _ends_initial(bookmark: Record) -> bool:
    return bookmark.meta.annotations.get(INITIAL_EVENTS_END) == "true"
