"""One controller without a manager, and informers that deliver what a test tells them to."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

from prometheus_client import CollectorRegistry

from kaito.framework.controller import Controller, ControllerOptions, Environment
from kaito.framework.metrics import Metrics
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.kube.clock import LoopClock
from kaito.kube.objects import ObjectKey, Resource, record_of

WIDGETS = Resource("example.org", "v1", "widgets", "Widget")
PARTS = Resource("example.org", "v1", "parts", "Part")


def widget(name, namespace="default", *, version="1", kind="Widget", **metadata):
    meta = {"name": name, "namespace": namespace, "resourceVersion": version, **metadata}
    return record_of({"apiVersion": "example.org/v1", "kind": kind, "metadata": meta})


def key(name, namespace="default"):
    return ObjectKey(namespace, name)


class Listening:
    def __init__(self, handler):
        self.handler, self.event = handler, asyncio.Event()

    @property
    def synced(self):
        return self.event.is_set()

    async def wait(self):
        await self.event.wait()


class ToldInformer:
    def __init__(self, options):
        self.options, self.problem, self.listening = options, "", []
        self.store = object()

    def subscribe(self, handler, name="", *, resync=0.0):
        self.listening.append(Listening(handler))
        return self.listening[-1]

    def unsubscribe(self, subscription):
        self.listening.remove(subscription)

    def tell(self, *events):
        for listening in self.listening:
            for event in events:
                listening.handler(event)

    def sync(self):
        for listening in self.listening:
            listening.event.set()


class ToldInformers:
    """Hands out one informer per kind and never says anything by itself."""

    def __init__(self):
        self.made = {}

    def informer(self, resource, **options):
        return self.made.setdefault(resource, ToldInformer(options))


class Scripted:
    """A reconciler that does what it is told for each run in turn, then answers Done."""

    def __init__(self, *steps):
        self.steps, self.runs, self.clock = list(steps), [], LoopClock()

    async def reconcile(self, key):
        self.runs.append((key, self.clock.monotonic()))
        step = self.steps.pop(0) if self.steps else Done()
        if callable(step):
            return await step(key)
        if isinstance(step, BaseException):
            raise step
        return step

    @property
    def times(self):
        return [at for _, at in self.runs]

    @property
    def names(self):
        return [key.name for key, _ in self.runs]


class Bench:
    """A running controller named `widgets`; `told` is what its informers are told through."""

    def __init__(self, reconciler, *, sources=None, consistency=None, clock=None, **options):
        self.told, self.registry = ToldInformers(), CollectorRegistry()
        self.clock = clock or LoopClock()
        self.controller = Controller(
            "widgets", reconciler, sources or [for_object(WIDGETS)], ControllerOptions(**options)
        )
        self.controller.bind(
            Environment(
                informers=self.told,
                clock=self.clock,
                random=Random(1),
                metrics=Metrics(self.registry),
                consistency=consistency,
            )
        )

    @asynccontextmanager
    async def running(self, *, synced=True):
        """Stops the controller at the end and waits for its runs."""
        async with asyncio.TaskGroup() as group:
            self.task = group.create_task(self.controller.run())
            await self.clock.sleep(0)
            if synced:
                self.sync()
            yield self
            self.controller.stop()

    def sync(self):
        for informer in self.told.made.values():
            informer.sync()

    def tell(self, *events, resource=WIDGETS):
        self.told.made[resource].tell(*events)

    def want(self, *names, priority=0):
        for name in names:
            self.controller.enqueue(key(name), priority=priority)

    def value(self, name, /, **labels):
        return self.registry.get_sample_value(name, {"controller": "widgets", **labels})

    def counts(self):
        """What `controller_runtime_reconcile_total` says, without zeros."""
        results = ("success", "error", "requeue", "requeue_after")
        values = {
            result: self.value("controller_runtime_reconcile_total", result=result)
            for result in results
        }
        return {result: int(value) for result, value in values.items() if value}
