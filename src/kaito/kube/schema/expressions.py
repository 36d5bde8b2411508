"""CEL expressions that share named variables, as admission policies have them.

Imported late, like `kaito.kube.schema.cel`: the CEL library takes a tenth of a second.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from celpy import celtypes
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError

from kaito.kube.objects import Json
from kaito.kube.schema.cel import program, to_cel

_MISSING: Final = re.compile(r"no such member in mapping: '(.*)'")
"""The library's words for what the real server calls a key that is not there."""


class ExpressionError(Exception):
    """An expression does not parse, or cannot be evaluated for this object."""


@final
class Expressions:
    """Evaluates expressions over `names`; `variables.x` is worked out when it is first used."""

    def __init__(self, names: Mapping[str, Any], variables: Sequence[Json] = ()) -> None:
        self._names = {name: to_cel(value, None) for name, value in names.items()}
        self._variables = celtypes.MapType()
        self._names["variables"] = self._variables
        self._pending = list(variables)

    def evaluate(self, text: str) -> Any:
        """The value of an expression. Raises ExpressionError."""
        if "variables." in text:
            self._settle()
        return self._evaluate(text)

    def _settle(self) -> None:
        """In the order in which they are written: one may use those before it."""
        while self._pending:
            variable = self._pending.pop(0)
            value = self._evaluate(variable["expression"])
            self._variables[celtypes.StringType(variable["name"])] = value

    def _evaluate(self, text: str) -> Any:
        try:
            return program(text).evaluate(self._names)
        except (CELEvalError, CELParseError) as error:
            told = str(error.args[0]) if error.args else "evaluation failed"
            told = _MISSING.sub(r"no such key: \1", told)
            raise ExpressionError(f"expression '{text}' resulted in error: {told}") from error
