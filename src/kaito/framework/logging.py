"""Log lines: a constant message and key/value pairs, one line per event, on standard error.

While a key is being reconciled, every line says which: those of the framework, of the operator, of
tasks that the reconcile started, and of any library that uses the standard `logging`.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Literal, TextIO

import structlog

from kaito.framework.reconcile import (
    current_controller,
    current_key,
    current_kind,
    reconcile_id,
)

LogFormat = Literal["json", "console"]

_Event = MutableMapping[str, Any]
_Processor = Callable[[Any, str, _Event], _Event]


def add_context(_logger: Any, _method: str, event: _Event) -> _Event:
    """A structlog processor: which controller, kind, key and run this line belongs to."""
    key = current_key.get()
    if key is not None:
        event.setdefault("controller", current_controller.get())
        event.setdefault("kind", current_kind.get())
        event.setdefault("key", str(key))
        event.setdefault("reconcile_id", reconcile_id.get())
    return event


def _plain_key(_logger: Any, _method: str, event: _Event) -> _Event:
    """An ObjectKey is a tuple; people want to read `namespace/name`."""
    if "key" in event:
        event["key"] = str(event["key"])
    return event


def configure_logging(
    format_: LogFormat = "json",
    *,
    level: int = logging.INFO,
    stream: TextIO | None = None,
    colors: bool = False,
) -> None:
    """Set up structlog and the standard `logging` for this process. For a program's main alone."""
    out = sys.stderr if stream is None else stream
    shared: Sequence[_Processor] = (
        structlog.contextvars.merge_contextvars,
        add_context,
        _plain_key,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    )
    last = _renderers(format_, colors)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=list(shared),
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def _renderers(format_: LogFormat, colors: bool) -> list[Any]:
    if format_ == "console":
        # The default formatter prints local variables, among which secrets may be.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("msg"),
        structlog.processors.JSONRenderer(default=str),
    ]
