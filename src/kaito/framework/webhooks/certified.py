"""A webhook server that looks after its own certificates, in one call."""

from typing import Protocol

from prometheus_client import CollectorRegistry

from kaito.framework.controller import Controller
from kaito.framework.webhooks.measures import WebhookMetrics
from kaito.framework.webhooks.rotation import RotationOptions
from kaito.framework.webhooks.secret import (
    Configurations,
    Owner,
    SecretCertificates,
    certificate_controller,
)
from kaito.framework.webhooks.server import DEFAULTS, WebhookOptions, WebhookServer
from kaito.framework.webhooks.serving import Webhooks
from kaito.kube.objects import ObjectKey


class Manager(Owner, Protocol):
    """The parts of a manager that are needed here."""

    @property
    def registry(self) -> CollectorRegistry: ...
    def add(self, controller: Controller) -> None: ...
    def serve_webhooks(self, server: Webhooks) -> None: ...


def certified_server(
    manager: Manager,
    secret: ObjectKey,
    configurations: Configurations,
    rotation: RotationOptions,
    *,
    options: WebhookOptions = DEFAULTS,
) -> WebhookServer:
    """A server that the manager serves on every replica with the certificate in `secret`, which
    the leader makes, rotates, and publishes in `configurations`.

    What it takes to be allowed: see `certificate_controller`.
    """
    metrics = WebhookMetrics(manager.registry)
    server = WebhookServer(
        SecretCertificates(manager.cache, secret, metrics=metrics),
        clock=manager.clock,
        registry=manager.registry,
        options=options,
        metrics=metrics,
    )
    manager.serve_webhooks(server)
    manager.add(certificate_controller(manager, secret, configurations, rotation))
    return server
