"""Two servers that are sent the same requests."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from kaito.kube.transport import Request, Transport
from tests.contract.apiserver.drawn import CRDS, Draw, Drawer, Json
from tests.contract.apiserver.real import caught_up

_DRAWN_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "time")
_PATIENCE = 600


class Duel:
    """The embedded server and a real one, in a namespace that only this duel uses."""

    def __init__(self, embedded: Transport, judge: Transport, namespace: str) -> None:
        self._servers = (embedded, judge)
        self._namespace = namespace
        self._since = {embedded: "0", judge: "0"}

    async def prepare(self, drawer: Drawer) -> None:
        """The namespace, and the drawer's own kind once it is really served."""
        body = {"metadata": {"name": self._namespace}}
        for draw in (Draw("POST", "/api/v1/namespaces", body), *drawer.setup()):
            ours, theirs = await self.both(draw)
            assert ours["code"] == theirs["code"], (draw, ours, theirs)
            if draw.path == CRDS and theirs["code"] == 201:
                for server in self._servers:
                    await self._served(server, draw.body)

    async def _served(self, to: Transport, crd: Json) -> None:
        spec = crd["spec"]
        for version in spec["versions"]:
            path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
            for _ in range(_PATIENCE):
                if (await self._send(to, Draw("GET", path)))["code"] == 200:
                    break
                await asyncio.sleep(0.1)

    async def both(self, draw: Draw) -> tuple[Json, Json]:
        """What each answers, less what a server draws by itself."""
        judge = self._servers[1]
        await caught_up(judge, Request(method=draw.method, path=draw.path.partition("?")[0]))
        ours, theirs = await asyncio.gather(*(self._send(to, draw) for to in self._servers))
        return ours, theirs

    async def _send(self, to: Transport, draw: Draw) -> Json:
        path, _, query = draw.path.partition("?")
        query = query.replace("since", f"resourceVersion={self._since[to]}")
        text = draw.body if isinstance(draw.body, str) else json.dumps(draw.body)
        request = Request(
            method=draw.method,
            path=path,
            query=tuple(parse_qsl(query)),
            headers={"content-type": draw.media, "user-agent": "drawn/1"},
            body=b"" if draw.body is None else text.encode(),
        )
        response = await to.send(request, timeout=60)
        told = response.body.decode()
        if draw.path.endswith("since"):
            lines = [json.loads(line) for line in told.splitlines()]
            self._since[to] = await self._version(to, path)
            return {"code": response.status, "events": plain(lines)}
        body = json.loads(told) if told.startswith("{") else {}
        if self._since[to] == "0":
            self._since[to] = (body.get("metadata") or {}).get("resourceVersion", "0")
        warning = sorted(response.headers.get("warning", "").split(", "))
        return {"code": response.status, "warning": warning, **plain(body)}

    async def _version(self, to: Transport, path: str) -> str:
        response = await to.send(Request(method="GET", path=path), timeout=60)
        return str(json.loads(response.body)["metadata"]["resourceVersion"])


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


_SELF_TYPE = re.compile(r"selfType\d*")
_SHOWN_OBJECT = re.compile(r'Invalid value: "(\{.*\}|map\[.*\])"')
_SHOWN_VERSION = re.compile(
    r'(resourceVersion\\*": ?\\*"|current: )\d+'
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\dT[\d:]+Z"
)


def plain(value: Any) -> Any:
    """Without what each server draws, and the order in which it draws managers and causes."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in _DRAWN_BY_SERVER}
    if isinstance(value, list):
        listed = [plain(item) for item in value]
        drawn = listed and isinstance(listed[0], dict) and {"fieldsV1", "reason"} & set(listed[0])
        return sorted(listed, key=canonical) if drawn else listed
    if isinstance(value, str):
        value = _SELF_TYPE.sub("selfType", _SHOWN_OBJECT.sub("Invalid value: OBJECT", value))
    if isinstance(value, str) and ("onflict" in value or "is invalid: " in value):
        told = _SHOWN_VERSION.sub("", value)
        return sorted(word.strip("[],") for word in told.split())
    if isinstance(value, str) and ("errors:\n" in value or "strict decoding" in value):
        return sorted(re.split(", |\n|strict decoding error: ", value))
    return value
