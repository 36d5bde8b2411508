"""A real API server that runs without controllers, and a connection to it."""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path

from kaito.kube.clock import SystemClock
from kaito.kube.credentials import load
from kaito.kube.https import HttpsTransport
from kaito.kube.transport import Request, Transport
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


_PATIENCE = 60
"""Seconds for an answer."""
_TRIES = 1000
_OBJECT = re.compile(r"(?:/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/[^/]+/[^/]+")


async def caught_up(admin: Transport, request: Request) -> None:
    """Wait until the server's watch cache has the present state of what `request` writes.

    The server judges a write by the copy that its watch cache has, and by the present one if that
    will not do; a copy from before the last write would be heard in warnings, and by webhooks.
    """
    found = _OBJECT.match(request.path)
    if request.method not in ("PUT", "PATCH", "DELETE") or found is None:
        return

    async def get(version: str) -> tuple[int, str]:
        query = (("resourceVersion", version),) if version else ()
        asked = Request(method="GET", path=found[0], query=query)
        answer = await admin.send(asked, timeout=_PATIENCE)
        if answer.status != HTTPStatus.OK:
            return answer.status, ""
        return answer.status, str(json.loads(answer.body)["metadata"].get("resourceVersion", ""))

    present = await get("")
    if present[0] not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        return
    for _ in range(_TRIES):
        # Any version will do for what is not there; else the cache is to be as new as it is.
        if await get(present[1] or "0") == present:
            return
        await asyncio.sleep(0.01)
