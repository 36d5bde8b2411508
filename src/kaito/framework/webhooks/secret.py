"""Certificates in a Secret: served by every replica, made and published by the leader.

    key = ObjectKey("widgets", "webhook-certificates")
    server = WebhookServer(SecretCertificates(manager.cache, key, metrics=...), ...)
    manager.serve_webhooks(server)
    manager.add(certificate_controller(manager, key, Configurations(...), RotationOptions(...)))

The Secret is watched alone, by its name: no right to see others is needed.
"""

import base64
import binascii
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, final

import structlog

from kaito.framework.cache import Cache
from kaito.framework.consistent import ConsistentClient
from kaito.framework.controller import Controller, ControllerOptions
from kaito.framework.events import Deleted, Event
from kaito.framework.reconcile import Again
from kaito.framework.sources import Source, at_start, for_object, mapped
from kaito.framework.webhooks.inject import injected, unpublished
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.framework.webhooks.rotation import (
    BUNDLE,
    CERTIFICATE,
    KEY,
    Content,
    RotationOptions,
    step,
)
from kaito.kube.clock import Clock
from kaito.kube.objects import ObjectKey, Record, Resource
from kaito.kube.resources import (
    CRDS,
    MUTATINGWEBHOOKCONFIGURATIONS,
    SECRETS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
)
from kaito.kube.servertls import load, server_context

log = structlog.get_logger(__name__)

FIELD_MANAGER: Final = "webhook-certificates"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Configurations:
    """Names of everything whose `caBundle` is ours to write. Each is watched by itself."""

    validating: tuple[str, ...] = ()
    mutating: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    """CustomResourceDefinitions with conversion by webhook."""

    def __iter__(self) -> Iterator[tuple[Resource, ObjectKey]]:
        for resource, names in (
            (VALIDATINGWEBHOOKCONFIGURATIONS, self.validating),
            (MUTATINGWEBHOOKCONFIGURATIONS, self.mutating),
            (CRDS, self.definitions),
        ):
            for name in names:
                yield resource, ObjectKey("", name)


class Owner(Protocol):
    """The parts of a manager that are needed here."""

    @property
    def cache(self) -> Cache: ...
    @property
    def client(self) -> ConsistentClient: ...
    @property
    def clock(self) -> Clock: ...


def content_of(secret: Record | None) -> Content:
    """The decoded data; what cannot be decoded counts as missing."""
    found: dict[str, bytes] = {}
    data: Any = (secret.get("data") if secret is not None else None) or {}
    for name, text in data.items():
        try:
            found[name] = base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError):
            log.warning("certificate secret has undecodable data", field=name)
    return found


@final
class SecretCertificates:
    """What the server shows: the leaf in the Secret, a new one from the next handshake on."""

    def __init__(self, cache: Cache, key: ObjectKey, *, metrics: WebhookMetrics) -> None:
        self._key = key
        self._metrics = metrics
        self._context = server_context()
        self._loaded: tuple[bytes, bytes] | None = None
        cache.informer(SECRETS, **_alone(key)).subscribe(self._follow, "certificates")

    @property
    def context(self) -> ssl.SSLContext:
        return self._context

    def problem(self) -> str | None:
        return None if self._loaded else f"no certificate in Secret {self._key} yet"

    async def run(self) -> None:
        """Nothing to do: the cache tells of every change."""

    def _follow(self, event: Event) -> None:
        content = content_of(event.record)
        pair = (content.get(CERTIFICATE, b""), content.get(KEY, b""))
        if isinstance(event, Deleted) or not all(pair) or pair == self._loaded:
            return
        self._metrics.certificate_reads.inc()
        try:
            load(self._context, *pair)
            self._loaded = pair
            log.info("certificate loaded", secret=str(self._key))
        except (OSError, ssl.SSLError) as error:
            self._metrics.certificate_errors.inc()
            log.warning("certificate unreadable", secret=str(self._key), error=str(error))


def certificate_controller(
    owner: Owner, key: ObjectKey, configurations: Configurations, options: RotationOptions
) -> Controller:
    """Makes, publishes and rotates; runs on the leader alone.

    Needs: get, list, watch, create, patch of the Secret; get, list, watch, patch of each
    configuration.
    """
    keeper = Keeper(owner, key, configurations, options)
    sources: list[Source] = [for_object(SECRETS, **_alone(key)), at_start(key)]
    sources += [
        mapped(resource, lambda _: (key,), **_alone(name)) for resource, name in configurations
    ]
    return Controller("webhook-certificates", keeper, sources, ControllerOptions(concurrency=1))


@final
class Keeper:
    """The reconciler. Between runs it knows only since when the bundle has been trusted."""

    def __init__(
        self,
        owner: Owner,
        key: ObjectKey,
        configurations: Configurations,
        options: RotationOptions,
    ) -> None:
        self._owner = owner
        self._key = key
        self._configurations = configurations
        self._options = options
        self._trusted: tuple[bytes, datetime] | None = None

    async def reconcile(self, key: ObjectKey) -> Again:
        """One step of `rotation`, and its bundle into every configuration that lacks it."""
        if key != self._key:
            return Again(self._options.longest_wait.total_seconds())
        secret = self._secret()
        content, now = content_of(secret), self._owner.clock.wall()
        since = self._trusted_since(content.get(BUNDLE, b""), now)
        found = step(content, now, since, self._options)
        if found.content is not None:
            await self._write(secret, found.content)
        await self._publish(found.bundle)
        return Again(found.again.total_seconds())

    def _secret(self) -> Record | None:
        informer = self._owner.cache.informer(SECRETS, **_alone(self._key))
        return informer.store.get(self._key)

    def _found(self) -> Iterable[tuple[Resource, ObjectKey, Record | None]]:
        for resource, key in self._configurations:
            informer = self._owner.cache.informer(resource, **_alone(key))
            yield resource, key, informer.store.get(key)

    def _trusted_since(self, bundle: bytes, now: datetime) -> datetime | None:
        """A configuration that does not exist trusts nobody and calls nobody."""
        lacking = [r for _, _, r in self._found() if r is not None and unpublished(r, bundle)]
        if not bundle or lacking:
            self._trusted = None
        elif self._trusted is None or self._trusted[0] != bundle:
            self._trusted = (bundle, now)
        return None if self._trusted is None else self._trusted[1]

    async def _write(self, secret: Record | None, content: Content) -> None:
        data = {name: base64.b64encode(value).decode() for name, value in content.items()}
        client = self._owner.client
        if secret is None:
            namespace, name = self._key
            metadata = {"namespace": namespace, "name": name}
            obj = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
            await client.create(SECRETS, obj, field_manager=FIELD_MANAGER)
        else:
            version = secret.meta.resource_version
            await client.merge_patch(
                SECRETS,
                self._key,
                {"data": data},
                resource_version=version,
                field_manager=FIELD_MANAGER,
            )
        log.info("certificates written", secret=str(self._key))

    async def _publish(self, bundle: bytes) -> None:
        for resource, key, record in self._found():
            if record is None or not (patch := injected(record, bundle)):
                continue
            version = record.meta.resource_version
            await self._owner.client.json_patch(
                resource, key, patch, resource_version=version, field_manager=FIELD_MANAGER
            )
            log.info("bundle published", configuration=f"{resource.kind} {key.name}")


def _alone(key: ObjectKey) -> Any:
    """Options of an informer for one object."""
    namespaces = {"namespaces": (key.namespace,)} if key.namespace else {}
    return {**namespaces, "field_selector": f"metadata.name={key.name}"}
