"""What the server asks of the world: a kubelet for logs, a network for proxies.

Both are set on the server by whoever plays nodes. They raise `kaito.apiserver.status.Refused` for
what they refuse.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, final

from kaito.kube.transport import Request, Response, Stream


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """PodLogOptions. The kubelet applies all but `limit_bytes`, which the server cuts itself."""

    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    timestamps: bool = False
    limit_bytes: int | None = None


class Kubelet(Protocol):
    async def logs(
        self, namespace: str, pod: str, container: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        """The container's output. Ends by itself, with `follow` when the container ends."""
        ...


class ServiceProxy(Protocol):
    async def request(
        self,
        kind: Literal["services", "pods"],
        namespace: str,
        name: str,
        port: str,
        request: Request,
    ) -> Response | Stream:
        """Carry one HTTP request into the cluster's network. `port`: number, name, or empty."""
        ...
