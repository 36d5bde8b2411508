"""A real API server that runs without controllers, and a connection to it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from kaito.kube.transport import Transport
from tests.controlplane.controlplane import USERS, ControlPlane, Options


@contextmanager
def plane(folder: Path) -> Iterator[ControlPlane]:
    """A control plane of the programs in `folder`, for the time of the block."""
    options = Options(controllers=False, scheduler=False)
    with tempfile.TemporaryDirectory() as state, ControlPlane(folder, Path(state), options) as up:
        yield up


@asynccontextmanager
async def users(up: ControlPlane) -> AsyncIterator[dict[str, Transport]]:
    """A connection for each of the control plane's users."""
    found: dict[str, Transport] = {}
    for user in USERS:
        kubeconfig = str(up.kubeconfig(user))
        found[user] = HttpsTransport(await load(kubeconfig, None, {}, clock=SystemClock()))
    try:
        yield found
    finally:
        for transport in found.values():
            await transport.close()
