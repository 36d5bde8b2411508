"""What Go prints for a value that nobody set."""

from typing import Any, Final

from kaito.apiserver.builtin.library import INT_OR_STRING, MICRO_TIME, QUANTITY, TIME
from kaito.kube.schema.structural import Schema


def zero(schema: Schema) -> Any:
    """Of this type."""
    if schema.name in _ZEROS:
        return _ZEROS[schema.name]
    if schema.properties:
        return {}
    return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(schema.type)


_ZEROS: Final[dict[str, Any]] = {QUANTITY: "0", INT_OR_STRING: 0, TIME: None, MICRO_TIME: None}
