"""Pods as an API server sends them, and a transport that has them ready.

Everything is made before the clock starts: a measurement must not contain its own question.
"""

import asyncio
import json
from contextlib import asynccontextmanager

from kaito.kube.transport import Response, Stream

JSON_HEADERS = {"content-type": "application/json"}
PAGE = 500
"""Objects; what client-go and we ask for."""
REFUSED = b'{"kind":"Status","status":"Failure","code":400,"message":"no streamed lists here"}'
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n'


def pod(number, size, version):
    """As text of about `size` bytes: a third is managedFields, which nobody keeps."""
    text = json.dumps(
        {
            "metadata": {
                "name": f"pod-{number:06d}",
                "namespace": f"team-{number % 50}",
                "uid": f"00000000-0000-4000-8000-{number:012d}",
                "resourceVersion": str(version),
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": f"app-{number % 200}", "pod-template-hash": "5d8f7c9b64"},
                "annotations": {"example.org/config": "f2ca1bb6c7e907d06dafe4687e579fce"},
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "ReplicaSet",
                        "name": f"app-{number % 200}-5d8f7c9b64",
                        "uid": f"00000000-0000-4000-9000-{number % 200:012d}",
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
                "managedFields": [_managed(size // 3)],
            },
            "spec": {
                "nodeName": f"node-{number % 100}",
                "containers": [_container(n, size // 8) for n in range(4)],
            },
            "status": {
                "phase": "Running",
                "podIP": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            },
        }
    )
    return text.encode()


def _managed(size):
    fields = {f"f:field-{n}": {f"f:part-{m}": {} for m in range(8)} for n in range(size // 130)}
    return {"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": fields}}


def _container(number, size):
    env = [{"name": f"VARIABLE_{n}", "value": "x" * 24} for n in range(size // 60)]
    return {"name": f"c{number}", "image": "example.org/app:1.0", "env": env}


def pages(count, size, version):
    """A list in pages; the newest object has `version`, and the token is the next page's number."""
    bodies = []
    for start in range(0, count, PAGE):
        numbers = range(start, min(count, start + PAGE))
        items = [pod(number, size, version - count + 1 + number) for number in numbers]
        token = str(len(bodies) + 1) if numbers.stop < count else ""
        meta = json.dumps({"resourceVersion": str(version), "continue": token}).encode()
        head = b'{"kind":"PodList","apiVersion":"v1","metadata":' + meta + b',"items":['
        bodies.append(head + b",".join(items) + b"]}")
    return bodies


def initial_events(count, size, version):
    """What a watch with `sendInitialEvents` begins with, up to the bookmark that ends it."""
    head = b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1",'
    lines = [head + pod(n, size, version - count + 1 + n)[1:] + b"}" for n in range(count)]
    meta = {
        "resourceVersion": str(version),
        "creationTimestamp": None,
        "annotations": {"k8s.io/initial-events-end": "true"},
    }
    bookmark = {"kind": "Pod", "apiVersion": "v1", "metadata": meta}
    lines.append(json.dumps({"type": "BOOKMARK", "object": bookmark}).encode())
    return b"".join(line + b"\n" for line in lines)


class Recorded:
    """A transport whose lists and watches were made beforehand; a page costs one turn of the loop.

    `answers` are states of the collection, each a list of pages. The first list reads the first.
    `expire` ends the watch with 410, after which the next state is read.
    """

    def __init__(self, answers):
        self._answers, self._at = answers, 0
        self._expired = asyncio.Event()
        self.lists = 0

    async def send(self, request, *, timeout=None):
        await asyncio.sleep(0)
        page = int(request.param("continue", "0"))
        pages = self._answers[self._at]
        self.lists += 1
        return Response(status=200, headers=JSON_HEADERS, body=pages[page])

    @asynccontextmanager
    async def stream(self, request, *, idle_timeout=None):
        if request.param("sendInitialEvents"):
            yield Stream(status=400, headers=JSON_HEADERS, chunks=_ended(REFUSED))
        else:
            yield Stream(status=200, headers=JSON_HEADERS, chunks=self._until_expired())

    async def _until_expired(self):
        await self._expired.wait()
        self._expired.clear()
        yield EXPIRED

    def expire(self):
        """What the cache knows is too old, and the world is another."""
        self._at += 1
        self._expired.set()

    async def close(self):
        """Nothing is open."""


async def _ended(body):
    yield body
