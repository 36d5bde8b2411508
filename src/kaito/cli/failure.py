"""How a command ends when it does not end well."""

from typing import Final

OK: Final = 0
REFUSED: Final = 1
"""The answer is no: refused, invalid, not ready."""
USAGE: Final = 2
"""The command line itself is wrong."""
UNREACHABLE: Final = 3
"""An API server, a cloud or a URL did not answer."""
TIMEOUT: Final = 124
"""The time that was given has passed (as `timeout(1)` does)."""
INTERRUPTED: Final = 130
"""Ctrl-C (as a shell does: 128 + SIGINT)."""


class Failure(Exception):
    """Ends a command: one line on stderr, and an exit code."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


def unwrapped(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure in a group, told as if it had been raised alone; else the group itself."""
    failures = group.subgroup(Failure)
    while isinstance(failures, BaseExceptionGroup):
        inner = failures.exceptions[0]
        if not isinstance(inner, BaseExceptionGroup):
            return inner
        failures = inner
    return group
