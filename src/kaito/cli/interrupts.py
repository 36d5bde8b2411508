"""Ctrl-C, and its like: stop cleanly, and at once only where clean has had its time."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from kaito.cli.failure import INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE = 5.0
"""Seconds in which further signals change nothing: people press Ctrl-C more than once, and tidying
up is under way already."""


@final
class Interrupt:
    """Whether, and by which signal, the program was asked to stop."""

    def __init__(self) -> None:
        self.at = 0.0
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """While entered, the first signal cancels the current task; one that comes much later ends the
    process as it is.

    Cancelling unwinds everything that was opened; whoever caught it asks the result for why.
    """
    loop, task, interrupt = asyncio.get_running_loop(), asyncio.current_task(), Interrupt()

    def told(number: signal.Signals) -> None:
        if interrupt:
            if loop.time() > interrupt.at + PATIENCE:
                os._exit(INTERRUPTED)
            return
        interrupt.at = loop.time()
        interrupt.signal = number
        if task is not None:
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, told, number)
    try:
        yield interrupt
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
