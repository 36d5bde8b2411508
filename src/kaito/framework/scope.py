"""What one list-and-watch covers, judged by the server and, alike, by us."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

from kaito.kube.objects import Record
from kaito.kube.selectors import FieldSelector, LabelSelector


@final
@dataclass(frozen=True, kw_only=True)
class Scope:
    """A namespace (empty: all) and selectors, in the words of the API."""

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""

    def __str__(self) -> str:
        words = (
            self.namespace and f"in {self.namespace}",
            self.label_selector and f"with labels {self.label_selector}",
            self.field_selector and f"with fields {self.field_selector}",
        )
        return " ".join(word for word in words if word)

    def covers(self, record: Record) -> bool:
        """Whether the server would show us this object under these selectors."""
        if self.namespace and record.meta.namespace != self.namespace:
            return False
        if not self._labels.matches(record.meta.labels):
            return False
        return not self.field_selector or self._fields.matches(lambda path: _text(record, path))

    @cached_property
    def _labels(self) -> LabelSelector:
        return LabelSelector.parse(self.label_selector)

    @cached_property
    def _fields(self) -> FieldSelector:
        return FieldSelector.parse(self.field_selector)


def _text(record: Record, path: str) -> str:
    """A field as field selectors compare it: its text, empty where it is absent."""
    if path == "metadata.name":
        return record.meta.name
    if path == "metadata.namespace":
        return record.meta.namespace
    value = record.get(*path.split("."))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
