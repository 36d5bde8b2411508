"""The embedded cluster, put together: an AKS cluster in a box, and the operator's way into it.

    server, control plane      the real clock
    cloud, nodes, engine       the world's clock, `world_speed` times as fast
    doors                      HTTPS for Kubernetes and for Azure Resource Manager, on loopback

What the operator needs (definitions, roles, policy, its account) is installed by an administrator,
as on any cluster; the operator itself comes in through the doors, with a token of its account.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final, final

from kaito.api import crds
from kaito.apiserver.core import ADMIN
from kaito.apiserver.door import in_process
from kaito.apiserver.https import HttpsDoor
from kaito.apiserver.webhookhttps import HttpsCaller
from kaito.apiserver.webhookservices import StoredServices
from kaito.app.front import Front, FrontOptions
from kaito.controllers import rbac
from kaito.kube.certificates import KeyPair
from kaito.kube.client import Client
from kaito.kube.clock import Clock, ScaledClock
from kaito.kube.credentials import Credentials, static
from kaito.kube.objects import Json, ObjectKey, Resource
from kaito.kube.resources import BUILTIN, SERVICEACCOUNTS
from kaito.settings import AzureSettings, OperatorSettings
from kaito.simulator.arm.https import HttpsArm
from kaito.simulator.cluster import Cluster, ClusterOptions
from kaito.webhooks import policy

_TOKEN_LIFE: Final = timedelta(days=365)
_NO_PROCESSES: Final = (
    "pods of this cluster run no processes; serve the webhook on this machine and name it by url, "
    "or by a Service whose EndpointSlice has an address of this machine"
)
_ARM_TOKEN: Final = "embedded"  # noqa: S105 - the endpoint takes any; it guards nothing

_ADMISSION: Final = "admissionregistration.k8s.io"
_POLICIES: Final = (
    Resource(
        _ADMISSION,
        "v1",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        namespaced=False,
    ),
    Resource(
        _ADMISSION,
        "v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        namespaced=False,
    ),
)
_KINDS: Final = {(kind.api_version, kind.kind): kind for kind in (*BUILTIN, *_POLICIES)}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A running cluster."""

    options: FrontOptions
    clock: Clock
    world: Clock
    random: Random
    cluster: Cluster
    door: HttpsDoor
    arm_door: HttpsArm
    admin: KeyPair
    """The client certificate of a cluster administrator."""
    token: str
    """Of the operator's ServiceAccount."""

    def client(self, on_warning: Callable[[str], None] | None = None) -> Client:
        """A client as administrator, past the doors."""
        return Client(
            in_process(self.cluster.server, ADMIN),
            clock=self.clock,
            random=self.random,
            user_agent="kubectl/kaito-embedded",
            on_warning=on_warning,
        )

    def credentials(self) -> Credentials:
        """The operator's."""
        ca_pem = self.door.ca_pem.decode()
        return static(self.door.url, clock=self.clock, ca_pem=ca_pem, token=self.token)

    def settings(self, folder: Path) -> OperatorSettings:
        """For an operator in this process. What is read from files is put into `folder`."""
        return OperatorSettings(
            azure=self.azure(folder),
            leader_elect=False,
            metrics_address="",
            probe_address="",
            cloud_speed=self.options.world_speed,
            grace_seconds=1.0,
        )

    def azure(self, folder: Path) -> AzureSettings:
        """How to reach the embedded Azure. What is read from files is put into `folder`."""
        ca_file, token_file = folder / "azure-ca.pem", folder / "azure-token"
        ca_file.write_bytes(self.arm_door.ca_pem)
        token_file.write_text(_ARM_TOKEN, encoding="utf-8")
        cloud = self.cluster.arm.options
        return AzureSettings(
            subscription=cloud.subscription,
            resource_group=cloud.resource_group,
            cluster=cloud.cluster,
            endpoint=self.arm_door.url,
            ca_file=str(ca_file),
            token_file=str(token_file),
        )


@asynccontextmanager
async def embedded(front: Front) -> AsyncIterator[Embedded]:
    """Bring everything to life behind an API server that answers already."""
    clock, random = front.clock, front.random
    world = ScaledClock(clock, front.options.world_speed)
    cluster = Cluster(
        clock=clock,
        world=world,
        random=random,
        options=ClusterOptions(ca_pem=front.authority.pem.decode()),
        server=front.server,
    )
    services = StoredServices(front.server.core.storage, pods=_NO_PROCESSES)
    front.server.webhooks = HttpsCaller(services)
    async with cluster, HttpsArm(cluster.arm, clock=clock) as arm:
        admin = Client(in_process(cluster.server, ADMIN), clock=clock, random=random)
        account = await install(admin)
        token, _ = cluster.server.tokens.issue(
            account, await _uid(admin, account), int(_TOKEN_LIFE.total_seconds()), []
        )
        yield Embedded(
            options=front.options,
            clock=clock,
            world=world,
            random=random,
            cluster=cluster,
            door=front.door,
            arm_door=arm,
            admin=front.authority.client("kubernetes-admin", ("system:masters",)),
            token=token,
        )


async def install(admin: Client) -> ObjectKey:
    """Everything the operator needs in a cluster; its account."""
    roles = [*rbac.documents(), *rbac.for_people()]
    await _create(admin, [*crds.documents(karpenter=True), *roles, *policy.documents()])
    return ObjectKey(rbac.NAMESPACE, rbac.ACCOUNT)


async def _create(admin: Client, documents: Sequence[Json]) -> None:
    for document in documents:
        await admin.create(_KINDS[document["apiVersion"], document["kind"]], document)


async def _uid(admin: Client, account: ObjectKey) -> str:
    return (await admin.get(SERVICEACCOUNTS, account)).meta.uid
