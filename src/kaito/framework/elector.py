"""Leader election on Leases: carrying out what `leader.decide` says.

A standby reads the lease, then watches it: a release is noticed at once, and a lease that runs out
is taken at that moment. Where the watch is refused it polls instead. A leader renews with one PUT
(the resourceVersion is remembered); only when that fails does it read first.
"""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import final

import structlog

from kaito.framework.fence import Fence
from kaito.framework.leader import (
    JITTER,
    Create,
    LeaderOptions,
    Lose,
    Renew,
    Sighting,
    Take,
    Wait,
    claim,
    decide,
    read,
    release,
    sight,
    spec_of,
)
from kaito.framework.metrics import LeaderMetrics
from kaito.kube.client import Client, WatchEvent
from kaito.kube.clock import Clock, rfc3339_micro
from kaito.kube.errors import Conflict, KubeError, NotFound
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import LEASES
from kaito.kube.transport import Transport

log = structlog.get_logger(__name__)

_WATCH_SECONDS = 300
_RELEASE_TRIES = 3


class LeadershipLost(Exception):
    """This process led and does not any more: it must end."""


@final
class Elector:
    """One candidate. Belongs to one event loop; only the fence is shared with others."""

    def __init__(
        self,
        transport: Transport,
        options: LeaderOptions,
        *,
        identity: str,
        fence: Fence,
        clock: Clock,
        random: Random,
        metrics: LeaderMetrics,
    ) -> None:
        self.options = options
        self.renewed_at: float | None = None
        """When the last successful request was sent; None while on standby."""
        self.lease_until: float | None = None
        """When others may take over from us at the earliest; None if this never led."""
        self._me = identity
        self._client = Client(
            transport,
            clock=clock,
            random=random,
            user_agent="leader-election",
            metrics=metrics.requests,
            timeout=options.request_timeout,
        )
        self._fence = fence
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._key = ObjectKey(options.namespace, options.name)
        self._seen = Sighting(None, 0.0)
        self._record: Record | None = None
        self._problem = ""
        metrics.master.set(0)
        fence.shut()

    # ---- standby

    async def campaign(self) -> None:
        """Return when this candidate leads. Errors of the server are waited out."""
        log.info("waiting for the lease", lease=str(self._key), identity=self._me)
        while True:
            try:
                await self._look()
                if await self._try():
                    break
                if await self._freed():
                    continue
            except KubeError as error:
                self._report("cannot get the lease", error)
            await self._clock.sleep(
                self.options.retry_period * (1 + JITTER * self._random.random())
            )
        log.info("leading", lease=str(self._key), identity=self._me)

    async def _freed(self) -> bool:
        """True when it is time to look again; False when the server would not be watched."""
        opened = self._clock.monotonic()
        version = self._record.meta.resource_version if self._record else ""
        try:
            async with (
                asyncio.timeout(self._remaining()) as scope,
                self._client.watch(
                    LEASES,
                    namespace=self._key.namespace,
                    field_selector=f"metadata.name={self._key.name}",
                    resource_version=version,
                    timeout_seconds=_WATCH_SECONDS,
                    idle_timeout=_WATCH_SECONDS,
                ) as events,
            ):
                if await self._followed(events, scope):
                    return True
        except TimeoutError:
            return True
        # A watch ends by itself from time to time. What happens until the next one is not to be
        # missed for a pause; one that ends at once is a refusal.
        return self._clock.monotonic() - opened >= self.options.retry_period

    async def _followed(self, events: AsyncIterator[WatchEvent], scope: asyncio.Timeout) -> bool:
        now = asyncio.get_running_loop().time
        async for event in events:
            if event.type == "BOOKMARK":
                continue
            if event.record is None:
                return False
            self._note(None if event.type == "DELETED" else event.record)
            scope.reschedule(now() + self._remaining())
        return False

    def _remaining(self) -> float:
        """Seconds until the lease that we have seen runs out."""
        now = self._clock.monotonic()
        action = decide(self._me, self._seen, None, now, self.options)
        return action.seconds if isinstance(action, Wait) else 0.0

    # ---- leading

    async def renew(self) -> None:
        """Renew for ever. Raises LeadershipLost; by then the fence is shut."""
        while True:
            await self._clock.sleep(self.options.retry_period)
            if self.renewed_at is None:
                raise RuntimeError("only a leader can renew")
            deadline = self.renewed_at + self.options.renew_deadline
            try:
                async with asyncio.timeout(deadline - self._clock.monotonic()):
                    await self._renewed()
            except TimeoutError:
                self._end()
                seconds = self.options.renew_deadline
                raise LeadershipLost(
                    f"lease {self._key}: not renewed within {seconds:g} seconds"
                ) from None

    async def _renewed(self) -> None:
        """Return after one success, whatever it takes."""
        try:
            if await self._try():
                return
        except KubeError as error:
            self._report("cannot renew the lease", error)
        while True:
            self._metrics.slowpath.inc()
            try:
                await self._look()
                if await self._try():
                    return
            except KubeError as error:
                self._report("cannot renew the lease", error)
            await self._clock.sleep(self.options.retry_period)

    async def release(self) -> None:
        """Stop leading, and let the next one take over at once. Never raises an error of the
        server: then the lease runs out by itself.
        """
        if self.renewed_at is None:
            return
        self._end()
        if not self.options.release_on_stop:
            return
        try:
            async with asyncio.timeout(self.options.request_timeout):
                await self._let_go()
        except (KubeError, TimeoutError) as error:
            log.warning("the lease was not released and will run out", error=str(error))

    async def _let_go(self) -> None:
        for _ in range(_RELEASE_TRIES):
            lease = self._seen.lease
            if self._record is None or lease is None or lease.holder != self._me:
                return
            spec = spec_of(release(lease, rfc3339_micro(self._clock.wall())))
            try:
                await self._client.replace(LEASES, {**self._record.json(), "spec": spec})
            except Conflict:
                # A renewal that was cancelled on its way may have landed.
                await self._look()
            else:
                log.info("lease released", lease=str(self._key), identity=self._me)
                return

    # ---- the step

    async def _try(self) -> bool:
        """Whether we lead now, having said so to the server."""
        sent = self._clock.monotonic()
        match decide(self._me, self._seen, self.renewed_at, sent, self.options):
            case Wait():
                return False
            case Lose(why):
                self._end()
                raise LeadershipLost(f"lease {self._key}: {why}")
            case Create() | Take() | Renew():
                self._note(await self._claim())
        if self.renewed_at is None:
            self._metrics.master.set(1)
        self.renewed_at = sent
        self.lease_until = sent + self.options.lease_duration
        self._fence.extend(sent + self.options.renew_deadline)
        self._problem = ""
        return True

    async def _claim(self) -> Record:
        now = rfc3339_micro(self._clock.wall())
        spec = spec_of(claim(self._seen.lease, self._me, now, self.options))
        if self._record is not None:
            return await self._client.replace(LEASES, {**self._record.json(), "spec": spec})
        lease: Json = {
            "metadata": {"namespace": self._key.namespace, "name": self._key.name},
            "spec": spec,
        }
        return await self._client.create(LEASES, lease)

    async def _look(self) -> None:
        try:
            self._note(await self._client.get(LEASES, self._key))
        except NotFound:
            self._note(None)

    def _note(self, record: Record | None) -> None:
        self._record = record
        lease = None if record is None else read(record)
        self._seen = sight(self._seen, lease, self._clock.monotonic())

    def _end(self) -> None:
        self._fence.shut()
        self.renewed_at = None
        self._metrics.master.set(0)

    def _report(self, message: str, error: KubeError) -> None:
        """Once per kind of trouble, not once per try. To lose a race is no trouble."""
        told = str(error)
        if told != self._problem and not isinstance(error, Conflict):
            log.warning(message, lease=str(self._key), error=told)
        self._problem = told
