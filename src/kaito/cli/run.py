"""`kaito run`."""

import asyncio
import logging
import os
import sys
from threading import Thread
from typing import Literal

import click

from kaito.cli.failure import INTERRUPTED, REFUSED, UNREACHABLE, USAGE, Failure
from kaito.settings import (
    CONTROLLERS,
    OperatorSettings,
    SettingsError,
    azure_settings,
    environment,
    own_namespace,
    render_options,
)


@click.command("run")
@click.option("--kubeconfig", type=click.Path(), help="Default: $KUBECONFIG, the pod, ~/.kube.")
@click.option("--context", help="A context of the kubeconfig.")
@click.option(
    "--controllers", default=",".join(CONTROLLERS), show_default=True, help="Which to run here."
)
@click.option("--cloud", type=click.Choice(["none", "azure"]), default="none", show_default=True)
@click.option("--azure-endpoint", default="", help="Another ARM endpoint, as in sovereign clouds.")
@click.option("--azure-ca-file", default="", help="Who vouches for that endpoint.")
@click.option("--azure-token-file", default="", help="A bearer token instead of an identity.")
@click.option("--cloud-speed", type=float, default=1.0, hidden=True)
@click.option("--while-stdin-is-open", is_flag=True, hidden=True)
@click.option(
    "--concurrent-updates",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Workspaces that take a requested update at the same time.",
)
@click.option("--leader-elect/--no-leader-elect", default=True, show_default=True)
@click.option("--metrics-bind-address", default=":8080", show_default=True, help="0: off.")
@click.option("--health-probe-bind-address", default=":8081", show_default=True, help="0: off.")
@click.option("--log-format", type=click.Choice(["json", "console"]), default="json")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def command(
    kubeconfig: str | None,
    context: str | None,
    controllers: str,
    cloud: Literal["none", "azure"],
    azure_endpoint: str,
    azure_ca_file: str,
    azure_token_file: str,
    cloud_speed: float,
    while_stdin_is_open: bool,
    concurrent_updates: int,
    leader_elect: bool,
    metrics_bind_address: str,
    health_probe_bind_address: str,
    log_format: Literal["json", "console"],
    log_level: str,
) -> None:
    """The operator alone, against a cluster: in a pod as that pod's identity, else by kubeconfig.

    With --cloud=none it makes NodeClaims and leaves them to whatever provisioner is there. With
    --cloud=azure it is that provisioner too, for the AKS cluster that ARM_SUBSCRIPTION_ID,
    ARM_RESOURCE_GROUP and AZURE_CLUSTER_NAME name.

    It refuses to start where KAITO or gpu-provisioner is running.
    """
    chosen = tuple(name.strip() for name in controllers.split(",") if name.strip())
    unknown = [name for name in chosen if name not in CONTROLLERS]
    if unknown or not chosen:
        told = ", ".join(unknown) or "none named"
        raise Failure(f"--controllers: {told}; there are {', '.join(CONTROLLERS)}", USAGE)
    env = environment()
    try:
        azure = None
        if cloud == "azure":
            azure = azure_settings(
                env, endpoint=azure_endpoint, ca_file=azure_ca_file, token_file=azure_token_file
            )
    except SettingsError as error:
        raise Failure(str(error), USAGE) from error
    settings = OperatorSettings(
        controllers=chosen,
        azure=azure,
        leader_elect=leader_elect,
        leader_namespace=own_namespace(env),
        metrics_address=metrics_bind_address,
        probe_address=health_probe_bind_address,
        concurrent_updates=concurrent_updates,
        render=render_options(env, "azure"),
        cloud_speed=cloud_speed,
    )
    if while_stdin_is_open:
        _end_with_stdin()
    _run(settings, kubeconfig, context, log_format, log_level)


def _end_with_stdin() -> None:
    """End this process, as it is, when whoever holds the other end of stdin is gone.

    However it went: a pipe is closed for a process that was killed too, on every system.
    """

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            pass
        os._exit(INTERRUPTED)

    Thread(target=watch, name="stdin", daemon=True).start()


def _run(
    settings: OperatorSettings,
    kubeconfig: str | None,
    context: str | None,
    log_format: Literal["json", "console"],
    log_level: str,
) -> None:
    from kaito.app.operator import CannotStart, run
    from kaito.framework.logging import configure_logging
    from kaito.kube.clock import SystemClock
    from kaito.kube.credentials import CredentialsError, load
    from kaito.kube.errors import KubeError, TransportError

    configure_logging(log_format, level=logging.getLevelNamesMapping()[log_level.upper()])

    async def start() -> None:
        credentials = await load(kubeconfig, context, environment(), clock=SystemClock())
        for_election = await load(kubeconfig, context, environment(), clock=SystemClock())
        cloud = settings.azure.endpoint if settings.azure else "none"
        click.echo(
            f"context {credentials.context or 'none'}, server {credentials.server}, cloud {cloud}",
            err=True,
        )
        await run(settings, credentials, for_election)

    try:
        asyncio.run(start())
    except (CannotStart, CredentialsError) as error:
        raise Failure(str(error), REFUSED) from error
    except TransportError as error:
        raise Failure(f"cannot reach the API server: {error}", UNREACHABLE) from error
    except KubeError as error:
        raise Failure(str(error), REFUSED) from error
