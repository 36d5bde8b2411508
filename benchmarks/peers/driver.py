"""Makes pods and changes them, from a process of its own.

python -m benchmarks.peers.driver create --kubeconfig F --namespace N --pods 2000
python -m benchmarks.peers.driver churn  --kubeconfig F --namespace N --pods 2000 --changes 20000
"""

import argparse
import asyncio
import itertools
import json
import math
import time

import aiohttp
from benchmarks.peers.floor import access
from benchmarks.peers.pods import pod, status

_CONNECTIONS = 16
_MERGE = {"Content-Type": "application/merge-patch+json"}


class Driver:
    """Requests of one process over a few connections."""

    def __init__(self, session, server, given) -> None:
        self.session, self.given = session, given
        self.pods = f"{server}/api/v1/namespaces/{given.namespace}/pods"
        self.namespaces = f"{server}/api/v1/namespaces"

    async def create(self) -> None:
        """The namespace, and in it the pods with their status; prints the size of one as JSON."""
        namespace = {"metadata": {"name": self.given.namespace}}
        await self.send("POST", self.namespaces, namespace, known=(409,))

        size = 0

        async def one(number: int) -> None:
            nonlocal size
            made = pod(f"pod-{number:05d}")
            await self.send("POST", self.pods, made)
            said = {"status": status(made)}
            path = f"{self.pods}/{made['metadata']['name']}/status"
            size = len(await self.send("PATCH", path, said, _MERGE))

        await self.each(one, self.given.pods)
        print(size)

    async def churn(self) -> None:
        """Change one label of one pod after another, at most `pace` a second, and say how many."""
        began = time.monotonic()
        done = 0

        async def one(number: int) -> None:
            nonlocal done
            if self.given.pace:
                due = began + number / self.given.pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - began > self.given.seconds:
                return
            patch = {"metadata": {"labels": {"round": f"{self.given.round}-{number}"}}}
            name = f"pod-{number % self.given.pods:05d}"
            await self.send("PATCH", f"{self.pods}/{name}", patch, _MERGE)
            done += 1

        await self.each(one, self.given.changes)
        print(done)

    async def each(self, work, count: int) -> None:
        numbers = itertools.count()

        async def worker() -> None:
            while (number := next(numbers)) < count:
                await work(number)

        async with asyncio.TaskGroup() as workers:
            for _ in range(_CONNECTIONS):
                workers.create_task(worker())

    async def send(self, method, url, body, headers=None, known=()) -> bytes:
        headers = headers or {"Content-Type": "application/json"}
        data = json.dumps(body)
        async with self.session.request(method, url, data=data, headers=headers) as response:
            answer = await response.read()
            if response.status >= 400 and response.status not in known:
                raise RuntimeError(f"{method} {url}: {response.status} {answer[:300]!r}")
        return answer


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=("create", "churn"))
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--changes", type=int, default=0)
    parser.add_argument("--pace", type=float, default=0, help="changes a second; 0: no limit")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after that many")
    parser.add_argument("--round", default="0", help="makes the labels differ from those before")
    given = parser.parse_args()
    server, headers, tls = access(given.kubeconfig)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=_CONNECTIONS), headers=headers
    ) as session:
        await getattr(Driver(session, server, given), given.task)()


if __name__ == "__main__":
    asyncio.run(main())
