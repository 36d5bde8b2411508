"""The embedded server and a real one, shown the same writes drawn at random, agree on all."""

import asyncio
import json
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.kube.clock import SystemClock
from kaito.kube.transport import Request, Transport
from tests.contract.apiserver.drawn import Drawer, definition
from tests.contract.apiserver.real import plane, users
from tests.controlplane import needed

Json = dict[str, Any]
WRITES = 120
_DRAWN_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "time")


async def send(to: Transport, method: str, path: str, body: Json | None, media: str) -> Json:
    path, _, query = path.partition("?")
    request = Request(
        method=method,
        path=path,
        query=tuple(parse_qsl(query)),
        headers={"content-type": media, "user-agent": "drawn/1"} if media else {},
        body=b"" if body is None else json.dumps(body).encode(),
    )
    response = await to.send(request, timeout=20)
    body = json.loads(response.body) if response.body.startswith(b"{") else {}
    return {"code": response.status, **plain(body)}


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def plain(value: Any) -> Any:
    """Without what each server draws, and the order in which it draws managers and causes."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in _DRAWN_BY_SERVER}
    if isinstance(value, list):
        listed = [plain(item) for item in value]
        drawn = listed and isinstance(listed[0], dict) and {"fieldsV1", "reason"} & set(listed[0])
        return sorted(listed, key=canonical) if drawn else listed
    if isinstance(value, str) and ("onflict" in value or "is invalid: [" in value):
        return sorted(value.split())
    return value


@pytest.fixture(scope="module")
def real():
    with plane(needed.folder()) as running:
        yield running


@pytest.mark.realtime
@pytest.mark.controlplane
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_answer_is_the_same(real, seed):
    """Objects, owners, conflicts and refusals, write after write."""
    namespace = f"t{Random().randrange(10**8):08d}"
    group = f"{namespace}.io"
    embedded = in_process(ApiServer(clock=SystemClock(), random=Random(seed)))
    async with users(real) as transports:
        judge = transports["admin"]
        for server in (embedded, judge):
            await prepare(server, namespace, group)
        drawer = Drawer(seed, group, namespace)
        for _ in range(WRITES):
            write = drawer.write()
            assert await send(embedded, *write) == await send(judge, *write), write


async def prepare(to: Transport, namespace: str, group: str) -> None:
    """The namespace, and the kind once it is really served."""
    body = {"metadata": {"name": namespace}}
    await send(to, "POST", "/api/v1/namespaces", body, "application/json")
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await send(to, "POST", crds, definition(group), "application/json")
    for _ in range(100):
        things = f"/apis/{group}/v1beta1/namespaces/{namespace}/things"
        found = await send(to, "GET", things, None, "")
        if found["code"] == 200:
            return
        await asyncio.sleep(0.1)
