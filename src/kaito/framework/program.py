"""An operator as a program: options, credentials, logging, signals, and a manager that runs.

    def setup(manager: Manager) -> None:
        manager.add(Controller(...))

    sys.exit(main("website", setup, definitions=[CRD]))

Nothing happens here that a program could not do by itself with the parts; `serve` is the half of
it that reads no command line.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, final

import msgspec
import structlog

from kaito.framework.leader import LeaderOptions
from kaito.framework.logging import configure_logging
from kaito.framework.manager import Manager, ManagerOptions
from kaito.kube.clock import SystemClock
from kaito.kube.credentials import Credentials, CredentialsError, load
from kaito.kube.https import HttpsTransport
from kaito.kube.objects import Json

log = structlog.get_logger(__name__)

Setup = Callable[[Manager], None]
"""Adds controllers, runnables and checks to a manager that does not run yet."""

_LAG_INTERVAL: Final = 0.25
"""Seconds between two measurements of the event loop's lag."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOptions:
    name: str
    """Names the program to the API server (user agent), and its lease."""
    metrics_bind_address: str = ""
    """`host:port`, "" or "0" for none."""
    health_probe_bind_address: str = ""
    leader_elect: bool = False
    """Work only while holding the lease `name`, so that several replicas may run."""
    leader_namespace: str = ""
    """Of the lease; "": the credentials' namespace."""
    grace_seconds: float = 30.0
    """How long runs in progress may take after the stop."""
    debug_bind_address: str = ""
    """Of `/debug`, which asks nobody who they are: keep it on loopback."""
    request_details: bool = False
    """Also measure requests one by one: see `ManagerOptions.request_details`."""


async def serve(
    setup: Setup,
    options: ProgramOptions,
    credentials: Credentials,
    stop: asyncio.Event,
    *,
    election_credentials: Credentials | None = None,
) -> None:
    """Run a manager over HTTPS until `stop` is set.

    With `election_credentials` the election has a thread of its own; they must not be shared with
    anything on this loop. Raises what `Manager.run` raises.
    """
    transport = HttpsTransport(credentials)
    elects = options.leader_elect and election_credentials is not None
    manager = Manager(
        transport,
        clock=SystemClock(),
        random=Random(),  # asked once per reconcile: no place for a system call
        options=_manager_options(options, credentials.namespace),
        election_transport=HttpsTransport(election_credentials)
        if elects and election_credentials is not None
        else None,
    )
    if options.request_details:
        transport.on_resolved = manager.metrics.requests.resolved
    try:
        setup(manager)
        await manager.run(stop)
    finally:
        await transport.close()


def _manager_options(options: ProgramOptions, namespace: str) -> ManagerOptions:
    leader = None
    if options.leader_elect:
        namespace = options.leader_namespace or namespace
        leader = LeaderOptions(namespace=namespace, name=options.name)
    return ManagerOptions(
        metrics_bind_address=options.metrics_bind_address,
        health_probe_bind_address=options.health_probe_bind_address,
        leader=leader,
        identity=f"{socket.gethostname()}_{os.getpid()}",
        user_agent=options.name,
        grace_seconds=options.grace_seconds,
        loop_lag_interval=_LAG_INTERVAL,
        freeze_after_sync=True,
        debug_bind_address=options.debug_bind_address,
        request_details=options.request_details,
    )


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM or SIGINT; a second signal ends the process at once."""

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)


def main(
    name: str,
    setup: Setup,
    *,
    definitions: Sequence[Json] = (),
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """A whole program: reads its options, runs until it is told to stop, and returns how it went.

    `definitions` are what `--crds` prints. `arguments` and `environ` are the process's own unless
    given; of the environment only what `credentials.load` looks at is read. The answer is the exit
    status: 0 after an orderly stop, 1 when something broke. Wrong usage raises SystemExit(2).
    """
    given = _parser(name, bool(definitions)).parse_args(arguments)
    if definitions and given.crds:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(definitions)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(listed)).decode() + "\n")
        return 0
    configure_logging(given.log_format, level=logging.getLevelNamesMapping()[given.log_level])
    try:
        asyncio.run(_run(setup, name, given, os.environ if environ is None else environ))
    except CredentialsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception:
        log.critical("the operator ended", exc_info=True)
        return 1
    return 0


async def _run(
    setup: Setup, name: str, given: argparse.Namespace, environ: Mapping[str, str]
) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    clock = SystemClock()
    credentials, election = [
        await load(given.kubeconfig, given.context, environ, clock=clock) for _ in range(2)
    ]
    log.info("starting", context=credentials.context, server=credentials.server)
    options = ProgramOptions(
        name=name,
        metrics_bind_address=given.metrics_bind_address,
        health_probe_bind_address=given.health_probe_bind_address,
        debug_bind_address=given.debug_bind_address,
        request_details=given.request_metrics,
        leader_elect=given.leader_elect,
        leader_namespace=given.leader_election_namespace,
    )
    await serve(setup, options, credentials, stop, election_credentials=election)


def _parser(name: str, has_definitions: bool) -> argparse.ArgumentParser:
    """The flags have the names that controller-runtime's programs give them."""
    parser = argparse.ArgumentParser(name)
    add = parser.add_argument
    add("--kubeconfig", help="default: $KUBECONFIG, the pod's service account, ~/.kube/config")
    add("--context", help="of the kubeconfig; default: the current one")
    add("--metrics-bind-address", default="", metavar="HOST:PORT", help="default: none")
    add("--health-probe-bind-address", default="", metavar="HOST:PORT", help="default: none")
    add("--debug-bind-address", default="", metavar="HOST:PORT", help="default: none")
    add("--request-metrics", action="store_true", help="measure requests one by one")
    add("--leader-elect", action="store_true", help="work only while holding the lease")
    add("--leader-election-namespace", default="", metavar="NAMESPACE")
    add("--log-format", choices=("json", "console"), default="json")
    add("--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO")
    if has_definitions:
        add("--crds", action="store_true", help="print the definitions, for kubectl apply -f -")
    return parser
