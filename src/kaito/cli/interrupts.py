"""Ctrl-C, and its like: asked once, stop cleanly; asked twice, stop at once."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from kaito.cli.failure import INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class Interrupt:
    """Whether, and by which signal, the program was asked to stop."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """While entered, the first signal cancels the current task; the second ends the process.

    Cancelling unwinds everything that was opened; whoever caught it asks the result for why.
    """
    loop, task, interrupt = asyncio.get_running_loop(), asyncio.current_task(), Interrupt()

    def told(number: signal.Signals) -> None:
        if interrupt:
            os._exit(INTERRUPTED)
        interrupt.signal = number
        interrupt.event.set()
        if task is not None:
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, told, number)
    try:
        yield interrupt
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
