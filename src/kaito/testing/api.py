"""An embedded API server for one test: in the process and, where real clients need it, on HTTPS.

Like envtest's, it is a bare API server: no controller runs beside it, so nothing collects garbage,
makes pods of a Deployment or removes a namespace's content, unless the test starts what does.

A test pays for what it uses: the framework and HTTPS are imported when they are asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, final

import msgspec

from kaito.apiserver.core import ADMIN, User
from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer, ApiServerOptions
from kaito.kube.client import Client
from kaito.kube.clock import Clock, LoopClock, SystemClock
from kaito.kube.kubeconfig import kubeconfig, with_certificate
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import CRDS
from kaito.kube.transport import Transport
from kaito.testing.counting import AGENT, Requests
from kaito.testing.crashing import CrashPlan
from kaito.testing.faults import FaultPlan
from kaito.testing.loop import VirtualTimeLoop
from kaito.testing.waiting import Waiting

if TYPE_CHECKING:
    from kaito.framework.manager import Manager
    from kaito.framework.webhooks.server import WebhookServer
    from kaito.testing.operating import Operator

_NAME: Final = "kaito-testing"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsApi:
    """The way in from outside."""

    url: str
    kubeconfig: Path
    """Of a cluster administrator, with everything in it."""


@final
class EmbeddedApi:
    """A running API server, and what a test needs around it."""

    def __init__(
        self, *, seed: int, clock: Clock | None = None, options: ApiServerOptions | None = None
    ) -> None:
        virtual = isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
        self.clock = clock or (LoopClock() if virtual else SystemClock())
        self._random = Random(seed)
        self.server = ApiServer(
            clock=self.clock, random=self._seeded(), options=options or ApiServerOptions()
        )
        self.requests = Requests()
        self.server.on_request = self.requests.take
        self.faults = FaultPlan(self.clock, self.server.core.storage)
        self.server.network = self.faults.carry
        self.client = Client(
            in_process(self.server),
            clock=self.clock,
            random=self._seeded(),
            user_agent=AGENT,
        )
        """The test's own: as administrator, past all faults, not counted."""
        waiting = Waiting(self.client)
        self.wait = waiting.wait
        self.gone = waiting.gone
        self.until = waiting.until

    def _seeded(self) -> Random:
        return Random(self._random.getrandbits(64))

    def transport(self, user: User = ADMIN) -> Transport:
        """A door in the process, through the fault plan, as any user."""
        return in_process(self.server, user)

    async def install(self, *definitions: Json) -> None:
        """Create CustomResourceDefinitions and wait until they are served."""
        for document in definitions:
            await self.client.create(CRDS, document)
            key = ObjectKey("", document["metadata"]["name"])
            await self.wait(CRDS, key, lambda crd: _established(crd.get("status", "conditions")))

    def manager(self, transport: Transport, *, name: str = "operator") -> "Manager":
        """A manager over that transport, on this server's clock, without election."""
        from kaito.framework.manager import Manager, ManagerOptions

        options = ManagerOptions(identity=name, user_agent=name)
        return Manager(transport, clock=self.clock, random=self._seeded(), options=options)

    def operator(
        self,
        setup: "Callable[[Manager], None]",
        *,
        name: str = "operator",
        user: User = ADMIN,
        crash: CrashPlan | None = None,
    ) -> "AbstractAsyncContextManager[Operator]":
        """Run an operator beside the body; one that crashes is started again, as by a kubelet.

        `setup` adds its controllers to each life's manager. `name` is its user agent.
        """
        from kaito.testing.operating import operating

        def make(transport: Transport) -> "Manager":
            manager = self.manager(transport, name=name)
            setup(manager)
            return manager

        return operating(make, lambda: self.transport(user), crash)

    def webhooks(self, register: "Callable[[WebhookServer], None]") -> "WebhookServer":
        """Let functions answer whatever webhooks are configured, without certificates or sockets.

        `register` gives the server its paths, as it does in production. The host in a
        `clientConfig` does not matter, its path does.
        """
        from kaito.testing.hooks import connected

        return connected(self.server, self.clock, register)

    @asynccontextmanager
    async def https(self, folder: Path, *, port: int = 0) -> AsyncIterator[HttpsApi]:
        """Open an HTTPS door on 127.0.0.1, with a kubeconfig in `folder`. Real time only."""
        from kaito.apiserver.https import HttpsDoor

        async with HttpsDoor(self.server, port=port) as door:
            admin = door.authority.client("kubernetes-admin", ("system:masters",))
            path = folder / "kubeconfig"
            path.touch(mode=0o600)
            user = with_certificate(admin.certificate, admin.key)
            config = kubeconfig(_NAME, server=door.url, ca_pem=door.ca_pem, user=user)
            path.write_bytes(msgspec.json.format(msgspec.json.encode(config)))  # JSON is YAML
            yield HttpsApi(url=door.url, kubeconfig=path)


@asynccontextmanager
async def embedded_api(
    *, seed: int = 1, clock: Clock | None = None, options: ApiServerOptions | None = None
) -> AsyncIterator[EmbeddedApi]:
    """`async with embedded_api() as api:`; on a virtual loop everything lives in virtual time.

    The same `seed` gives the same uids and the same chances. Nothing runs in the background.
    """
    yield EmbeddedApi(seed=seed, clock=clock, options=options)


def _established(conditions: list[Json] | None) -> bool:
    found = {entry["type"]: entry["status"] for entry in conditions or ()}
    return found.get("Established") == "True"
