"""Where keys come from: events of a watched kind, turned into the keys to reconcile.

for_object(WORKSPACES)              the object itself
owned_by(STATEFULSETS, WORKSPACES)  the object that controls it
mapped(CONFIGMAPS, to_keys)         whatever a function finds
reads(SECRETS)                      nothing: runs read the kind, so its cache is waited for
at_start(key)                       once, when the controller starts
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict, Unpack, final

from kaito.framework.events import Added, Event, Updated
from kaito.framework.index import IndexFunction
from kaito.framework.predicates import Predicate
from kaito.framework.reading import Readable
from kaito.framework.reflector import Transform
from kaito.framework.scope import Scope
from kaito.framework.workqueue import LOW_PRIORITY
from kaito.kube.objects import ObjectKey, Record, Resource


class WatchOptions(TypedDict, total=False):
    """What is watched of a kind, and how it is kept: see `Cache.informer`."""

    namespaces: tuple[str, ...]
    """None given: all."""
    label_selector: str
    field_selector: str
    scopes: tuple[Scope, ...]
    """Several namespaces with selectors of their own."""
    metadata_only: bool
    transform: Transform | None
    indexes: Mapping[str, IndexFunction]


Enqueue = Callable[[ObjectKey, int], None]
"""Takes a key and its priority."""

ToKeys = Callable[[Record], Iterable[ObjectKey]]


class Subscription(Protocol):
    """A handler that listens to an informer."""

    @property
    def synced(self) -> bool:
        """The handler has been given everything that was there when it started to listen."""
        ...

    async def wait(self) -> None:
        """Return when `synced` is true."""
        ...


class Informer(Protocol):
    """One watched kind."""

    @property
    def store(self) -> Readable:
        """What runs may read once the kind is waited for."""
        ...

    @property
    def problem(self) -> str:
        """Why the kind cannot be followed at the moment; empty while all is well."""
        ...

    def subscribe(
        self, handler: Callable[[Event], None], name: str = "", *, resync: float = 0.0
    ) -> Subscription: ...

    def unsubscribe(self, subscription: Any) -> None:
        """The handler is not called any more."""
        ...


class Informers(Protocol):
    """The part of a cache that sources need."""

    @property
    def informer(self) -> Callable[..., Informer]:
        """Called with a resource and keyword options; the same ones give the same informer."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Feed:
    """A source at work."""

    resource: Resource
    informer: Informer
    subscription: Subscription

    def stop(self) -> None:
        self.informer.unsubscribe(self.subscription)


class Source(Protocol):
    """Feeds the queue of one controller."""

    @property
    def resource(self) -> Resource | None:
        """The kind that is watched, if any."""
        ...

    def declare(self, informers: Informers) -> None:
        """Say what has to be cached, so that it is warm before the controller starts."""
        ...

    def start(self, informers: Informers, enqueue: Enqueue) -> Feed | None:
        """Begin to enqueue. Must not wait; None where there is nothing to wait for."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Events of one kind, through a predicate, turned into keys.

    An update counts for the keys of both its old and its new state, so nothing that let go of an
    object misses that.
    """

    resource: Resource
    to_keys: ToKeys
    predicate: Predicate | None = None
    resync: float = 0.0
    """Seconds, give or take a tenth, after which all objects are looked at again, at low priority;
    0: never. `kaito.framework.resync.RESYNC` is controller-runtime's period."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """For the informer: selectors, namespaces, indexes, transform ..."""

    def declare(self, informers: Informers) -> None:
        informers.informer(self.resource, **self.options)

    def start(self, informers: Informers, enqueue: Enqueue) -> Feed:
        def handle(event: Event) -> None:
            if self.predicate is not None and not self.predicate(event):
                return
            priority = _priority(event)
            if self.to_keys is _itself:  # the usual case: old and new have the same key
                enqueue(event.record.meta.key, priority)
                return
            for key in self._keys(event):
                enqueue(key, priority)

        informer = informers.informer(self.resource, **self.options)
        return Feed(self.resource, informer, informer.subscribe(handle, resync=self.resync))

    def _keys(self, event: Event) -> Iterable[ObjectKey]:
        if not isinstance(event, Updated):
            return self.to_keys(event.record)
        keys = dict.fromkeys(self.to_keys(event.old))
        keys.update(dict.fromkeys(self.to_keys(event.new)))
        return keys


def _priority(event: Event) -> int:
    """What is no news about the world can wait until the news has been dealt with."""
    if isinstance(event, Added):
        return LOW_PRIORITY if event.initial else 0
    if isinstance(event, Updated):
        same = event.old.meta.resource_version == event.new.meta.resource_version
        return LOW_PRIORITY if same else 0
    return 0


@final
@dataclass(frozen=True, slots=True)
class AtStart:
    """Keys that are wanted when the controller starts: a self-requeueing loop begins with one."""

    keys: tuple[ObjectKey, ...]

    @property
    def resource(self) -> None:
        return None

    def declare(self, informers: Informers) -> None:
        """Nothing has to be cached."""

    def start(self, informers: Informers, enqueue: Enqueue) -> None:  # noqa: ARG002 - the protocol's
        for key in self.keys:
            enqueue(key, 0)


def _none(_record: Record) -> Iterable[ObjectKey]:
    return ()


def _itself(record: Record) -> Iterable[ObjectKey]:
    return (record.meta.key,)


def _controller_of(owner: Resource) -> ToKeys:
    def to_keys(record: Record) -> Iterable[ObjectKey]:
        reference = record.meta.controller
        if reference is None or reference.kind != owner.kind:
            return ()
        group, slash, _ = reference.api_version.partition("/")
        if (group if slash else "") != owner.group:
            return ()
        return (ObjectKey(record.meta.namespace if owner.namespaced else "", reference.name),)

    return to_keys


def for_object(
    resource: Resource,
    *,
    predicate: Predicate | None = None,
    resync: float = 0.0,
    **options: Unpack[WatchOptions],
) -> Source:
    """Every object of the kind is a key. `options` go to the informer; `resync`: see `Watch`."""
    return Watch(
        resource=resource, to_keys=_itself, predicate=predicate, resync=resync, options=options
    )


def owned_by(
    resource: Resource,
    owner: Resource,
    *,
    predicate: Predicate | None = None,
    **options: Unpack[WatchOptions],
) -> Source:
    """Objects whose controller is of kind `owner` (whatever its version) want that owner."""
    keys = _controller_of(owner)
    return Watch(resource=resource, to_keys=keys, predicate=predicate, options=options)


def mapped(
    resource: Resource,
    to_keys: ToKeys,
    *,
    predicate: Predicate | None = None,
    **options: Unpack[WatchOptions],
) -> Source:
    """Objects want the keys that `to_keys` finds; it must be quick and may read the cache."""
    return Watch(resource=resource, to_keys=to_keys, predicate=predicate, options=options)


def reads(resource: Resource, **options: Unpack[WatchOptions]) -> Source:
    """No keys: runs read the kind, so it is cached, and none starts before it is complete.

    The options must be those of the informer that is read: selectors, namespaces, transform ...
    """
    return Watch(resource=resource, to_keys=_none, options=options)


def at_start(*keys: ObjectKey) -> Source:
    """These keys once, when the controller starts."""
    return AtStart(keys)
