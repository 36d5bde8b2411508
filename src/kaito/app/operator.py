"""The operator, put together from settings: its controllers, its cloud, its surroundings."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import final
from urllib.parse import urlsplit

from kaito.api.resources import NODECLAIMS, WORKSPACES
from kaito.controllers.nodeclaim.controller import nodeclaim_controllers
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.workspace.controller import WorkspaceOptions, workspace_controller
from kaito.framework.leader import LeaderOptions
from kaito.framework.manager import Manager, ManagerOptions
from kaito.framework.program import stop_on_signals
from kaito.kube.client import Client
from kaito.kube.clock import Clock, SystemClock
from kaito.kube.credentials import Credentials
from kaito.kube.errors import NotFound
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import Resource
from kaito.kube.resources import DEPLOYMENTS
from kaito.kube.transport import Transport
from kaito.provisioner.cloud import Cloud
from kaito.settings import CONTROLLERS, AzureSettings, OperatorSettings

LEASE_PREFIX = "kaito"

OTHERS = "app.kubernetes.io/name in (workspace, gpu-provisioner)"
"""The label by which the charts of KAITO and gpu-provisioner mark their Deployments."""


class CannotStart(Exception):
    """The operator would do harm, or nothing, here; the text says what to do first."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a Manager is given beside its settings; tests give virtual ones."""

    transport: Transport
    clock: Clock
    random: Random
    cloud: Cloud | None = None
    election_transport: Transport | None = None


def operator(settings: OperatorSettings, around: Surroundings) -> Manager:
    """The whole operator, ready to run: a manager with the controllers that settings name."""
    leader = None
    if settings.leader_elect:
        # Whatever order they were given in: those who do the same work must share the lease.
        running = [name for name in CONTROLLERS if name in settings.controllers]
        name = "-".join((LEASE_PREFIX, *running))
        leader = LeaderOptions(namespace=settings.leader_namespace, name=name)
    manager = Manager(
        around.transport,
        clock=around.clock,
        random=around.random,
        options=ManagerOptions(
            metrics_bind_address=settings.metrics_address,
            health_probe_bind_address=settings.probe_address,
            leader=leader,
            identity=f"{socket.gethostname()}_{os.getpid()}",
            grace_seconds=settings.grace_seconds,
            loop_lag_interval=settings.loop_lag_interval,
            request_details=True,
            freeze_after_sync=settings.freeze_after_sync,
        ),
        election_transport=around.election_transport,
    )
    if "workspace" in settings.controllers:
        chosen = WorkspaceOptions(render=settings.render, updates=settings.concurrent_updates)
        manager.add(workspace_controller(manager, chosen))
    if "nodeclaim" in settings.controllers and around.cloud is not None:
        options = NodeClaimOptions().faster(settings.cloud_speed)
        for controller in nodeclaim_controllers(manager, around.cloud, options):
            manager.add(controller)
    return manager


async def check_before_start(client: Client, settings: OperatorSettings) -> None:
    """Raises CannotStart where CRDs are missing or another operator does the same work."""
    wanted = [WORKSPACES] if "workspace" in settings.controllers else []
    for resource in (*wanted, NODECLAIMS):
        await _must_be_served(client, resource)
    rivals = [
        (record.meta.namespace, record.meta.name)
        for record in (await client.list(DEPLOYMENTS, label_selector=OTHERS)).items
        if record.get("status", "readyReplicas")
    ]
    if rivals:
        names = ", ".join(f"Deployment {namespace}/{name}" for namespace, name in rivals)
        commands = "; ".join(
            f"kubectl scale deployment -n {namespace} {name} --replicas=0"
            for namespace, name in rivals
        )
        raise CannotStart(
            f"another operator is at work: {names}; two would both pay for machines. "
            f"Stop it first: {commands}"
        )


async def _must_be_served(client: Client, resource: Resource) -> None:
    try:
        await client.list(resource, limit=1)
    except NotFound as error:
        folder = "karpenter " if resource == NODECLAIMS else ""
        raise CannotStart(
            f"the cluster does not know {resource.plural}.{resource.group}/{resource.version}; "
            f"install the {folder}CRDs first: kaito crds | kubectl apply -f -, or kubectl apply "
            f"-k config/crd{'/karpenter' if resource == NODECLAIMS else ''}"
        ) from error


@asynccontextmanager
async def azure_cloud(
    settings: AzureSettings, clock: Clock, random: Random, fence: Callable[[], None]
) -> AsyncIterator[Cloud]:
    """The real SDK, signed in as the pod's workload identity, or with a given token."""
    from kaito.provisioner.azure.cloud import AzureCloud, AzureOptions
    from kaito.provisioner.azure.credential import FileCredential, default_credential

    chosen = FileCredential(settings.token_file) if settings.token_file else default_credential()
    async with (
        chosen as credential,
        AzureCloud(
            subscription=settings.subscription,
            resource_group=settings.resource_group,
            cluster=settings.cluster,
            credential=credential,
            clock=clock,
            random=random,
            endpoint=settings.endpoint,
            ca_file=settings.ca_file,
            fence=fence,
            options=AzureOptions(proxy_from_environment=not _on_this_machine(settings.endpoint)),
        ) as cloud,
    ):
        yield cloud


def _on_this_machine(endpoint: str) -> bool:
    """No proxy leads to a loopback address."""
    return urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")


async def run(
    settings: OperatorSettings, credentials: Credentials, election_credentials: Credentials
) -> None:
    """Run the operator until SIGTERM or SIGINT; a second signal ends the process at once.

    The election has a thread, a loop and so credentials of its own. Raises CannotStart, and
    whatever broke.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    await serve(settings, credentials, stop, election_credentials=election_credentials)


async def serve(
    settings: OperatorSettings,
    credentials: Credentials,
    stop: asyncio.Event,
    *,
    election_credentials: Credentials | None = None,
) -> None:
    """Run the operator over HTTPS until `stop` is set; it elects if there are credentials for it.

    Raises CannotStart, and whatever broke.
    """
    clock, random = SystemClock(), SystemRandom()
    transport, election = HttpsTransport(credentials), None
    if settings.leader_elect and election_credentials is not None:
        election = HttpsTransport(election_credentials)
    try:
        await check_before_start(Client(transport, clock=clock, random=random), settings)
        fence = _LateFence()
        async with AsyncExitStack() as stack:
            cloud = None
            if settings.azure is not None and "nodeclaim" in settings.controllers:
                azure = azure_cloud(settings.azure, clock, random, fence)
                cloud = await stack.enter_async_context(azure)
            around = Surroundings(
                transport=transport,
                clock=clock,
                random=random,
                cloud=cloud,
                election_transport=election,
            )
            manager = operator(settings, around)
            fence.check = manager.fence.check
            await manager.run(stop)
    finally:
        await transport.close()


class _LateFence:
    """The cloud is made before the manager whose fence guards it."""

    def __init__(self) -> None:
        self.check: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self.check()
