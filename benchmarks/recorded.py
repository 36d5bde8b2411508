"""A process that answers every list and watch of pods with bytes made beforehand.

    PYTHONPATH=src:. python -m benchmarks.recorded --count 10000 --size 6000

Plain HTTP on a port of its own choice, which it prints; it ends when its standard input does. It
does as little as can be done, so that two cores are enough for it and for whoever is measured.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.pods import REFUSED, pages, pods, streamed

ROOT = Path(__file__).parents[1]


class Server:
    def __init__(self, count, size, *, streams):
        self.streams = streams
        version = 1_000_000
        items = pods(count, size, version)
        self.pages, self.chunks = pages(items, version), streamed(items, version)

    async def serve(self, reader, writer):
        """One connection, request after request."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                query = parse_qs(urlsplit(head.split(" ", 2)[1]).query)
                await self.answer(writer, {name: values[0] for name, values in query.items()})
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, writer, query):
        if "watch" not in query:
            body = self.pages[int(query.get("continue", "0"))]
            writer.write(head(f"content-length: {len(body)}") + body)
            await writer.drain()
            return
        if "sendInitialEvents" in query and not self.streams:
            writer.write(head(f"content-length: {len(REFUSED)}", "400 Bad Request") + REFUSED)
            return
        writer.write(head("transfer-encoding: chunked"))
        if "sendInitialEvents" in query:
            for piece in self.chunks:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()


def head(line, status="200 OK"):
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{line}\r\n\r\n".encode()


async def run(count, size, *, streams):
    made = Server(count, size, streams=streams)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()


@contextmanager
def recorded(count, size, *, streams=True):
    """The URL of such a process, for as long as the body takes."""
    words = ["-m", "benchmarks.recorded", "--count", str(count), "--size", str(size)]
    if not streams:
        words.append("--no-streams")
    child = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    try:
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(30)


def main():
    parser = argparse.ArgumentParser(description="pods from memory")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--no-streams", action="store_true", help="refuse to stream lists")
    given = parser.parse_args()
    asyncio.run(run(given.count, given.size, streams=not given.no_streams))


if __name__ == "__main__":
    main()
