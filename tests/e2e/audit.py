"""What the API server's audit log says about who asked for what."""

import json
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that was answered, or one watch that began."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    manager: str
    code: int
    at: str
    """RFC 3339, as the server wrote it."""

    def __str__(self):
        what = "/".join(part for part in (self.resource, self.subresource) if part)
        return f"{self.verb} {what} {self.namespace}/{self.name} {self.manager} {self.code}"


class Audit:
    """Reads on from where it stood when it was made, or last read."""

    def __init__(self, path, user):
        self._path = path
        self._user = user
        self._offset = path.stat().st_size

    def read(self):
        """Every request of the user since then, in order; a watch counts when it begins."""
        with self._path.open("rb") as lines:
            lines.seek(self._offset)
            text = lines.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = (json.loads(line) for line in whole.splitlines())
        return [_asked(one) for one in found if self._counts(one)]

    def until(self, verb, resource, namespace="", seconds=120):
        """Every request until this one, which is waited for."""
        deadline, asked = time.monotonic() + seconds, []
        while (verb, resource, namespace) not in {(a.verb, a.resource, a.namespace) for a in asked}:
            assert time.monotonic() < deadline, "\n".join(map(str, asked))
            time.sleep(0.1)
            asked += self.read()
        return asked

    def _counts(self, one):
        if one["user"]["username"] != self._user:
            return False
        final = "ResponseStarted" if one["verb"] == "watch" else "ResponseComplete"
        return one["stage"] == final


def _asked(one):
    where = one.get("objectRef") or {}
    query = parse_qs(urlsplit(one["requestURI"]).query)
    return Asked(
        verb=one["verb"],
        resource=where.get("resource", ""),
        subresource=where.get("subresource", ""),
        namespace=where.get("namespace", ""),
        name=where.get("name", ""),
        manager=(query.get("fieldManager") or [""])[0],
        code=(one.get("responseStatus") or {}).get("code", 0),
        at=one["requestReceivedTimestamp"],
    )
