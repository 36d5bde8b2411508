"""Moving entries of managedFields: as client-go's csaupgrade does."""

from kaito.framework.managed import taken_over
from kaito.kube.objects import Json


def entry(manager: str, operation: str, fields: Json, **more: str) -> Json:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def test_an_entry_changes_hands() -> None:
    """The only writer was a former manager: its entry becomes ours, as an apply."""
    fields = {"f:data": {"f:a": {}}}
    assert taken_over([entry("old", "Update", fields)], ["old"], "new") == [
        entry("new", "Apply", fields)
    ]


def test_entries_are_united_with_ours() -> None:
    """Several former managers and an apply of ours: one entry, with all their fields."""
    entries = [
        entry("new", "Apply", {"f:status": {}}, subresource="status"),
        entry("new", "Update", {"f:data": {"f:y": {}}}),
        entry("else", "Apply", {"f:data": {"f:z": {}}}),
        entry("old", "Update", {"f:data": {".": {}, "f:a": {}}}),
        entry("stranger", "Update", {"f:data": {"f:x": {}}}),
        entry("older", "Update", {"f:data": {"f:b": {}}, "f:metadata": {"f:labels": {}}}),
        entry("new", "Apply", {"f:data": {"f:c": {}}}),
    ]
    union = {"f:data": {"f:c": {}, ".": {}, "f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {}}}
    assert taken_over(entries, ["old", "older"], "new") == [
        entry("new", "Apply", union),
        *entries[:3],
        entries[4],
    ]


def test_what_does_not_concern_us_stays() -> None:
    """Status entries, applies of others, entries in another version: not ours to take."""
    others = [
        entry("new", "Update", {"f:data": {}}),
        entry("new", "Apply", {"f:status": {}}, subresource="status"),
        entry("old", "Update", {"f:status": {}}, subresource="status"),
        entry("old", "Apply", {"f:data": {}}),
        entry("stranger", "Update", {"f:data": {}}),
    ]
    assert taken_over(others, ["old"], "new") is None
    assert taken_over([], ["old"], "new") is None
    versions = [
        entry("old", "Update", {"f:a": {}}, apiVersion="v1beta1"),
        entry("new", "Apply", {"f:b": {}}),
    ]
    assert taken_over(versions, ["old"], "new") is None
