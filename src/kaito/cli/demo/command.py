"""`kaito demo`."""

import asyncio
from typing import TYPE_CHECKING

import click

from kaito.cli.failure import INTERRUPTED, OK, unwrapped

if TYPE_CHECKING:
    from rich.console import Console

    from kaito.cli.progress import Mode

FIRST = (
    "No GPU, no cloud and no model is used: the cluster, Azure and the engine are simulated here."
)
HOW = (
    "The simulated world's clock runs {speed:g} times as fast. Lines that begin with $ are what "
    "you would type; this program makes the same requests itself."
)
LAST = "No GPU, no cloud and no model was used."

SPEED = 300.0
"""How fast the world lives: about forty minutes of it in twelve seconds."""

NEXT_STEPS = """\
Go on by hand (kubectl works against it):
  kaito up -f examples/inference/kaito_workspace_phi_4_mini.yaml
  kaito plan -f examples/inference/kaito_workspace_phi_4_mini.yaml
  kaito -h"""


@click.command("demo")
@click.option("--act", type=click.IntRange(1, 3), help="One act alone. [default: all three]")
@click.option("--world-speed", type=click.FloatRange(10, 1000), default=SPEED, show_default=True)
def command(act: int | None, world_speed: float) -> None:
    """The whole job on an embedded cluster, in three acts. No GPU, no cloud, no model, no network.

    The operator is the one that ships, as a process of its own, over HTTPS, with no more rights
    than it declares, and with the real Azure SDK. What is behind the two APIs is simulated and
    lives faster; every duration is told on both clocks.

    \b
    1  fine-tuning: refused as printed, filled in, trained, pushed, served
    2  inference: out of quota, the cure, Ready, answering
    3  the operator is killed at the worst moment and started again

    \b
    Exit codes: 0    every act went as it should and nothing was left behind
                1    something did not; the line says what, and where the operator's log is
                130  Ctrl-C; nothing was left behind
    """
    from rich.console import Console

    try:
        asyncio.run(play(Console(highlight=False), world_speed, act))
    except asyncio.CancelledError:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BaseExceptionGroup as group:
        raise unwrapped(group) from None
    raise click.exceptions.Exit(OK)


async def play(
    console: "Console", speed: float, act: int | None, mode: "Mode | None" = None
) -> None:
    """All acts, or one; then the books."""
    from random import SystemRandom

    from kaito.cli.interrupts import interruptible

    with interruptible():
        console.print(FIRST, soft_wrap=True)
        from kaito.app.front import FrontOptions, load, opened

        async with opened(FrontOptions(world_speed=speed), SystemRandom()) as front:
            await load("kaito.cli.demo.acts")
            from kaito.cli.demo.acts import ACTS, closing
            from kaito.cli.demo.theatre import open_theatre
            from kaito.cli.progress import mode_of

            console.print(HOW.format(speed=speed), soft_wrap=True)
            async with open_theatre(front, console, mode or mode_of(console)) as theatre:
                for number in ACTS if act is None else (act,):
                    await ACTS[number](theatre)
                await closing(theatre)
                total = theatre.watch.now()
    console.print(f"Altogether {total}.")
    console.print()
    console.print(NEXT_STEPS, soft_wrap=True)
    console.print()
    console.print(LAST, soft_wrap=True)
