"""What a Workspace is to be: the revision in force, and what follows from it.

The first time it is what this version renders of the user's inputs. From then on it is what was
recorded of them, until an input changes: a newer version that would render, or refuse, something
else says so and changes nothing.
"""

from dataclasses import dataclass
from typing import final

from kaito.api.names import Annotation, Reason
from kaito.controllers.workspace.demand import Demand
from kaito.controllers.workspace.observed import Observed
from kaito.controllers.workspace.progress import Step, Update, stalled
from kaito.kube.objects import Json, ObjectKey, Record
from kaito.kube.resources import JOBS
from kaito.manifests.identity import Identity
from kaito.manifests.render import Rendered
from kaito.manifests.revision import digest, recorded
from kaito.planning.decision import Plan, Refusal


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The revision in force: what the user asked for now, and the children it stands for."""

    number: int
    wanted: Json
    """The inputs it was made of."""
    rendered: Rendered


def recorded_revision(observed: Observed, wanted: Json) -> Revision | None:
    """The recorded revision of these inputs; None when they are new.

    Going back to earlier inputs takes their old record up again under a new, higher number.
    """
    fingerprint = digest(wanted)
    for record in observed.revisions:
        if record.meta.annotations.get(Annotation.HASH) == fingerprint:
            newest = record is observed.revisions[-1]
            number = _number(record) if newest else next_number(observed)
            return Revision(number=number, wanted=wanted, rendered=recorded(record))
    return None


def standing_revision(observed: Observed, wanted: Json) -> Revision | None:
    """The newest revision, where `wanted` differs from its inputs by a request to update alone."""
    if not observed.revisions:
        return None
    newest = observed.revisions[-1]
    data = newest.get("data") or {}
    before = {name: value for name, value in data.items() if name != "rendered"}
    if _apart_from_request(before) != _apart_from_request(wanted):
        return None
    return Revision(number=_number(newest), wanted=before, rendered=recorded(newest))


def _apart_from_request(wanted: Json) -> Json:
    annotations = {k: v for k, v in wanted["annotations"].items() if k != Annotation.UPDATE}
    return {**wanted, "annotations": annotations}


def next_number(observed: Observed) -> int:
    """Of a new revision: higher than all, KAITO's included, whose numbers are on workloads too."""
    known = (*observed.former_revisions, *observed.revisions)
    return max((_number(record) for record in known), default=0) + 1


def update_of(observed: Observed, rendered: Rendered, today: Rendered | Refusal) -> Update | None:
    """How what is in force differs from what this version makes `today` of the same inputs."""
    if isinstance(today, Refusal):
        return Update(
            available=False,
            reason=today.reason,
            message="what runs stays as it is; this version of the operator could not make it: "
            f"{today.message}",
        )
    if today == rendered:
        return None
    taken_over = rendered.claims is not None
    origin = "as KAITO made it" if taken_over else "as an earlier version made it"
    job = rendered.workload["kind"] == JOBS.kind
    effect = "trains again from the beginning" if job else "restarts the engine"
    key = observed.key
    return Update(
        available=True,
        reason=Reason.TAKEN_OVER if taken_over else Reason.NEWER_RENDERING,
        message=f"the workload is {origin}, and this version would make another; nothing changes "
        f"by itself. To take it, which {effect}: kubectl annotate workspace {key.name} "
        f'-n {key.namespace} --overwrite {Annotation.UPDATE}="$(date)"',
    )


def _number(record: Record) -> int:
    return record.get("revision") or 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one Workspace is to be taken."""

    identity: Identity
    revision: Revision
    demand: Demand
    plan: Plan | None
    """What claims are made by; None where this version would refuse what is in force."""
    update: Update | None
    waits: bool = False
    """An update that was asked for is for later."""


def target_of(
    observed: Observed,
    identity: Identity,
    wanted: Json,
    kept: Revision | None,
    today: Rendered | Refusal,
    plan: Plan | None = None,
) -> Target | Step:
    """`kept` if there is one, else what this version makes `today`; a Step when it refuses to."""
    if kept is not None:
        revision, update = kept, update_of(observed, kept.rendered, today)
    elif isinstance(today, Refusal):
        return stalled(today.reason, today.message)
    else:
        if _on_foreign_machines(observed):
            return stalled(
                Reason.NOT_SERVED_YET,
                "what runs was taken over together with machines that no NodeClaim of KAITO's "
                "stands for, and stays as it is: this version would make others beside them; "
                "delete the Workspace and those machines, and apply it again",
            )
        revision, update = (
            Revision(number=next_number(observed), wanted=wanted, rendered=today),
            None,
        )
    return Target(
        identity=identity,
        revision=revision,
        demand=Demand.of_rendered(revision.rendered),
        plan=plan,
        update=update,
    )


def waiting_target(
    identity: Identity,
    standing: Revision,
    ahead: tuple[ObjectKey, ...],
    plan: Plan | None,
) -> Target:
    """What stands, until those `ahead` have been updated."""
    names = ", ".join(map(str, ahead))
    update = Update(
        available=True,
        reason=Reason.UPDATE_WAITS,
        message=f"the update that was asked for waits until these are Ready again: {names}",
    )
    return Target(
        identity=identity,
        revision=standing,
        demand=Demand.of_rendered(standing.rendered),
        plan=plan,
        update=update,
        waits=True,
    )


def may_follow(standing: Revision, today: Rendered | Refusal) -> bool:
    """Whether an update could be made: what runs is worth more than a refusal."""
    return not isinstance(today, Refusal) and standing.rendered.claims != 0


def _on_foreign_machines(observed: Observed) -> bool:
    return bool(observed.revisions) and recorded(observed.revisions[-1]).claims == 0
