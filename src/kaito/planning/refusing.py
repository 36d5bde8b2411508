"""Leaving a decision early: raised inside planning, answered as a Refusal."""

from typing import final

from kaito.planning.decision import Refusal


@final
class Refused(Exception):
    """There will be no plan."""

    def __init__(self, reason: str, message: str, field: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(reason=reason, message=message, field=field)
