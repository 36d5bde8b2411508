"""The HTTPS door, over real sockets."""

import asyncio
import io
import ssl
from pathlib import Path
from random import Random

import aiohttp
import pytest

from kaito.apiserver.https import HttpsDoor, Tokens
from kaito.apiserver.server import ADMIN, ApiServer
from kaito.kube.clock import SystemClock
from tests.apiserver.support import configmap

pytestmark = pytest.mark.realtime
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def _door() -> HttpsDoor:
    server = ApiServer(clock=SystemClock(), random=Random(1))
    return HttpsDoor(server, authenticator=Tokens({"secret": ADMIN}))


def _trusting(door: HttpsDoor) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=door.ca_pem.decode())


async def test_a_bearer_token_gives_an_identity() -> None:
    """The token's user is served; a wrong token is 401; none is anonymous and so forbidden."""
    async with _door() as door, aiohttp.ClientSession() as session:
        url, tls = f"{door.url}{CONFIGMAPS}", _trusting(door)
        headers = {"authorization": "Bearer secret"}
        async with session.post(url, json=configmap("a"), headers=headers, ssl=tls) as answer:
            assert answer.status == 201
        async with session.get(url, headers={"authorization": "Bearer x"}, ssl=tls) as answer:
            assert (answer.status, (await answer.json())["message"]) == (401, "Unauthorized")
        async with session.get(url, ssl=tls) as answer:
            assert answer.status == 403
            assert 'User "system:anonymous" cannot list' in (await answer.json())["message"]


async def test_a_client_certificate_gives_an_identity(tmp_path: Path) -> None:
    """Common name and organizations are user and groups."""
    async with _door() as door, aiohttp.ClientSession() as session:
        pair = door.authority.client("alice", ["system:masters"])
        path = tmp_path / "alice.pem"
        path.write_bytes(pair.certificate + pair.key)
        tls = _trusting(door)
        tls.load_cert_chain(path)
        review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        async with session.post(f"{door.url}{review}", json={}, ssl=tls) as answer:
            user = (await answer.json())["status"]["userInfo"]
        assert user["username"] == "alice"
        assert user["groups"] == ["system:masters", "system:authenticated"]


async def test_the_door_closes_on_open_watches() -> None:
    """Leaving the block ends every stream at once; nothing is left listening."""
    headers = {"authorization": "Bearer secret"}
    async with aiohttp.ClientSession(headers=headers) as session:
        door = _door()
        async with door:
            tls = _trusting(door)
            watch = await session.get(f"{door.url}{CONFIGMAPS}?watch=1", ssl=tls)
            assert watch.status == 200
        with pytest.raises((aiohttp.ClientError, asyncio.IncompleteReadError)):
            await watch.content.readexactly(1)
        watch.close()


async def test_a_body_has_a_largest_size() -> None:
    """Three mebibytes pass the door, one byte more is 413."""
    headers = {"authorization": "Bearer secret", "content-type": "application/json"}
    async with _door() as door, aiohttp.ClientSession(headers=headers) as session:
        url, tls = f"{door.url}{CONFIGMAPS}", _trusting(door)
        largest = 3 * 1024 * 1024
        async with session.post(url, data=io.BytesIO(b" " * largest), ssl=tls) as answer:
            assert answer.status == 400
        async with session.post(url, data=io.BytesIO(b" " * (largest + 1)), ssl=tls) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (
                413,
                "RequestEntityTooLarge",
            )
