"""One burst: eleven-kilobyte pods from memory, as fast as they are taken."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.peers.contest import Contestant, Result, environment, race


def burst(
    contestants: Sequence[Contestant], folder: Path, *, pods: int, events: int
) -> list[Result]:
    """Each contestant alone, with a server of its own."""
    found = []
    for one in contestants:
        with ExitStack() as stack:
            port = _served(stack, pods, events)
            kubeconfig = _kubeconfig(folder, f"http://127.0.0.1:{port}")

            def go(port: int = port) -> int:
                connection = HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/go")
                connection.getresponse().read()
                connection.close()
                return events

            found += race([one], kubeconfig, "default", pods, go)
    return found


def _served(stack: ExitStack, pods: int, events: int) -> int:
    flags = ("--pods", str(pods), "--events", str(events))
    child = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.stream", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )
    )
    return int(child.stdout.readline())


def _kubeconfig(folder: Path, url: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "burst",
        "clusters": [{"name": "burst", "cluster": {"server": url}}],
        "users": [{"name": "burst", "user": {"token": "none"}}],
        "contexts": [{"name": "burst", "context": {"cluster": "burst", "user": "burst"}}],
    }
    path = folder / "burst.kubeconfig"
    path.write_text(json.dumps(document))
    return path
