"""How progress is shown: a table that updates in a terminal, a line for each event otherwise.

live      a table per journey, redrawn in place; what is under way counts up
lines     one plain line for each stage, for pipes and logs
picture   each table once, when its journey has ended, for recordings
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, Literal, final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kaito.cli.durations import Elapsed, long, short
from kaito.cli.journey import Journey, Stage
from kaito.kube.clock import Clock

Mode = Literal["live", "lines", "picture"]

_TICK: Final = 0.1
"""Seconds between two frames."""
_PAUSE: Final = 1.0
"""Seconds to read a line."""
_SPINNER: Final = "|/-\\"
_MARK: Final = {"done": "[green]✓[/]", "now": "[yellow]{}[/]", "later": "[dim]·[/]"}


def mode_of(console: Console) -> Mode:
    """Live where the console can be redrawn."""
    return "live" if console.is_terminal and not console.is_dumb_terminal else "lines"


@final
class Display:
    """The one place that writes to the screen while things go on.

    `now` is the time since the beginning; `told` is what a `Follower` calls.
    """

    def __init__(
        self, console: Console, *, clock: Clock, now: Callable[[], Elapsed], mode: Mode
    ) -> None:
        self.mode: Final = mode
        self._soft = mode != "picture"
        """Long lines are the terminal's to wrap; a picture has none."""
        self._console = console
        self._clock = clock
        self._now = now
        self._shown: list[Journey] = []
        self._troubles: dict[str, str] = {}
        self._live: Live | None = None
        self._frame = 0

    def say(self, text: str = "", *, style: str = "") -> None:
        """A line as it is, brackets and all."""
        self._console.print(Text(text, style=style), soft_wrap=self._soft)

    def keep(self, trouble: str) -> None:
        """What a table shows only while it lasts, for those who look later; lines have it."""
        if self.mode != "lines":
            self.say(trouble, style="yellow")

    def title(self, number: str, text: str) -> None:
        self._console.print()
        self._console.print(Text.assemble((number, "bold cyan"), f"  {text}"))

    async def pause(self) -> None:
        """Let somebody who watches read what is shown; a program that reads waits for nothing."""
        if self.mode == "live":
            await self._clock.sleep(_PAUSE)

    def command(self, text: str) -> None:
        """What one would type."""
        self._console.print(Text.assemble(("$ ", "dim"), (text, "bold")), soft_wrap=self._soft)

    def warn(self, text: str) -> None:
        self._console.print(Text.assemble(("Warning: ", "bold yellow"), text), soft_wrap=self._soft)

    @asynccontextmanager
    async def showing(self, journey: Journey) -> AsyncIterator[None]:
        """Show how this journey goes on, as long as the block lasts."""
        self._shown.append(journey)
        try:
            if self.mode != "live":
                yield
                return
            with Live(console=self._console, auto_refresh=False, transient=False) as live:
                self._live = live
                async with asyncio.TaskGroup() as tasks:
                    ticker = tasks.create_task(self._tick(), name="display")
                    yield
                    ticker.cancel()
                self._draw()
        finally:
            self._live = None
            self._shown.remove(journey)
            if self.mode == "picture":
                self._console.print(self._table(journey, settled=True))

    async def _tick(self) -> None:
        while True:
            self._frame += 1
            self._draw()
            await self._clock.sleep(_TICK)

    def _draw(self) -> None:
        if self._live is not None:
            tables = (self._table(journey, settled=False) for journey in self._shown)
            self._live.update(Group(*tables), refresh=True)

    def told(self, journey: Journey, fresh: Iterable[Stage]) -> None:
        """Something about a Workspace has changed."""
        if self.mode != "lines" or journey not in self._shown:
            return
        for stage in fresh:
            self.say("  " + line(journey, stage))
        name = str(journey.key)
        if journey.trouble != self._troubles.get(name, ""):
            self._troubles[name] = journey.trouble
            if journey.trouble:
                self.say(f"  {'…':<22}{journey.trouble}")

    def _table(self, journey: Journey, *, settled: bool) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
        table.add_column(" ", width=1)
        table.add_column(Text(journey.key.name, style="bold"), no_wrap=True)
        table.add_column("", overflow="ellipsis", no_wrap=True, min_width=40, max_width=44)
        table.add_column("simulated", justify="right", no_wrap=True)
        table.add_column("real", justify="right", no_wrap=True)
        current = next((s for s in journey.stages if s not in journey.reached), None)
        for stage in journey.stages:
            if stage in journey.reached:
                took = journey.took(stage)
                cells = (_MARK["done"], stage.value, _short(journey.reached[stage][1]))
                table.add_row(*cells, long(took.simulated), short(took.real))
            elif stage is current and not settled:
                spinner = _MARK["now"].format(_SPINNER[self._frame % len(_SPINNER)])
                since = self._since(journey)
                table.add_row(
                    spinner, stage.value, "", long(since.simulated), short(since.real), style="dim"
                )
            else:
                table.add_row(_MARK["later"], stage.value, "", "", "", style="dim")
        if not journey.trouble:
            return table
        return Group(table, Text(f"   {journey.trouble}", style="yellow"))

    def _since(self, journey: Journey) -> Elapsed:
        last = max((at for at, _ in journey.reached.values()), key=lambda at: at.real, default=None)
        return self._now() - (last if last is not None else journey.begun)


def line(journey: Journey, stage: Stage) -> str:
    """One stage that was reached, as a line."""
    _, told = journey.reached[stage]
    return f"{stage.value:<22}{_short(told):<46}{journey.took(stage)}".rstrip()


def _short(told: str) -> str:
    """An image without its registry, anything else as it is."""
    return told.rpartition("/")[2] if told.count("/") > 1 else told
