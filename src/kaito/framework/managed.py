"""Taking over fields: moving entries of `managedFields` from former writers to ourselves.

A field that another manager owns is not removed when we leave it out of an apply. So before we
apply to objects that another program wrote by create and update, its entries must become ours.
"""

from collections.abc import Collection, Sequence
from typing import Any

from kaito.kube.objects import Json


def taken_over(entries: Sequence[Json], former: Collection[str], manager: str) -> list[Json] | None:
    """`entries` with what `former` wrote by update moved to what `manager` applies.

    Only whole objects are concerned: entries of subresources (`status`) stay with their writers,
    and so do entries written in another version than ours. None when there is nothing to move.
    """
    ours = next((entry for entry in entries if _is_apply(entry, manager)), None)
    moved = [entry for entry in entries if _is_update(entry, former)]
    version = (ours or moved[0])["apiVersion"] if moved else ""
    moved = [entry for entry in moved if entry.get("apiVersion") == version]
    if not moved:
        return None
    fields: Json = dict((ours or {}).get("fieldsV1") or {})
    for entry in moved:
        fields = _union(fields, entry.get("fieldsV1") or {})
    mine = {**(ours or moved[0]), "manager": manager, "operation": "Apply", "fieldsV1": fields}
    kept = [entry for entry in entries if entry is not ours and entry not in moved]
    return [mine, *kept]


def _is_apply(entry: Json, manager: str) -> bool:
    return (
        entry.get("manager") == manager
        and entry.get("operation") == "Apply"
        and not entry.get("subresource")
    )


def _is_update(entry: Json, former: Collection[str]) -> bool:
    return (
        entry.get("manager") in former
        and entry.get("operation") == "Update"
        and not entry.get("subresource")
    )


def _union(a: Json, b: Json) -> Json:
    """Two sets of fields as one: `fieldsV1` is a tree of maps whose leaves are empty maps."""
    merged: dict[str, Any] = dict(a)
    for name, inner in b.items():
        merged[name] = _union(merged[name], inner) if name in merged else inner
    return merged
