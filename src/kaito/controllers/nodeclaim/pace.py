"""When to ask the cloud again about one claim. Memory that may be lost: it only saves requests.

Everything that must survive a crash is in the API server and in the cloud; a restarted operator
asks once more than it had to.
"""

from dataclasses import dataclass
from typing import final

from kaito.kube.clock import Clock


@dataclass(slots=True)
class _Entry:
    not_before: float = 0.0
    refusals: int = 0
    creating_since: float | None = None
    told_at: float | None = None
    news: str = ""
    broken_since: float | None = None


@final
class Pace:
    """By the claim's uid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    def remaining(self, uid: str) -> float:
        """Seconds until the cloud may be asked again; 0 when it may."""
        entry = self._entries.get(uid)
        return max(0.0, entry.not_before - self._clock.monotonic()) if entry else 0.0

    def wait(self, uid: str, seconds: float) -> float:
        """Do not ask for so long. Returns the seconds."""
        self._entry(uid).not_before = self._clock.monotonic() + seconds
        return seconds

    def refused(self, uid: str) -> int:
        """Count a refusal; the number of those before it."""
        entry = self._entry(uid)
        entry.refusals += 1
        entry.creating_since = None
        return entry.refusals - 1

    def creating(self, uid: str) -> float:
        """Seconds since it was first seen to be under way."""
        entry, now = self._entry(uid), self._clock.monotonic()
        if entry.creating_since is None:
            entry.creating_since = now
        return now - entry.creating_since

    def told(self, uid: str) -> None:
        """The status was written."""
        self._entry(uid).told_at = self._clock.monotonic()

    def silent_for(self, uid: str) -> float:
        """Seconds since the status was written last, as far as is known."""
        entry = self._entries.get(uid)
        if entry is None or entry.told_at is None:
            return float("inf")
        return self._clock.monotonic() - entry.told_at

    def broken(self, uid: str) -> None:
        """It is broken although its machine runs: patience begins."""
        self._entry(uid).broken_since = self._clock.monotonic()

    def broken_for(self, uid: str) -> float | None:
        """Seconds of patience so far; None before it began."""
        entry = self._entries.get(uid)
        if entry is None or entry.broken_since is None:
            return None
        return self._clock.monotonic() - entry.broken_since

    def whole(self, uid: str) -> None:
        """It works, or does not run: patience would begin anew."""
        if uid in self._entries:
            self._entries[uid].broken_since = None

    def is_news(self, uid: str, message: str) -> bool:
        """Whether this differs from what was asked about last."""
        entry = self._entry(uid)
        before, entry.news = entry.news, message
        return before != message

    def running(self, uid: str) -> None:
        """Its machine runs: nothing is held against it any more, but what was told stays told."""
        self._entries[uid] = _Entry(news=self._entry(uid).news)

    def forget(self, uid: str) -> None:
        self._entries.pop(uid, None)

    def _entry(self, uid: str) -> _Entry:
        return self._entries.setdefault(uid, _Entry())
