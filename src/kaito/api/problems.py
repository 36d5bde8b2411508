"""A problem with an object: where, what, how bad."""

from dataclasses import dataclass
from typing import Literal, final

from kaito.api.names import Reason

Severity = Literal["error", "warning"]


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in words for the person who wrote the YAML."""

    path: str
    """The field, such as `tuning.output.image` or `inference.adapters[0].source`."""
    message: str
    severity: Severity = "error"
    reason: str = Reason.INVALID
    """One of `kaito.api.names.Reason`."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def did_you_mean(words: tuple[str, ...] | list[str]) -> str:
    """`; did you mean a or b?`, or nothing."""
    return f"; did you mean {' or '.join(words)}?" if words else ""
