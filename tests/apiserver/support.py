"""A server in this process, and a short way to talk to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ADMIN, ApiServer, ApiServerOptions, User
from kaito.kube.clock import LoopClock
from kaito.kube.transport import Request, Response, Transport

Json = dict[str, Any]


def server(**options: Any) -> ApiServer:
    return ApiServer(clock=LoopClock(), random=Random(1), options=ApiServerOptions(**options))


class Api:
    """Requests as one line each; answers as JSON."""

    def __init__(self, server: ApiServer | None = None, user: User = ADMIN) -> None:
        self.server = server or make_server()
        self.transport: Transport = in_process(self.server, user)

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        path, _, query = path.partition("?")
        pairs = tuple(tuple(pair.split("=", 1)) for pair in query.split("&") if pair)
        sent = {"user-agent": "test/1", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            sent.setdefault("content-type", "application/json")
        raw = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        request = Request(method=method, path=path, query=pairs, headers=sent, body=raw)
        return await self.transport.send(request)

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Json:
        answer = await self.send(method, path, body, **headers)
        assert answer.status < 400, answer.body
        return msgspec.json.decode(answer.body)

    async def refused(self, method: str, path: str, body: Any = None, **headers: str) -> Json:
        answer = await self.send(method, path, body, **headers)
        assert answer.status >= 400, answer.body
        status = msgspec.json.decode(answer.body)
        assert status["code"] == answer.status
        return status

    async def patch(self, path: str, body: Any, kind: str = "merge-patch+json") -> Json:
        return await self.ok("PATCH", path, body, content_type=f"application/{kind}")

    @asynccontextmanager
    async def watch(self, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Json]]:
        path, _, query = path.partition("?")
        pairs = tuple(tuple(pair.split("=", 1)) for pair in query.split("&") if pair)
        request = Request(
            method="GET", path=path, query=(("watch", "1"), *pairs), headers=dict(headers)
        )
        async with self.transport.stream(request) as stream:
            assert stream.status == 200
            yield _events(stream.chunks)


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Json]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield msgspec.json.decode(line)


def make_server(**options: Any) -> ApiServer:
    return server(**options)


CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


def configmap(name: str, **labels: str) -> Json:
    return {"metadata": {"name": name, "labels": labels}, "data": {"k": "v"}}
