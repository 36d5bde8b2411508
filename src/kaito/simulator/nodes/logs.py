"""What containers have printed, kept by their kubelet and read through `pods/log`."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import final

from kaito.kube.clock import parse_rfc3339, rfc3339_micro

LINES_KEPT = 10_000
"""Per run of a container."""


@final
@dataclass(slots=True)
class Run:
    """One run of a container: its output so far, in pieces with the time each was printed."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    over: bool = False
    _changed: asyncio.Event | None = None
    """For who follows; most runs are never read."""

    def print(self, at: float, text: bytes) -> None:
        self.pieces.append((at, text))
        del self.pieces[:-LINES_KEPT]
        self._tell()

    def end(self) -> None:
        self.over = True
        self._tell()

    def changed(self) -> asyncio.Event:
        """Set when more is printed, or the run ends."""
        if self._changed is None:
            self._changed = asyncio.Event()
        return self._changed

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


@final
class Logs:
    """The output of every container on the nodes, by pod UID and container."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._runs: dict[tuple[str, str], list[Run]] = {}

    def begin(self, uid: str, container: str) -> None:
        """A new run of the container starts; the one before it can be read as `previous`."""
        runs = self._runs.setdefault((uid, container), [])
        if runs:
            runs[-1].end()
        runs.append(Run())
        del runs[:-2]

    def line(self, uid: str, container: str, text: str) -> None:
        self.write(uid, container, f"{text}\n".encode())

    def write(self, uid: str, container: str, text: bytes) -> None:
        """Output may end anywhere; only `line` adds a line end."""
        if (uid, container) not in self._runs:
            self.begin(uid, container)
        self._runs[uid, container][-1].print(self._now(), text)

    def end(self, uid: str, container: str) -> None:
        """The present run is over; followers are done."""
        for run in self._runs.get((uid, container), ())[-1:]:
            run.end()

    def forget(self, uid: str) -> None:
        for key in [key for key in self._runs if key[0] == uid]:
            for run in self._runs.pop(key):
                run.end()

    def has(self, uid: str, container: str, *, previous: bool = False) -> bool:
        return len(self._runs.get((uid, container), ())) > (1 if previous else 0)

    async def read(
        self,
        uid: str,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        tail_lines: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """The output of the present run, or of the one before. `since`: seconds since the epoch."""
        runs = self._runs.get((uid, container), [])
        if len(runs) < (2 if previous else 1):
            return
        run = runs[-2] if previous else runs[-1]
        pieces = [piece for piece in run.pieces if since is None or piece[0] >= since]
        if tail_lines is not None:
            pieces = pieces[len(pieces) - min(tail_lines, len(pieces)) :]
        seen = len(run.pieces)
        for piece in pieces:
            yield _shown(piece, timestamps=timestamps)
        while follow and not run.over:
            changed = run.changed()
            if len(run.pieces) == seen:
                await changed.wait()
            fresh, seen = run.pieces[seen:], len(run.pieces)
            for piece in fresh:
                yield _shown(piece, timestamps=timestamps)


def _shown(piece: tuple[float, bytes], *, timestamps: bool) -> bytes:
    at, text = piece
    if not timestamps:
        return text
    return f"{rfc3339_micro(datetime.fromtimestamp(at, UTC))} ".encode() + text


def since_of(now: float, seconds: int | None, time: str) -> float | None:
    """The earliest moment wanted, from `sinceSeconds` or `sinceTime`."""
    if seconds is not None:
        return now - seconds
    return parse_rfc3339(time).timestamp() if time else None
