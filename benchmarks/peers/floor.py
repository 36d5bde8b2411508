"""The floor: reads the stream, splits lines, decodes metadata, and does nothing else.

No store, no queue: what is left is what Python, TLS, aiohttp and msgspec cost for
every event, whatever is built on top. With `spec` it decodes the spec too; with `partial` it asks
the server for metadata only.
"""

import asyncio
import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from benchmarks.peers.probe import Seen, answer, arguments, loop_factory


class Metadata(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Object(msgspec.Struct, gc=False):
    metadata: Metadata
    spec: msgspec.Raw = msgspec.Raw()


class Event(msgspec.Struct, gc=False):
    type: str
    object: Object


class WithSpec(msgspec.Struct, gc=False):
    metadata: Metadata
    spec: Any = None


class EventWithSpec(msgspec.Struct, gc=False):
    type: str
    object: WithSpec


PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=1,application/json"


class Floor:
    def __init__(self, given) -> None:
        self.given = given
        self.seen = Seen()
        self.version = ""
        self.decode = msgspec.json.Decoder(EventWithSpec if given.work == "spec" else Event).decode

    async def run(self) -> None:
        server, headers, tls = access(self.given.kubeconfig)
        answer(self.seen)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls),
            headers=headers | {"Accept-Encoding": "identity"},
            read_bufsize=1024 * 1024,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            while True:  # a server that is short of time ends the watches of slow readers
                await self.watch(session, server)

    async def watch(self, session, server) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "3600"}
        if self.version:
            query |= {"resourceVersion": self.version}
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        accept = {"Accept": PARTIAL} if self.given.work == "partial" else {}
        url = f"{server}/api/v1/namespaces/{self.given.namespace}/pods"
        async with session.get(url, params=query, headers=accept) as response:
            response.raise_for_status()
            rest = b""
            while chunk := await response.content.readany():
                rest = self.read(rest + chunk if rest else chunk)

    def read(self, chunk: bytes) -> bytes:
        """Decode every line of this; what is left is the beginning of the next."""
        view, decode, seen = memoryview(chunk), self.decode, self.seen
        start, event = 0, None
        while (end := chunk.find(b"\n", start)) >= 0:
            event = decode(view[start:end])
            if event.type != "BOOKMARK":
                seen.events += 1
            start = end + 1
        if event is not None:
            self.version = event.object.metadata.resource_version
        return chunk[start:]


def access(path):
    """Server, headers and TLS context of a kubeconfig that is JSON, as ours are."""
    config = msgspec.json.decode(Path(path).read_bytes())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    if not cluster["server"].startswith("https"):
        return cluster["server"], headers, True
    tls = ssl.create_default_context()
    if authority := cluster.get("certificate-authority-data"):
        tls.load_verify_locations(cadata=base64.b64decode(authority).decode())
    else:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if certificate := user.get("client-certificate-data"):
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(certificate) + base64.b64decode(user["client-key-data"]))
            pair.flush()
            tls.load_cert_chain(pair.name)
    return cluster["server"], headers, tls


if __name__ == "__main__":
    _given = arguments()
    with asyncio.Runner(loop_factory=loop_factory(_given.loop)) as _runner:
        _runner.run(Floor(_given).run())
