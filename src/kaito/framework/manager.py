"""The manager: shared things made once, and the lifetimes of everything, one inside the other.

    endpoints                                   first to answer, last to fall silent
      webhooks                                  a cache may need our conversion to list a kind
        caches                                  warm on a standby too
          events                                written until the last controller has ended
            runnables that every replica runs
              leadership                        given back as soon as the leader's work is done
                controllers, leader runnables   finish the runs in progress, start no new one

Each line lives strictly inside the one above, so starting is reading downwards and stopping is
reading upwards. Whatever fails inside ends what is inside it first; all failures are reported.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import final

import structlog
from prometheus_client import CollectorRegistry

from kaito.framework.cache import Cache
from kaito.framework.cachemetrics import CacheMetrics
from kaito.framework.consistent import ConsistentClient
from kaito.framework.controller import Controller, Environment
from kaito.framework.elector import Elector
from kaito.framework.fence import Fence, FencedTransport
from kaito.framework.leader import LeaderOptions
from kaito.framework.leadership import elected_here, elected_on_thread
from kaito.framework.memory import freeze, measured_collections
from kaito.framework.metrics import Metrics
from kaito.framework.probes import Check
from kaito.framework.recorder import EventSink, Recorder
from kaito.framework.webhooks.serving import Webhooks
from kaito.kube.client import Client
from kaito.kube.clock import Clock
from kaito.kube.transport import Transport

log = structlog.get_logger(__name__)

Run = Callable[[], Awaitable[None]]


class StopOverdue(Exception):
    """Some of the leader's work did not end within the grace period and was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerOptions:
    metrics_bind_address: str = ""
    """`host:port`, "" or "0" for none."""
    health_probe_bind_address: str = ""
    debug_bind_address: str = ""
    """Of `/debug`, which asks nobody who they are: keep it on loopback."""
    leader: LeaderOptions | None = None
    """None: no election, this process may always write."""
    identity: str = "manager"
    """Names this process in the lease and in events; unique among the replicas."""
    user_agent: str = "kaito"
    grace_seconds: float = 30.0
    """How long runs in progress may take after the stop; negative: as long as they like."""
    freeze_after_sync: bool = False
    """Once the caches are complete, hide what is there from the garbage collector, whose pauses
    would otherwise grow with the caches. Concerns the whole process."""
    loop_lag_interval: float = 0.0
    """Seconds between measurements of how late the event loop runs timers; 0: off. With it go the
    pauses of the garbage collector, which concern the whole process."""
    request_details: bool = False
    """Also measure how long requests take, how large they are and how often they are tried again:
    the `rest_client_*` metrics that controller-runtime shows on demand."""


@final
class Manager:
    """See the module. `run` may be called once."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        random: Random,
        options: ManagerOptions = ManagerOptions(),
        registry: CollectorRegistry | None = None,
        election_transport: Transport | None = None,
    ) -> None:
        """With `election_transport` the election has its own thread, loop and watchdog, and that
        transport belongs to it; without, it runs on the manager's loop over `transport`.
        """
        self.options = options
        self.clock = clock
        self.random = random
        self.registry = CollectorRegistry() if registry is None else registry
        self.metrics = Metrics(self.registry, request_details=options.request_details)
        deadline = math.inf if options.leader is None else -math.inf
        self.fence = Fence(clock.monotonic, deadline=deadline)
        unfenced = self._client(transport)
        self.live = self._client(FencedTransport(transport, self.fence))
        counted = CacheMetrics()
        self.registry.register(counted)
        self.cache = counted.cache = Cache(
            unfenced, clock=clock, random=random, metrics=counted.count
        )
        self.client = ConsistentClient(
            self.live, self.cache, fence=self.fence, clock=clock, metrics=counted.count
        )
        self._events = EventSink(unfenced, clock=clock, random=random, metrics=self.metrics)
        self._transport = transport
        self._election_transport = election_transport
        self._controllers: dict[str, Controller] = {}
        self._runnables: list[tuple[str, Run, bool]] = []
        self._probes: dict[str, dict[str, Check]] = {
            "healthz": {"ping": _fine},
            "readyz": {"caches": self._unsynced},
        }
        self._webhooks: Webhooks | None = None
        self._stopping = False

    def _client(self, transport: Transport) -> Client:
        return Client(
            transport,
            clock=self.clock,
            random=self.random,
            user_agent=self.options.user_agent,
            metrics=self.metrics.requests,
        )

    # ---- before running

    def add(self, controller: Controller) -> None:
        """Declares what the controller watches. Raises ValueError for a name that is taken."""
        if controller.name in self._controllers:
            raise ValueError(f"a controller named {controller.name} exists already")
        self._refuse_while_stopping()
        self._controllers[controller.name] = controller
        controller.bind(
            Environment(
                informers=self.cache,
                clock=self.clock,
                random=self.random,
                metrics=self.metrics,
                consistency=self.client,
            )
        )

    def add_runnable(self, name: str, run: Run, *, leader: bool = True) -> None:
        """Run something until the stop, when it is cancelled; it may also end by itself.

        `leader`: only while this process leads.
        """
        self._refuse_while_stopping()
        self._runnables.append((name, run, leader))

    def serve_webhooks(self, server: Webhooks) -> None:
        """Serve webhooks on every replica, from before the caches start until after they end."""
        self._refuse_while_stopping()
        if self._webhooks is not None:
            raise ValueError("there is a webhook server already")
        self._webhooks = server
        self.add_ready_check("webhooks", server.unready)

    def add_health_check(self, name: str, check: Check) -> None:
        """A failing one says that only a restart can help."""
        self._probes["healthz"][name] = check

    def add_ready_check(self, name: str, check: Check) -> None:
        """A failing one says that this process cannot do its work at the moment."""
        self._probes["readyz"][name] = check

    def recorder(self, component: str) -> Recorder:
        """Records events as `component`, a DNS label or a qualified name."""
        return Recorder(self._events, component, self.options.identity)

    # ---- running

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then end in good order.

        Raises an ExceptionGroup of whatever broke, at the start, while running, or at the stop.
        """
        self._refuse_while_stopping()
        everyone = [(name, run) for name, run, leader in self._runnables if not leader]
        try:
            async with (
                self._endpoints(),
                self._debugging(),
                self._webhooks.serving() if self._webhooks is not None else nullcontext(),
                _beside([("caches", self.cache.run), *self._housekeeping()]),
                self._recording(),
                _beside(everyone),
            ):
                await self._work(stop)
        finally:
            self._stopping = True

    async def _work(self, stop: asyncio.Event) -> None:
        """Wait for leadership, then run what only the leader runs."""
        independent = [c for c in self._controllers.values() if not c.options.leader]
        dependent = [c for c in self._controllers.values() if c.options.leader]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._reconcile(independent, (), stop))
            async with self._leadership() as leading:
                if await _first(leading, stop):
                    await self._reconcile(dependent, self._leader_runnables(), stop)
            await asyncio.wait([task])

    def _leader_runnables(self) -> list[tuple[str, Run]]:
        return [(name, run) for name, run, leader in self._runnables if leader]

    async def _reconcile(
        self,
        controllers: Iterable[Controller],
        runnables: Iterable[tuple[str, Run]],
        stop: asyncio.Event,
    ) -> None:
        async with _beside(runnables), asyncio.TaskGroup() as group:
            running = {
                group.create_task(
                    controller.run(), name=f"controller {controller.name}"
                ): controller
                for controller in controllers
            }
            await stop.wait()
            self._stopping = True
            for controller in running.values():
                controller.stop()
            await self._grace(running)

    async def _grace(self, running: dict[asyncio.Task[None], Controller]) -> None:
        if not running:
            return
        grace = self.options.grace_seconds
        _, late = await asyncio.wait(running, timeout=None if grace < 0 else grace)
        for task in late:
            task.cancel()
        if late and grace > 0:
            names = ", controller ".join(sorted(running[task].name for task in late))
            raise StopOverdue(f"{grace:g} seconds after the stop, not finished: controller {names}")

    # ---- the lifetimes

    def _endpoints(self) -> AbstractAsyncContextManager[object]:
        options = self.options
        if not options.metrics_bind_address and not options.health_probe_bind_address:
            return nullcontext()
        from kaito.framework.endpoints import serving

        return serving(
            metrics_address=options.metrics_bind_address,
            health_address=options.health_probe_bind_address,
            registry=self.registry,
            probes=self._probes,
        )

    def _debugging(self) -> AbstractAsyncContextManager[object]:
        address = self.options.debug_bind_address
        if address in ("", "0"):
            return nullcontext()
        from kaito.framework.debug import debugging, reports

        return debugging(address, reports(self.cache, self._controllers.values))

    @asynccontextmanager
    async def _recording(self) -> AsyncIterator[None]:
        async with _beside([("events", self._events.run)]):
            yield
        await self._events.flush()

    def _leadership(self) -> AbstractAsyncContextManager[asyncio.Event]:
        leader, transport = self.options.leader, self._election_transport
        if leader is None:
            return nullcontext(_set_event())
        if transport is None:
            return elected_here(self._elector(leader, self._transport))
        return elected_on_thread(lambda: self._elector(leader, transport), transport, self.clock)

    def _elector(self, options: LeaderOptions, transport: Transport) -> Elector:
        return Elector(
            transport,
            options,
            identity=self.options.identity,
            fence=self.fence,
            clock=self.clock,
            random=Random(self.random.getrandbits(64)),
            metrics=self.metrics.leader(options.name),
        )

    def _housekeeping(self) -> Iterator[tuple[str, Run]]:
        if self.options.loop_lag_interval > 0:
            yield "loop lag", self._measure_lag
        if self.options.freeze_after_sync:
            yield "freeze", self._freeze

    async def _freeze(self) -> None:
        for informer in tuple(self.cache.informers()):
            await informer.synced()
        freeze()

    async def _measure_lag(self) -> None:
        interval = self.options.loop_lag_interval
        with measured_collections(self.metrics.collection_took):
            while True:
                before = self.clock.monotonic()
                await self.clock.sleep(interval)
                self.metrics.loop_lag.observe(max(0.0, self.clock.monotonic() - before - interval))

    def _unsynced(self) -> str | None:
        waiting = {
            informer.resource.group_resource: informer.problem or "first list not complete"
            for informer in self.cache.informers()
            if not informer.store.synced
        }
        return "; ".join(f"{kind}: {problem}" for kind, problem in waiting.items()) or None

    def _refuse_while_stopping(self) -> None:
        if self._stopping:
            raise RuntimeError("the manager is stopping and starts nothing new")


def _fine() -> None:
    return None


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@asynccontextmanager
async def _beside(runnables: Iterable[tuple[str, Run]]) -> AsyncIterator[None]:
    """Run these beside the body, and cancel them when it is over."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_named(run), name=name) for name, run in runnables]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _named(run: Run) -> None:
    await run()


async def _first(leading: asyncio.Event, stop: asyncio.Event) -> bool:
    """Wait for either; True when leading and not to stop."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(leading.wait()), group.create_task(stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    return leading.is_set() and not stop.is_set()
