"""`python -m kaito.cli.demo.recording docs`: play the demo and keep what it printed.

docs/demo-transcript.md     as a pipe sees it, one line for each stage
docs/images/demo.svg        act 2 as a terminal shows it, when its table has settled
"""

import asyncio
import io
import platform
import re
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from kaito.cli.demo.command import SPEED, play
from kaito.kube.clock import SystemClock

_WIDTH: Final = 116
_PICTURED: Final = 2
"""The act that fits on a screen."""

_PAGE: Final = """\
# The demo, as it was printed

`make demo` on {date}, Python {python} on {system}; recorded by `make recording`.
Every duration is told on two clocks: the simulated world's and a real one.

```text
{text}```
"""


def main(docs: Path) -> None:
    """Write both files into `docs`."""
    picture = Console(
        record=True, force_terminal=True, width=_WIDTH, file=io.StringIO(), highlight=False
    )
    asyncio.run(play(picture, SPEED, _PICTURED, "picture"))
    images = docs / "images"
    images.mkdir(exist_ok=True)
    svg = picture.export_svg(title="kaito demo", unique_id="demo")
    (images / "demo.svg").write_text(_offline(svg), encoding="utf-8")

    lines = Console(file=io.StringIO(), width=_WIDTH, highlight=False)
    asyncio.run(play(lines, SPEED, None, "lines"))
    page = _PAGE.format(
        date=SystemClock().wall().date(),
        python=platform.python_version(),
        system=platform.system(),
        text=lines.file.getvalue(),  # type: ignore[attr-defined]  # the StringIO from above
    )
    (docs / "demo-transcript.md").write_text(page, encoding="utf-8")


def _offline(svg: str) -> str:
    """Without the web fonts that the exporter refers to: whoever reads it asks nobody."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
