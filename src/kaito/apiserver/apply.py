"""Server-side apply: a manager says what it wants, and owns that.

    merged  = live object + configuration
    pruned  = merged - what this manager applied last time and nobody else owns
    conflict  where the configuration changes what another manager owns, unless forced

The steps, their order and their corner cases are those of the real server.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any, Final, final

from kaito.apiserver import fieldsets, managedfields, typed
from kaito.apiserver.comparing import compare, own
from kaito.apiserver.fieldsets import FieldSet, Path
from kaito.apiserver.managedfields import APPLY, UPDATE, Manager, Owned, Owners, Shape
from kaito.apiserver.status import Refused, bad_request
from kaito.apiserver.typed import Unfit
from kaito.kube.objects import Json
from kaito.kube.schema.fields import MISSING, compact, quote

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL: Final = "kubectl"
"""The manager whose applies take over from its client-side ones."""


class Conflicts(Exception):
    """The configuration would change what others own."""

    def __init__(self, found: dict[Manager, FieldSet]) -> None:
        super().__init__()
        self.found = found


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The object after an apply, `managedFields` included; `changed`: anything but ownership."""

    obj: Json
    changed: bool


def apply(
    live: Json | None, config: Json, *, manager: str, force: bool, shape: Shape, now: str
) -> Applied:
    """Apply `config`. Raises Refused: 409 on conflicts, 400 or 500 for what cannot be applied.

    `live` is None for an object that does not exist yet. Neither argument is changed.
    """
    _check(config, shape)
    me = Manager(manager or "unknown", APPLY, "", shape.subresource)
    before = copy.deepcopy(shape.empty) if live is None else managedfields.bare(live)
    owners = managedfields.read((live or {}).get("metadata", {}).get("managedFields"))
    if not owners and live is not None:
        owners = _before_first_apply(before, shape, now)
    try:
        obj, owners, changed = _step(before, config, owners, me, force, shape)
    except Conflicts as conflicts:
        if manager != _KUBECTL or not _forgiven(conflicts, before, shape):
            raise _conflict(conflicts.found) from conflicts
        obj, owners, changed = _step(before, config, owners, me, True, shape)
    except Unfit as error:
        raise Refused(500, "", str(error)) from error
    if changed and me in owners:
        owners[me] = Owned(owners[me].fields, owners[me].version, now)
    if manager == _KUBECTL:
        _refresh_last_applied(obj, config)
    obj = {**obj, "metadata": {**(obj.get("metadata") or {})}}
    entries = managedfields.write(owners)
    if entries:
        obj["metadata"]["managedFields"] = entries
    return Applied(obj=obj, changed=changed)


def _check(config: Json, shape: Shape) -> None:
    metadata = config.get("metadata") or {}
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    try:
        typed.check(config, shape.type)
    except Unfit as error:
        name = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
        raise Refused(
            500,
            "",
            f"failed to create typed patch object ({name}; {_group_version(config)}, "
            f"Kind={config.get('kind')}): {error}",
        ) from error


def _group_version(config: Json) -> str:
    """As Go prints it: the core group is empty."""
    version = str(config.get("apiVersion"))
    return version if "/" in version else f"/{version}"


def _before_first_apply(live: Json, shape: Shape, now: str) -> Owners:
    """What was there before anybody applied belongs to nobody in particular."""
    change = compare(shape.empty, live, shape.type).without(shape.ignored)
    fields = change.own
    if not fields:
        return {}
    manager = Manager(managedfields.BEFORE_FIRST_APPLY, UPDATE, shape.version, shape.subresource)
    return {manager: Owned(fields, shape.version, now)}


def _step(
    live: Json, config: Json, owners: Owners, me: Manager, force: bool, shape: Shape
) -> tuple[Json, Owners, bool]:
    """Merge, prune, judge. Raises Conflicts."""
    merged: Json = typed.merge(live, config, shape.type)
    last = owners.get(me)
    mine = typed.fields_of(config, shape.type).without(shape.ignored)
    claimed = {**owners, me: Owned(mine, shape.version, last.time if last is not None else "")}
    obj: Json = merged if last is None else _pruned(merged, claimed, last, shape)
    kept, conflicts, _ = managedfields.changed(live, obj, claimed, shape, but=me)
    if conflicts and not force:
        raise Conflicts(conflicts)
    stripped = own(kept[me].fields)
    if stripped:
        kept[me] = Owned(stripped, shape.version, kept[me].time)
    else:
        del kept[me]
    return obj, kept, obj != live


def _pruned(merged: Json, owners: Owners, last: Owned, shape: Shape) -> Json:
    """Without what was applied last time, is not now, and nobody owns."""
    type_ = shape.type_of(last.version)
    if type_ is None or not last.fields:
        return merged
    before = typed.with_named(last.fields, type_)
    first = shape.at(merged, last.version)
    pruned = typed.remove(first, before, type_) or {}
    # Give back what somebody (this manager's new configuration included) owns ...
    by_version: dict[str, FieldSet] = {last.version: FieldSet()}  # the order matters
    for owned in owners.values():
        known = by_version.get(owned.version, FieldSet())
        by_version[owned.version] = known.union(owned.fields)
    for version, fields in by_version.items():
        at = shape.type_of(version)
        if at is not None:
            whole, pruned = shape.at(merged, version), shape.at(pruned, version)
            kept = typed.with_named(typed.fields_of(pruned, at), at)
            kept = kept.union(typed.with_named(fields, at))
            all_ = typed.with_named(typed.fields_of(whole, at), at)
            pruned = typed.remove(whole, all_.difference(kept), at) or {}
    # ... and what this manager did not own last time either.
    pruned = shape.at(pruned, last.version)
    all_ = typed.with_named(typed.fields_of(first, type_), type_)
    kept = typed.with_named(typed.fields_of(pruned, type_), type_)
    gone = all_.difference(kept).intersection(before)
    return shape.at(typed.remove(first, gone, type_) or {}, shape.version)


def _forgiven(conflicts: Conflicts, live: Json, shape: Shape) -> bool:
    """kubectl's own client-side apply is no stranger to its server-side apply."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = json.loads(text or "")
    except ValueError:
        return False
    if not isinstance(last, dict) or last.get("apiVersion") != shape.version:
        return False
    allowed = typed.fields_of(last, shape.type)
    change = compare(last, live, shape.type)
    for one in (change.modified, change.added, change.removed):
        allowed = allowed.difference(one)
    return all(not fields.difference(allowed) for fields in conflicts.found.values())


def _refresh_last_applied(obj: Json, config: Json) -> None:
    annotations = (obj.get("metadata") or {}).get("annotations")
    if not annotations or not annotations.get(LAST_APPLIED):
        return
    metadata = dict(config.get("metadata") or {})
    if "annotations" in metadata:
        own = metadata["annotations"] or {}
        metadata["annotations"] = {k: v for k, v in own.items() if k != LAST_APPLIED}
    obj["metadata"] = {
        **obj["metadata"],
        "annotations": {
            **annotations,
            LAST_APPLIED: compact({**config, "metadata": metadata}) + "\n",
        },
    }


def _conflict(found: dict[Manager, FieldSet]) -> Refused:
    """409, with a cause for each field."""
    all_ = [(manager, path) for manager in sorted(found) for path in found[manager]]
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_told(manager)}",
            "field": fieldsets.dotted(path),
        }
        for manager, path in all_
    ]
    return Refused(409, "Conflict", _message(all_), details={"causes": causes})


def _message(conflicts: list[tuple[Manager, Path]]) -> str:
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        where = fieldsets.dotted(path)
        return f"Apply failed with 1 conflict: conflict with {_told(manager)}: {where}"
    lines: list[str] = []
    told: Any = MISSING
    for manager, path in conflicts:
        if manager != told:
            lines.append(f"conflicts with {_told(manager)}:")
            told = manager
        lines.append(f"- {fieldsets.dotted(path)}")
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _told(manager: Manager) -> str:
    text = quote(manager.name)
    if manager.subresource:
        text += f" with subresource {quote(manager.subresource)}"
    return f"{text} using {manager.version}" if manager.operation == UPDATE else text
