"""Who asked the API server for what: frugality is a property that can be tested."""

from collections import Counter
from typing import Final, final

from kaito.apiserver.server import RequestInfo

AGENT: Final = "kaito-testing"
"""The user agent of a test's own client: its requests are neither counted nor disturbed."""

_READS = frozenset({"get", "list", "watch"})


@final
class Requests:
    """Every request that reached the server, but for the test's own."""

    def __init__(self) -> None:
        self.all: list[RequestInfo] = []

    def take(self, info: RequestInfo) -> None:
        if not info.user_agent.startswith(AGENT):
            self.all.append(info)

    def clear(self) -> None:
        """Count from here."""
        self.all.clear()

    def of(
        self, *, agent: str = "", resource: str = "", verbs: frozenset[str] | None = None
    ) -> list[RequestInfo]:
        """Those of a program (`agent`: how its user agent begins), to a plural, with these
        verbs."""
        return [
            info
            for info in self.all
            if info.user_agent.startswith(agent)
            and (not resource or info.resource == resource)
            and (verbs is None or info.verb in verbs)
        ]

    def writes(self, *, agent: str = "") -> list[str]:
        """`verb resource[/subresource] name`, in order."""
        return [
            f"{info.verb} {info.resource}{'/' if info.subresource else ''}{info.subresource}"
            f" {info.name}".rstrip()
            for info in self.of(agent=agent)
            if info.verb not in _READS
        ]

    def counts(self, *, agent: str = "") -> Counter[tuple[str, str]]:
        """How many by (verb, plural)."""
        return Counter((info.verb, info.resource) for info in self.of(agent=agent))
