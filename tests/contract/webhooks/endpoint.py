"""A webhook whose answers are written down, in this process or behind HTTPS on 127.0.0.1.

What it does at a path is one of

    {allowed: false, status: {...}, warnings: [...]}    fields of an AdmissionReview's response
    {patch: [{op: add, ...}], ...}                      the same, with a JSON patch
    {copy: data.a, to: data.b}                          adds the one field where it is missing
    {convert: [{v1: color, v2: colour}]}                renames in `spec`, by version
    {convert: [...], object: {a.b: c}, response: {...}, fail: name}
                                                        and sets this in what it answers, of all
                                                        objects or of the one with this name
    {http: 500, text: boom, type: text/plain}           a whole HTTP answer
    {silent: true}                                      none at all
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

from aiohttp import web

from kaito.apiserver.certificates import Authority
from kaito.apiserver.webhookcalls import CallFailed, Endpoint
from kaito.kube.clock import SystemClock
from kaito.kube.transport import Response

Json = dict[str, Any]
_ADMISSION = "admission.k8s.io/v1"


class Hooks:
    """The webhook; also the way to it for a server in this process."""

    def __init__(self, address: str = "127.0.0.1:10250") -> None:
        self.address = address
        self.script: dict[str, Json] = {}
        self.asked: list[tuple[str, Json]] = []
        self.ended = asyncio.Event()
        """Set when nobody can wait for an answer any more."""

    async def post(self, endpoint: Endpoint, body: bytes) -> Response:
        """As `WebhookCaller`: whoever uses it has no network between."""
        host, _, path = endpoint.url.partition("://")[2].partition("/")
        if host != self.address:
            raise CallFailed(f"dial tcp {host}: connect: connection refused")
        return await self.answer(f"/{path.partition('?')[0]}", body)

    async def answer(self, path: str, body: bytes) -> Response:
        """What the script has for `path`; a webhook without a script allows everything."""
        review = json.loads(body)
        user = review["request"].get("userInfo", {}).get("username", "")
        if not user.startswith("system:"):
            # A server tidies up by itself, in its own time, and asks about that too.
            self.asked.append((path, review))
        act = self.script.get(path, {})
        if act.get("silent"):
            await self.ended.wait()
        if "http" in act:
            return _response(str(act.get("text", "")), act["http"], act.get("type", "text/plain"))
        answered = _converted(review, act) if "convert" in act else _reviewed(review, act)
        return _response(json.dumps(answered))


def _response(text: str, status: int = 200, kind: str = "application/json") -> Response:
    return Response(status=status, headers={"content-type": kind}, body=text.encode())


def _reviewed(review: Json, act: Json) -> Json:
    fields = dict(act)
    head = fields.pop("head", {"apiVersion": _ADMISSION, "kind": "AdmissionReview"})
    operations = fields.pop("patch", None)
    if "copy" in fields:
        operations = _copied(review["request"], fields.pop("copy"), fields.pop("to"))
    if isinstance(operations, list) and operations:
        fields["patchType"] = "JSONPatch"
        operations = base64.b64encode(json.dumps(operations).encode()).decode()
    if operations:
        fields["patch"] = operations
    if fields.pop("absent", False):
        return head
    response = {"uid": review["request"]["uid"], "allowed": True, **fields}
    return {**head, "response": response}


def _copied(request: Json, field: str, to: str) -> list[Json]:
    """A patch that gives `to` the value of `field`, unless it is there."""
    if _at(request["object"], to) is not None:
        return []
    value = _at(request["object"], field)
    return [{"op": "add", "path": f"/{to.replace('.', '/')}", "value": value}]


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _converted(review: Json, act: Json) -> Json:
    request = review["request"]
    desired = request["desiredAPIVersion"].rpartition("/")[2]
    objects = [_renamed(obj, desired, act["convert"]) for obj in deepcopy(request["objects"])]
    for obj in objects:
        obj["apiVersion"] = request["desiredAPIVersion"]
        if act.get("fail") in (None, obj["metadata"].get("name")):
            for path, value in (act.get("object") or {}).items():
                _set(obj, path, value)
    response = {"uid": request["uid"], "convertedObjects": objects, "result": {"status": "Success"}}
    if "fail" not in act or any(o["metadata"].get("name") == act["fail"] for o in objects):
        response |= act.get("response") or {}
    return {
        "apiVersion": review["apiVersion"],
        "kind": review["kind"],
        "response": response,
        **(act.get("head") or {}),
    }


def _renamed(obj: Json, desired: str, names: list[dict[str, str]]) -> Json:
    """Every field of `spec` under its name in the version that is wanted."""
    spec = obj.get("spec") or {}
    for known in names:
        for name in known.values():
            if desired in known and name != known[desired] and name in spec:
                spec[known[desired]] = spec.pop(name)
    return obj


def _set(obj: Json, path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        obj = obj.setdefault(step, {})
    if value is None:
        obj.pop(last, None)
    else:
        obj[last] = value


@asynccontextmanager
async def listening(hooks: Hooks) -> AsyncIterator[tuple[str, str]]:
    """HTTPS on a free port of 127.0.0.1: the address, and the bundle to trust (base64)."""
    authority = Authority(SystemClock())

    async def handle(request: web.Request) -> web.Response:
        answer = await hooks.answer(request.path, await request.read())
        kind = answer.headers["content-type"]
        return web.Response(status=answer.status, body=answer.body, content_type=kind)

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    context = authority.context(["127.0.0.1"])
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        bundle = base64.b64encode(authority.pem).decode()
        yield f"127.0.0.1:{runner.addresses[0][1]}", bundle
    finally:
        hooks.ended.set()
        # The API server keeps its connections, and does not take part in closing them.
        for connection in runner.server.connections if runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()
