"""`kaito demo`."""

import asyncio
from typing import TYPE_CHECKING

import click

from kaito.cli.failure import INTERRUPTED, OK

if TYPE_CHECKING:
    from kaito.cli.demo.theatre import Setting

FIRST = "No GPU, no cloud and no model is used: cluster, Azure and engine are simulated on this "
LAST = "No GPU, no cloud and no model was used."

SPEED = 200.0
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
    from random import SystemRandom

    from rich.console import Console

    from kaito.cli.demo.theatre import Setting
    from kaito.cli.upping import unwrapped

    console = Console(highlight=False)
    try:
        asyncio.run(play(Setting(console=console, speed=world_speed, random=SystemRandom()), act))
    except asyncio.CancelledError:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BaseExceptionGroup as group:
        raise unwrapped(group) from None
    raise click.exceptions.Exit(OK)


async def play(setting: "Setting", act: int | None) -> None:
    """All acts, or one; then the books."""
    from kaito.cli.demo.acts import ACTS, closing
    from kaito.cli.demo.theatre import open_theatre
    from kaito.cli.interrupts import interruptible

    setting.console.print(FIRST + "machine.")
    with interruptible():
        async with open_theatre(setting) as theatre:
            theatre.display.say(
                f"Its clock runs {setting.speed:g} times as fast. Lines that begin with $ are what "
                "you would type; this program makes the same requests."
            )
            for number in ACTS if act is None else (act,):
                await ACTS[number](theatre)
            await closing(theatre)
            total = theatre.watch.now()
        setting.console.print(f"Altogether {total}.")
    setting.console.print()
    setting.console.print(NEXT_STEPS)
    setting.console.print()
    setting.console.print(LAST)
