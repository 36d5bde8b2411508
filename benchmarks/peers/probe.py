"""What every contestant in Python answers with, and when.

For each line on standard input a contestant prints one JSON line with what it has seen and used so
far; the end of input ends it. Between two lines this costs nothing: a thread sits in `read`.
"""

import argparse
import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Seen:
    """Counted by the contestant."""

    def __init__(self) -> None:
        self.events = 0
        self.reconciles = 0


def arguments() -> argparse.Namespace:
    """Where to look and what to do: the same words for every contestant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--work", choices=("metadata", "spec", "get", "partial"), required=True)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    return parser.parse_args()


def answer(seen: Seen) -> None:
    """Answer from a thread of its own until the input ends, and the process with it."""

    def body() -> None:
        for _ in sys.stdin:
            print(json.dumps(sample(seen)), flush=True)
        os._exit(0)

    threading.Thread(target=body, name="probe", daemon=True).start()


def sample(seen: Seen) -> dict[str, float]:
    """The result line."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "events": seen.events,
        "reconciles": seen.reconciles,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE,
    }


def loop_factory(name: str) -> Callable[[], object] | None:
    """For asyncio.Runner; None is the standard library's own."""
    if name == "asyncio":
        return None
    import uvloop

    return uvloop.new_event_loop
