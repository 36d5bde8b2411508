"""A real API server that runs without controllers, and a connection to it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from tests.controlplane.controlplane import ControlPlane, Options


@contextmanager
def plane(folder: Path) -> Iterator[ControlPlane]:
    """A control plane of the programs in `folder`, for the time of the block."""
    options = Options(controllers=False, scheduler=False)
    with tempfile.TemporaryDirectory() as state, ControlPlane(folder, Path(state), options) as up:
        yield up


async def connect(up: ControlPlane, user: str = "admin") -> HttpsTransport:
    """As one of the control plane's users."""
    return HttpsTransport(await load(str(up.kubeconfig(user)), None, {}, clock=SystemClock()))
