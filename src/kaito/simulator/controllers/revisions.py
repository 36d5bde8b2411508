"""ControllerRevisions: the history of a StatefulSet's template."""

from collections.abc import Sequence
from dataclasses import dataclass

from kaito.kube.objects import Json, Record
from kaito.kube.resources import CONTROLLERREVISIONS
from kaito.simulator.controllers.hands import Action, Create, Delete, Patch
from kaito.simulator.controllers.podstate import hash_of, owner_reference

HASH_LABEL = "controller.kubernetes.io/hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One template that pods may have."""

    name: str
    template: Json
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The template that is current, the one to go to, and what has to be written for it."""

    current: Revision
    update: Revision
    actions: tuple[Action, ...]


def history_of(stateful_set: Record, revisions: Sequence[Record]) -> History:
    """Equal templates share a revision; going back to an old one makes it the newest again."""
    template = stateful_set.get("spec", "template")
    known = sorted(map(_revision, revisions), key=lambda one: (one.number, one.name))
    newest = known[-1].number if known else 0
    same = [one for one in known if one.template == template]
    actions: list[Action] = []
    if same and same[-1].number == newest:
        update = same[-1]
    elif same:
        update = Revision(name=same[-1].name, template=template, number=newest + 1)
        record = next(r for r in revisions if r.meta.name == update.name)
        patch = {"revision": update.number}
        actions.append(
            Patch(resource=CONTROLLERREVISIONS, key=record.key, uid=record.meta.uid, patch=patch)
        )
    else:
        hashed = hash_of(template)
        name = f"{stateful_set.meta.name}-{hashed}"
        update = Revision(name=name, template=template, number=newest + 1)
        actions.append(
            Create(resource=CONTROLLERREVISIONS, obj=_object(stateful_set, update, hashed))
        )
    wanted = stateful_set.get("status", "currentRevision")
    current = next((one for one in known if one.name == wanted), update)
    return History(current=current, update=update, actions=tuple(actions))


def _revision(record: Record) -> Revision:
    spec = (record.get("data") or {}).get("spec") or {}
    template = {k: v for k, v in (spec.get("template") or {}).items() if k != "$patch"}
    return Revision(
        name=record.meta.name, template=template, number=int(record.get("revision") or 0)
    )


def _object(stateful_set: Record, revision: Revision, hashed: str) -> Json:
    labels = (revision.template.get("metadata") or {}).get("labels") or {}
    return {
        "metadata": {
            "name": revision.name,
            "namespace": stateful_set.meta.namespace,
            "labels": {**labels, HASH_LABEL: hashed},
            "ownerReferences": [owner_reference(stateful_set)],
        },
        "data": {"spec": {"template": {**revision.template, "$patch": "replace"}}},
        "revision": revision.number,
    }


def superfluous(revisions: Sequence[Record], used: frozenset[str], limit: int) -> list[Delete]:
    """The oldest revisions beyond the limit that no pod and no status names."""
    unused = [record for record in revisions if record.meta.name not in used]
    unused.sort(key=lambda record: int(record.get("revision") or 0))
    return [
        Delete(resource=CONTROLLERREVISIONS, key=record.key, uid=record.meta.uid)
        for record in unused[: max(0, len(unused) - limit)]
    ]
