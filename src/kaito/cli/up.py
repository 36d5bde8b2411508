"""`kaito up`."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import click

from kaito.cli.asked import Asked
from kaito.cli.durations import Duration
from kaito.cli.failure import INTERRUPTED, OK, USAGE, Failure, unwrapped
from kaito.cli.inputs import documents


@click.command("up")
@click.option("-f", "--filename", "names", multiple=True, metavar="FILE", help="What to apply.")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("--until-ready", is_flag=True, help="End when every Workspace of -f is Ready.")
@click.option("--timeout", type=Duration(), default="300s", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="0: a free one. [default: 0]"
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Where to write one.")
@click.option("--world-speed", type=click.FloatRange(1, 1000), default=60, show_default=True)
@click.option(
    "--log-format", type=click.Choice(["json", "console"]), default="console", show_default=True
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="error",
    show_default=True,
    help="Of the operator and the cluster, on stderr.",
)
def command(
    names: tuple[str, ...],
    namespace: str,
    until_ready: bool,
    timeout: float,
    port: int,
    kubeconfig: Path | None,
    world_speed: float,
    log_format: Literal["json", "console"],
    log_level: str,
) -> None:
    """An embedded cluster and the operator, in the foreground. No GPU, no cloud, no model.

    Serves the Kubernetes API over HTTPS on 127.0.0.1, writes a kubeconfig of its own (0600, removed
    at the end; never ~/.kube/config, never over a file it did not write), applies -f, and prints an
    address on this machine for every Workspace that is Ready. Cloud, nodes and engine are
    simulated, and live --world-speed times as fast as you do. Runs until Ctrl-C.

    \b
    kaito up -f examples/inference/kaito_workspace_phi_4_mini.yaml
    kaito up -f ws.yaml --until-ready --timeout 2m

    \b
    Exit codes: 0    stopped by Ctrl-C; with --until-ready, every Workspace of -f is Ready
                1    refused: a Workspace is Stalled, the port is in use, the file is not YAML
                2    the command line is wrong, a file cannot be read
                3    a URL cannot be read
                124  --until-ready: the timeout has passed
                130  Ctrl-C before what was asked for was reached
    """
    found = documents(names) if names else []
    if until_ready and not any(document.kind == "Workspace" for document in found):
        raise Failure("--until-ready: there is no Workspace in -f", USAGE)

    _logging(log_format, log_level)
    asked = Asked(
        documents=tuple(found),
        namespace=namespace,
        until_ready=until_ready,
        timeout=timeout,
        port=port,
        kubeconfig=kubeconfig,
        world_speed=world_speed,
    )
    reached: list[bool] = []
    try:
        code = asyncio.run(_main(asked, reached))
    except asyncio.CancelledError:
        code = OK if reached else INTERRUPTED
    except BaseExceptionGroup as group:
        raise unwrapped(group) from None
    raise click.exceptions.Exit(code)


async def _main(asked: Asked, reached: list[bool]) -> int:
    """The front first, then what is heavy, then the work."""
    from random import SystemRandom

    from kaito.app.front import FrontOptions, load, opened
    from kaito.cli import kubeconfig
    from kaito.cli.interrupts import interruptible

    if asked.kubeconfig is not None:
        kubeconfig.check(asked.kubeconfig)
    with interruptible():
        options = FrontOptions(port=asked.port, world_speed=asked.world_speed)
        async with AsyncExitStack() as stack:
            try:
                front = await stack.enter_async_context(opened(options, SystemRandom()))
            except OSError as error:
                raise _cannot_listen(asked.port, error) from error
            await load("kaito.cli.upping")
            from kaito.cli.upping import Up

            return await Up(asked, reached).main(front)


def _cannot_listen(port: int, error: OSError) -> Failure:
    if port and "in use" in str(error).lower():
        return Failure(f"port {port} is in use; choose another one, or --port 0 for a free one")
    return Failure(f"cannot listen on 127.0.0.1 port {port}: {error.strerror or error}")


def _logging(form: Literal["json", "console"], level: str) -> None:
    import logging

    from kaito.framework.logging import configure_logging

    configure_logging(form, level=logging.getLevelNamesMapping()[level.upper()])
