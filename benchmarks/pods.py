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
CHUNK = 1024 * 1024
"""Bytes of a stream that arrive at once: the transport's read buffer."""
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


def pods(count, size, version):
    """So many, the newest at `version`."""
    return [pod(number, size, version - count + 1 + number) for number in range(count)]


def pages(items, version):
    """A list at `version` in pages; the token is the number of the next page."""
    bodies = []
    for start in range(0, len(items), PAGE):
        page = items[start : start + PAGE]
        token = str(len(bodies) + 1) if start + PAGE < len(items) else ""
        meta = json.dumps({"resourceVersion": str(version), "continue": token}).encode()
        head = b'{"kind":"PodList","apiVersion":"v1","metadata":' + meta + b',"items":['
        bodies.append(head + b",".join(page) + b"]}")
    return bodies


def streamed(items, version):
    """A watch with `sendInitialEvents`, up to the bookmark that ends them, in chunks."""
    head = b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1",'
    meta = {
        "resourceVersion": str(version),
        "creationTimestamp": None,
        "annotations": {"k8s.io/initial-events-end": "true"},
    }
    bookmark = {"kind": "Pod", "apiVersion": "v1", "metadata": meta}
    lines = [head + item[1:] + b"}\n" for item in items]
    lines.append(json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n")
    text = b"".join(lines)
    return [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]


class Recorded:
    """A transport whose answers were made beforehand; a page or a chunk costs one turn of the loop.

    `states` are those of the collection, each a list of pages, or of chunks of a streamed list.
    The first read gets the first; `expire` ends the watch with 410, after which the next is read.
    """

    def __init__(self, states, *, streams=False):
        self._states, self._at = states, 0
        self._streams = streams
        self._expired = asyncio.Event()

    async def send(self, request, *, timeout=None):
        await asyncio.sleep(0)
        page = int(request.param("continue", "0"))
        return Response(status=200, headers=JSON_HEADERS, body=self._states[self._at][page])

    @asynccontextmanager
    async def stream(self, request, *, idle_timeout=None):
        initial = request.param("sendInitialEvents")
        if initial and not self._streams:
            yield Stream(status=400, headers=JSON_HEADERS, chunks=_ended(REFUSED))
        else:
            chunks = self._states[self._at] if initial else ()
            yield Stream(status=200, headers=JSON_HEADERS, chunks=self._until_expired(chunks))

    async def _until_expired(self, chunks):
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk
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
