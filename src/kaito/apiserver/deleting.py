"""DELETE: preconditions, grace, finalizers, propagation; and of whole collections."""

from datetime import timedelta
from typing import Final

from kaito.apiserver import reviewing, writing
from kaito.apiserver.core import Call, encode, loaded, unloaded
from kaito.apiserver.kinds import Draft, Kind
from kaito.apiserver.options import DeleteOptions, WriteOptions, delete_options
from kaito.apiserver.representing import JSON_HEADERS
from kaito.apiserver.selecting import selection
from kaito.apiserver.status import conflict, success
from kaito.apiserver.storage import Stored
from kaito.kube.clock import parse_rfc3339, rfc3339
from kaito.kube.objects import Json
from kaito.kube.resources import NAMESPACES
from kaito.kube.transport import Response

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
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
    obj = loaded(call.kind, stored.json())
    _check(call.kind, obj, options)
    reviewing.delete(call, obj, options)
    before = encode(obj)
    _mark(call, obj, options)
    meta = obj["metadata"]
    waiting = (
        bool(meta.get("finalizers"))
        or bool(meta.get("deletionGracePeriodSeconds"))
        or _namespace_waits(call.kind, obj)
    )
    if not waiting:
        last = obj if call.kind.strategy.graceful else loaded(call.kind, stored.json())
        if call.kind.strategy.graceful and encode(obj) != before and not options.dry_run:
            # Watchers see the mark before they see the end, as on a real server.
            call.core.storage.write(call.core.bucket(call.kind), unloaded(call.kind, dict(obj)))
        writing.finish(call, last, WriteOptions(dry_run=options.dry_run))
        if not options.dry_run:
            last["metadata"]["resourceVersion"] = str(call.core.storage.revision)
        return last, True
    if encode(obj) != before and not options.dry_run:
        call.core.storage.write(call.core.bucket(call.kind), unloaded(call.kind, dict(obj)))
    return obj, False


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
    if kind.strategy.orphans and not options.propagation:
        call.warn(_ORPHANS)
    _propagate(kind, meta, options)
    grace = _grace(kind, obj, options)
    now = call.core.clock.wall()
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
    found = [stored for stored in bucket.scan(chosen.namespace) if chosen.has(stored)]
    version = call.core.storage.revision
    for stored in found:
        # All are asked about before the first goes.
        reviewing.delete(call, loaded(call.kind, stored.json()), options)
    for stored in found:
        remove(call, stored, options)
    items = [_bare(call.kind, loaded(call.kind, stored.json())) for stored in found]
    resource = call.kind.resource
    body = {
        "kind": call.kind.list_kind,
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(version)},
        "items": items,
    }
    return Response(status=200, headers=JSON_HEADERS, body=encode(body))
