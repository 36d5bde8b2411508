"""The embedded cluster's front: its API server behind its HTTPS door.

Open before anything else is even imported, so that it answers at once; `embedded` brings the rest.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Final, final

from kaito.apiserver.certificates import Authority
from kaito.apiserver.https import HttpsDoor
from kaito.apiserver.server import ApiServer, ApiServerOptions
from kaito.kube.clock import Clock, SystemClock

_REST: Final = (
    "kaito.app.embedded",
    "kaito.app.operator",
    "kaito.provisioner.azure.cloud",
    "kaito.kube.schema.expressions",
)
"""What everybody needs next; the last would otherwise be imported by the first write."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FrontOptions:
    """What can be chosen about an embedded cluster."""

    port: int = 0
    """Of the API server, on 127.0.0.1; 0: a free one."""
    world_speed: float = 60.0
    """How fast cloud, nodes and engine live."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """An API server that answers. Nothing lives behind it yet."""

    options: FrontOptions
    clock: Clock
    random: Random
    server: ApiServer
    authority: Authority
    door: HttpsDoor


@asynccontextmanager
async def opened(options: FrontOptions, random: Random) -> AsyncIterator[Front]:
    """Serve until the block ends. Raises OSError where the port is taken."""
    clock = SystemClock()
    accounts = ApiServerOptions(demands_accounts=True)
    server = ApiServer(clock=clock, random=Random(random.getrandbits(64)), options=accounts)
    authority = Authority(clock)
    async with HttpsDoor(server, port=options.port, authority=authority) as door:
        yield Front(
            options=options,
            clock=clock,
            random=random,
            server=server,
            authority=authority,
            door=door,
        )


async def load(*modules: str) -> None:
    """Import what comes next beside the loop, which goes on answering meanwhile."""
    for module in (*_REST, *modules):
        await asyncio.to_thread(import_module, module)
