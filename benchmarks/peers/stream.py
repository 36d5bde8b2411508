"""Serves a pre-recorded stream of Pod events from memory: the burst that a busy cluster can send.

    python -m benchmarks.peers.stream --pods 1000 --events 20000

One pod was recorded from a real API server (`pod.json`, 11 KB); here it gets other names, uids and
versions. A watcher that asks for them is first given every pod; after `GET /go` each is given the
events, as fast as it takes them. Discovery says just enough for kopf. On standard output: the port.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from aiohttp import web

_RECORDED = (Path(__file__).parent / "pod.json").read_bytes().strip()
_BLOCK = 64
"""Events written at once; about 700 KB."""
_BOOKMARK = {
    "type": "BOOKMARK",
    "object": {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "", "annotations": {"k8s.io/initial-events-end": "true"}},
    },
}
_POD = {
    "name": "pods",
    "singularName": "pod",
    "namespaced": True,
    "kind": "Pod",
    "verbs": ["get", "list", "patch", "watch"],
    "shortNames": ["po"],
}
_NAMESPACE = {
    "name": "namespaces",
    "singularName": "namespace",
    "namespaced": False,
    "kind": "Namespace",
    "verbs": ["get", "list", "watch"],
}
_DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [_NAMESPACE, _POD]},
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
}


class Recording:
    """The lines, made before anyone asks."""

    def __init__(self, pods: int, events: int) -> None:
        obj = json.loads(_RECORDED)
        meta = obj["metadata"]
        mould = _RECORDED
        for field in ("name", "uid", "resourceVersion"):
            mould = mould.replace(json.dumps(meta[field]).encode(), f'"%({field})s"'.encode())
        self._mould = mould.replace(b'"round":"1"', b'"round":"%(round)s"').decode()
        self.pods = pods
        self.objects = [self._object(number, 0) for number in range(pods)]
        self.initial = [_line("ADDED", obj) for obj in self.objects]
        self.initial.append(json.dumps(self.bookmark()).encode() + b"\n")
        lines = [
            _line("MODIFIED", self._object(number % pods, number // pods + 1))
            for number in range(events)
        ]
        self.events = [
            b"".join(lines[start : start + _BLOCK]) for start in range(0, len(lines), _BLOCK)
        ]

    def list(self) -> bytes:
        """All pods, before the first event."""
        meta = {"resourceVersion": self.version}
        head = json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": meta})
        items = b",".join(self.objects)
        return head[:-1].encode() + b', "items": [' + items + b"]}"

    def bookmark(self) -> dict:
        bookmark = json.loads(json.dumps(_BOOKMARK))
        bookmark["object"]["metadata"]["resourceVersion"] = self.version
        return bookmark

    @property
    def version(self) -> str:
        """Of the collection before the first event."""
        return str(1000 + self.pods)

    def _object(self, number: int, turn: int) -> bytes:
        said = {
            "name": f"storefront-{number:05d}",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "resourceVersion": str(1000 + turn * self.pods + number),
            "round": str(turn),
        }
        return (self._mould % said).encode()


def _line(kind: str, obj: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + obj + b"}\n"


class Server:
    """Answers lists and watches; holds the events back until told to go."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.going = asyncio.Event()

    async def go(self, request: web.Request) -> web.Response:
        self.going.set()
        return web.Response()

    async def discover(self, request: web.Request) -> web.Response:
        return web.json_response(_DISCOVERY[request.path])

    async def pods(self, request: web.Request) -> web.StreamResponse:
        if not request.query.get("watch"):
            return web.Response(body=self.recording.list(), content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.query.get("sendInitialEvents"):
            for line in self.recording.initial:
                await response.write(line)
        await self.going.wait()
        for block in self.recording.events:
            await response.write(block)
        await asyncio.Event().wait()
        return response


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    given = parser.parse_args()
    server = Server(Recording(given.pods, given.events))
    app = web.Application()
    app.add_routes([web.get(path, server.discover) for path in _DISCOVERY])
    app.add_routes(
        [
            web.get("/go", server.go),
            web.get("/api/v1/pods", server.pods),
            web.get("/api/v1/namespaces/{namespace}/pods", server.pods),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()
    # Nobody reads any more; watchers that are still being written to would only be waited for.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
