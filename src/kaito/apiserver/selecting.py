"""Label and field selectors of a request, as one question about a stored object."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from kaito.apiserver import forms
from kaito.apiserver.core import Call
from kaito.apiserver.kinds import Kind
from kaito.apiserver.status import bad_request
from kaito.apiserver.storage import Stored
from kaito.kube.selectors import FieldSelector, InvalidSelector, LabelSelector

_METADATA: Final = ("metadata.name", "metadata.namespace")


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind are asked for."""

    call: Call
    namespace: str = ""
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    deep: bool = False
    """The field selector looks at more than the key."""

    @property
    def everything(self) -> bool:
        """No selector (a namespace is not one)."""
        return self.labels is None and self.fields is None

    def of(self, objects: Iterable[Stored]) -> list[Stored]:
        """Those that are asked for."""
        if self.deep and self.call.kind.webhook is not None:
            objects = [stored for stored in objects if self.near(stored)]
            forms.expect(self.call, objects)
        return [stored for stored in objects if self.has(stored)]

    def near(self, stored: Stored) -> bool:
        """Whether nothing but its fields can keep it from being asked for."""
        if self.namespace and stored.namespace != self.namespace:
            return False
        return self.labels is None or self.labels.matches(stored.labels)

    def has(self, stored: Stored) -> bool:
        if not self.near(stored):
            return False
        return self.fields is None or self.fields.matches(self._reader(stored))

    def _reader(self, stored: Stored) -> Callable[[str], str]:
        values = self._values(stored) if self.deep else {}

        def read(field: str) -> str:
            if field == "metadata.name":
                return stored.name
            if field == "metadata.namespace":
                return stored.namespace
            return values[field]

        return read

    def _values(self, stored: Stored) -> Mapping[str, str]:
        """Every field that the kind selects by. Decoded once per stored version."""
        strategy = self.call.kind.strategy
        place = f"fields of {self.call.kind.resource.api_version}"
        known = stored.memo.get(place)
        if known is None or known[0] is not strategy:
            whole = forms.shown(self.call, stored)
            values = {field: read(whole) for field, read in strategy.fields.items()}
            known = stored.memo[place] = (strategy, values)
        found: Mapping[str, str] = known[1]
        return found


def _unsupported(kind: Kind, field: str) -> str:
    if kind.custom or kind.strategy.fields:
        return f"field label not supported: {field}"
    return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def selection(call: Call) -> Selection:
    """Of this request. Raises 400 for selectors that do not parse, or fields that have no index."""
    request, kind = call.request, call.kind
    label_text, field_text = request.param("labelSelector"), request.param("fieldSelector")
    if call.target.name and call.target.verb == "watch":
        field_text = f"metadata.name={call.target.name}"
    labels = fields = None
    deep = False
    try:
        if label_text:
            labels = LabelSelector.parse(label_text)
        if field_text:
            fields = FieldSelector.parse(field_text)
    except InvalidSelector as error:
        raise bad_request(str(error)) from error
    if fields is not None:
        asked = [term.field for term in fields.terms]
        for field in asked:
            if field not in _METADATA and field not in kind.strategy.fields:
                raise bad_request(_unsupported(kind, field))
        deep = any(field not in _METADATA for field in asked)
    return Selection(call, call.key.namespace, labels, fields, deep)
