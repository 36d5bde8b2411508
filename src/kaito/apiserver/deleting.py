"""DELETE: preconditions, grace, finalizers, propagation; and of whole collections."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

from kaito.apiserver import forms, reviewing, writing
from kaito.apiserver.core import Call, encode
from kaito.apiserver.kinds import Draft, Kind
from kaito.apiserver.negotiation import accepted
from kaito.apiserver.options import DeleteOptions, delete_options, list_limit
from kaito.apiserver.policies import judge
from kaito.apiserver.representing import JSON_HEADERS, drawn, respond
from kaito.apiserver.selecting import selection
from kaito.apiserver.status import conflict, forbidden, success
from kaito.apiserver.storage import Stored
from kaito.kube.clock import parse_rfc3339, rfc3339
from kaito.kube.objects import Json
from kaito.kube.resources import JOBS, NAMESPACES
from kaito.kube.transport import Response

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
_IMMORTAL: Final = frozenset({"default", "kube-public", "kube-system"})
_ORPHANS: Final = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)


def delete(call: Call, options: DeleteOptions) -> Json:
    """Delete what the path names; the answer is a `Status` or the object, as the kind has it."""
    stored = writing.current(call, call.key)
    obj, gone = remove(call, stored, options)
    if gone and not call.kind.strategy.returns_deleted:
        return success(call.kind.resource, stored.key.name, stored.uid)
    return obj


def remove(call: Call, stored: Stored, options: DeleteOptions) -> tuple[Json, bool]:
    """Delete one stored object, or mark it as being deleted. Returns it, and whether it is gone."""
    return _carried_out(call, plan(call, stored, options), options)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A deletion that nothing stands in the way of any more, and nobody has to be asked about."""

    obj: Json
    """With its marks."""
    last: Json | None
    """How the object ends; None: it waits, for finalizers or its grace period."""
    marked: Json | None
    """What storage takes of the marks; None: nothing."""
    gone: Json | None
    """What storage keeps of the end."""


def plan(call: Call, stored: Stored, options: DeleteOptions) -> Plan:
    """Everything but the deletion itself."""
    obj = forms.shown(call, stored, fresh=True)
    if call.kind.resource == NAMESPACES and stored.key.name in _IMMORTAL:
        why = "this namespace may not be deleted"
        raise forbidden(NAMESPACES, stored.key.name, why)
    _check(call.kind, obj, options)
    reviewing.delete(call, obj, options)
    judge(call, None, obj)
    before, graceful = encode(obj), call.kind.strategy.graceful
    _mark(call, obj, options)
    waiting = _waits(call.kind, obj)
    # Watchers of what ends gracefully see the mark before they see the end, as on a real server.
    marks = (waiting or graceful) and encode(obj) != before
    last = None if waiting else obj if graceful else forms.shown(call, stored)
    return Plan(
        obj=obj,
        last=last,
        marked=forms.kept(call, obj) if marks else None,
        gone=None if last is None else forms.kept(call, deepcopy(last)),
    )


def _carried_out(call: Call, plan: Plan, options: DeleteOptions) -> tuple[Json, bool]:
    storage, bucket = call.core.storage, call.core.bucket(call.kind)
    if plan.marked is not None and not options.dry_run:
        written = storage.write(bucket, plan.marked)
        plan.obj["metadata"]["resourceVersion"] = str(written.version)
    if plan.last is None:
        return plan.obj, False
    if plan.gone is not None and not options.dry_run:
        removed = storage.remove(bucket, writing.key_of(plan.last), plan.gone)
        plan.last["metadata"]["resourceVersion"] = str(removed.version)
    return plan.last, True


def _waits(kind: Kind, obj: Json) -> bool:
    meta = obj["metadata"]
    return (
        bool(meta.get("finalizers"))
        or bool(meta.get("deletionGracePeriodSeconds"))
        or _namespace_waits(kind, obj)
    )


def _check(kind: Kind, obj: Json, options: DeleteOptions) -> None:
    meta = obj["metadata"]
    if options.uid and options.uid != meta["uid"]:
        raise conflict(
            kind.resource,
            meta["name"],
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({meta['uid']}). The object might have been deleted and then recreated",
            group_resource=kind.resource.group_kind,
        )
    if options.version and options.version != meta["resourceVersion"]:
        raise conflict(
            kind.resource,
            meta["name"],
            f"the ResourceVersion in the precondition ({options.version}) does not match the "
            f"ResourceVersion in record ({meta['resourceVersion']}). The object might have been "
            "modified",
            group_resource=kind.resource.group_kind,
        )


def _mark(call: Call, obj: Json, options: DeleteOptions) -> None:
    """Set what says that the object is going: timestamp, grace, finalizers, phase."""
    kind, meta = call.kind, obj["metadata"]
    if kind.resource == JOBS and not options.propagation:
        call.warn(_ORPHANS)
    _propagate(kind, meta, options)
    grace = _grace(kind, obj, options)
    now = call.core.wall()
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = rfc3339(now + timedelta(seconds=grace))
        if kind.strategy.terminate is None:
            meta["deletionGracePeriodSeconds"] = grace
        if meta.get("generation") and kind.strategy.deletion_counts:
            meta["generation"] += 1
    elif grace < meta.get("deletionGracePeriodSeconds", 0):
        # A second deletion may only shorten the wait.
        shorter = meta["deletionGracePeriodSeconds"] - grace
        meta["deletionTimestamp"] = _earlier(meta["deletionTimestamp"], shorter)
        meta["deletionGracePeriodSeconds"] = grace
    if kind.strategy.terminate is not None:
        core = call.core
        kind.strategy.terminate(
            Draft(obj=obj, old=obj, storage=core.storage, random=core.random, warn=call.warn)
        )


def _earlier(timestamp: str, seconds: int) -> str:
    return rfc3339(parse_rfc3339(timestamp) - timedelta(seconds=seconds))


def _propagate(kind: Kind, meta: Json, options: DeleteOptions) -> None:
    """The policy becomes a finalizer; the garbage collector does the work and takes it off."""
    policy = options.propagation or ("Orphan" if kind.strategy.orphans else "")
    if not policy:
        return
    finalizers = [name for name in meta.get("finalizers") or [] if name not in (ORPHAN, FOREGROUND)]
    if policy == "Orphan":
        finalizers.append(ORPHAN)
    elif policy == "Foreground":
        finalizers.append(FOREGROUND)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)


def _grace(kind: Kind, obj: Json, options: DeleteOptions) -> int:
    """Seconds to wait: the pod's own unless asked otherwise; none for what never ran or is done."""
    if not kind.strategy.graceful:
        return 0
    spec = obj.get("spec") or {}
    asked = options.grace_seconds
    grace = spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in (
        "Succeeded",
        "Failed",
    ):
        return 0
    return max(0, int(grace))


def _namespace_waits(kind: Kind, obj: Json) -> bool:
    return kind.resource == NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))


def _bare(kind: Kind, obj: Json) -> Json:
    """An item of a list: only those of custom kinds bear apiVersion and kind."""
    if kind.custom:
        return obj
    return {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}


def delete_collection(call: Call) -> Response:
    """Delete everything that the selectors choose; the answer lists it."""
    options = delete_options(call)
    chosen = selection(call)
    bucket = call.core.bucket(call.kind)
    found = chosen.of(bucket.scan(chosen.namespace))
    found = found[: list_limit(call.request) or None]
    version = call.core.storage.revision
    forms.expect(call, found, fresh=True)
    # All are asked about before the first goes.
    plans = [plan(call, stored, options) for stored in found]
    items = [_bare(call.kind, forms.shown(call, stored)) for stored in found]
    for one in plans:
        _carried_out(call, one, options)
    resource, meta = call.kind.resource, {"resourceVersion": str(version)}
    how = accepted(call.request)
    if how.shape != "object":
        return respond(call, drawn(call, items, meta, how), 200, how, drawn=True)
    body = {
        "kind": call.kind.list_kind,
        "apiVersion": resource.api_version,
        "metadata": {**({"continue": ""} if call.kind.custom else {}), **meta},
        "items": items,
    }
    return Response(status=200, headers=JSON_HEADERS, body=encode(body))
