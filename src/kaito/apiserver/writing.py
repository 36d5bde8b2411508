"""Create, replace and patch: from a body to a committed object.

body -> decoded and pruned -> what the server decides -> defaults -> the kind's own rules
     -> validated -> field ownership -> committed, unless nothing changed or it is a dry run
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from kaito.apiserver import bodies, escalation, forms, metadata, names, quotas, reviewing
from kaito.apiserver.builtin import warnings
from kaito.apiserver.core import Call, loaded
from kaito.apiserver.kinds import Draft, Hook, Kind
from kaito.apiserver.managedfields import same_but_for_time
from kaito.apiserver.options import WriteOptions
from kaito.apiserver.ownership import track_update
from kaito.apiserver.policies import judge
from kaito.apiserver.status import (
    MODIFIED,
    Cause,
    Refused,
    already_exists,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    not_found,
)
from kaito.apiserver.storage import Stored
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import CRDS, NAMESPACES

_NAME_TRIES: Final = 8


@final
@dataclass(frozen=True, slots=True)
class Written:
    """What a write answers. `obj` has its head."""

    obj: Json
    created: bool = False


def create(call: Call, obj: Json, options: WriteOptions, *, owned: bool = False) -> Written:
    """Make a new object. Raises `Refused`: AlreadyExists, Invalid, NotFound (namespace) ...

    `owned`: the object says itself who owns its fields.
    """
    kind = call.kind
    metadata.check_namespace(kind, obj, call.target.namespace)
    if kind.custom:
        _check_definition(call, obj)
    generated = not metadata.meta(obj).get("name")
    metadata.fill_new(call.core, kind, obj)
    metadata.unique_owners(obj, call.warn, patched=False)
    if call.answers is not None:
        call.answers.bear(obj)
    status: Any = None
    if kind.has_status and not kind.strategy.keeps_status:
        status = obj.pop("status", None)
    _default(call, obj, None, applied=owned)
    if not owned:
        track_update(call, None, obj, options)
    name = "" if generated else obj["metadata"].get("name") or ""
    check_namespace_exists(call, obj)
    _run(kind.strategy.admit, call, obj, None)
    if call.reviewed:
        if status is not None:
            obj["status"] = status  # webhooks see what was sent
        obj = reviewing.mutate_new(call, obj, options, name)
        if kind.has_status and not kind.strategy.keeps_status:
            obj.pop("status", None)
        metadata.check_namespace(kind, obj, call.target.namespace)
        _run(kind.strategy.admit, call, obj, None)
    _prepare(call, obj, None)
    _check(call, obj, None, metadata.new_causes(kind, obj))
    _run(kind.strategy.verify, call, obj, None)
    judge(call, obj, None)
    escalation.check(call, obj, None)
    reviewing.validate(call, obj, None, options, name)
    charged = quotas.charge(call, obj, None)
    _check_free(call, obj, generated=generated)
    _warn(call, obj)
    if not options.dry_run:
        quotas.store(call, charged)
    return Written(_commit(call, obj, options), created=True)


def _warn(call: Call, obj: Json) -> None:
    resource = call.kind.resource
    if not call.kind.custom:
        for text in warnings.told(resource.group, resource.kind, obj):
            call.warn(text)


def _check_definition(call: Call, obj: Json) -> None:
    """Nothing is created of a kind that is going."""
    bucket = call.core.storage.bucket(CRDS.group_resource)
    stored = bucket.objects.get(call.kind.resource.group_resource)
    if stored is not None and stored.deleting:
        why = "create not allowed while custom resource definition is terminating"
        raise forbidden(call.kind.resource, obj["metadata"].get("name") or "", why)


def _default(call: Call, obj: Json, old: Json | None, *, applied: bool) -> None:
    schema = call.core.schema(call.kind)
    if schema is not None:
        call.core.schemas.default(schema, obj, keep_nulls=applied)
    _run(call.kind.strategy.defaults, call, obj, old)


def _prepare(call: Call, obj: Json, old: Json | None) -> None:
    """What only code can decide. Nobody owns it."""
    _run(call.kind.strategy.prepare, call, obj, old)


def _run(hooks: tuple[Hook, ...], call: Call, obj: Json, old: Json | None) -> None:
    core = call.core
    draft = Draft(
        obj=obj,
        old=old,
        storage=core.storage,
        random=core.random,
        warn=call.warn,
        demands_accounts=core.demands_accounts,
    )
    for hook in hooks:
        hook(draft)


def _check(call: Call, obj: Json, old: Json | None, causes: list[Cause]) -> None:
    schema = call.core.schema(call.kind)
    if schema is not None:
        validate = call.core.schemas.validate
        causes = [
            *causes,
            *(
                Cause(c.field, c.reason, c.message)
                for c in validate(schema, obj, old, call.target.subresource)
            ),
        ]
    causes = [*causes, *_scale_causes(call.kind, obj)]
    if causes:
        resource = call.kind.resource
        raise invalid(resource.group, resource.kind, obj["metadata"].get("name") or "", causes)


def _scale_causes(kind: Kind, obj: Json) -> list[Cause]:
    """What a definition calls replicas must be a count."""
    if not kind.custom or kind.scale is None:
        return []
    value: Any = obj
    for step in kind.scale.replicas.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if not isinstance(value, int) or value >= 0:
        return []
    where = f".{kind.scale.replicas}"
    return [invalid_value(where, str(value), "should be a non-negative integer")]


def check_namespace_exists(call: Call, obj: Json) -> None:
    """Nothing is created in a namespace that is absent or going."""
    if not call.kind.resource.namespaced:
        return
    name = obj["metadata"]["namespace"]
    found = call.core.storage.bucket("namespaces").get(ObjectKey("", name))
    if found is None:
        raise not_found(NAMESPACES, name)
    if found.deleting:
        why = f"unable to create new content in namespace {name} because it is being terminated"
        refused = forbidden(call.kind.resource, obj["metadata"].get("name") or "", why)
        if refused.details is not None:
            refused.details["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {name} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
        raise refused


def _check_free(call: Call, obj: Json, *, generated: bool) -> None:
    bucket = call.core.bucket(call.kind)
    meta = obj["metadata"]
    for _ in range(_NAME_TRIES):
        found = bucket.get(key_of(obj))
        if found is None:
            return
        if not generated:
            raise already_exists(call.kind.resource, meta["name"], deleting=found.deleting)
        meta["name"] = names.generate(meta["generateName"], call.core.random)
    raise already_exists(call.kind.resource, meta["name"])


def key_of(obj: Json) -> ObjectKey:
    meta = obj["metadata"]
    return ObjectKey(meta.get("namespace") or "", meta["name"])


def _commit(call: Call, obj: Json, options: WriteOptions) -> Json:
    """Store, unless it is a dry run; the answer is the object as it is then."""
    kind, refused = call.kind, None
    taken = forms.kept(call, obj)
    if kind.custom and kind.resource != kind.stored:
        try:
            obj = forms.reread(call, taken)
        except Refused as error:
            refused = error  # What was understood once is stored, as on a real server.
    if options.dry_run:
        if not obj["metadata"].get("resourceVersion"):
            obj["metadata"].pop("resourceVersion", None)
    else:
        stored = call.core.storage.write(call.core.bucket(kind), taken)
        obj["metadata"]["resourceVersion"] = str(stored.version)
        if kind.conversion is not None:
            obj = loaded(kind, stored.json())
    if refused is not None:
        raise refused
    return obj


def current(call: Call, key: ObjectKey) -> Stored:
    """What is stored, or 404."""
    stored = call.core.bucket(call.kind).get(key)
    if stored is None:
        raise not_found(call.kind.resource, key.name)
    return stored


def change(
    call: Call,
    options: WriteOptions,
    alter: Callable[[Json], Json],
    *,
    versioned: bool = False,
    prepared: bool = False,
    owned: bool = False,
) -> Written:
    """Replace what is stored by `alter(a copy of it)`: the one road of PUT and PATCH.

    `versioned`: the client must say which version it replaces. `prepared`: the server itself made
    the change, which may reach into status. `owned`: the object says itself who owns its fields.
    """
    stored = current(call, call.key)
    old = forms.shown(call, stored)
    new = alter(forms.shown(call, stored))
    kind = call.kind
    metadata.check_namespace(kind, new, call.target.namespace)
    metadata.unique_owners(new, call.warn, patched=call.target.verb == "patch")
    if not prepared:
        _default(call, new, old, applied=owned)
    if not owned:
        track_update(call, old, new, options)
    if not prepared:
        # Mutating webhooks see what was sent, also what cannot be changed in this way.
        new = reviewing.mutate(call, new, old, options)
        metadata.check_namespace(kind, new, call.target.namespace)
    _check_preconditions(kind, new, old, versioned=versioned)
    metadata.keep_old(new, old)
    if not prepared:
        isolate(kind, new, old, call.target.subresource)
        _prepare(call, new, old)
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    _check(call, new, old, metadata.update_causes(kind, new, old))
    charged = _judged(call, new, old, None if prepared else options)
    if not prepared and _count_generation(kind, new, old, call.target.subresource):
        _warn(call, new)
    _keep_times(new, old)
    if new == old and not forms.stale(call, stored):
        return Written(old)
    if not options.dry_run:
        quotas.store(call, charged)
    if _finished(kind, new):
        return Written(finish(call, new, options))
    return Written(_commit(call, new, options))


def _judged(call: Call, new: Json, old: Json, options: WriteOptions | None) -> list[Json]:
    """Everybody's last word on a change; returns the quotas that it uses up.

    `options`: of the request, unless the server itself made the change.
    """
    if options is not None and not call.target.subresource:
        _run(call.kind.strategy.verify, call, new, old)
    judge(call, new, old)
    escalation.check(call, new, old)
    if options is None:
        return []
    reviewing.validate(call, new, old, options)
    return quotas.charge(call, new, old)


def _keep_times(new: Json, old: Json) -> None:
    """A write that changes nothing does not even say that it was made."""
    meta, before = new["metadata"], old["metadata"]
    entries, known = meta.get("managedFields"), before.get("managedFields")
    if entries == known or not same_but_for_time(entries, known):
        return
    if {**new, "metadata": {**meta, "managedFields": known}} == old:
        meta["managedFields"] = known


def _check_preconditions(kind: Kind, new: Json, old: Json, *, versioned: bool) -> None:
    meta, before = new["metadata"], old["metadata"]
    version = meta.get("resourceVersion") or ""
    if not version and versioned and kind.custom:
        cause = Cause(
            "metadata.resourceVersion",
            "FieldValueInvalid",
            "Invalid value: 0: must be specified for an update",
        )
        raise invalid(kind.resource.group, kind.resource.plural, before["name"], [cause])
    uid = meta.get("uid") or ""
    if versioned and uid and uid != before["uid"]:
        path = "/".join(part for part in (before.get("namespace"), before["name"]) if part)
        group = f"{kind.resource.group}/" if kind.custom else ""
        why = (
            f"StorageError: invalid object, Code: 4, Key: /registry/{group}"
            f"{kind.resource.plural}/{path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
            f"failed: UID in precondition: {uid}, UID in object meta: {before['uid']}"
        )
        raise conflict(kind.resource, before["name"], why)
    if version and version != before["resourceVersion"]:
        raise conflict(kind.resource, before["name"], MODIFIED)


def isolate(kind: Kind, new: Json, old: Json, subresource: str) -> None:
    """A subresource changes only what is its own; the main resource never its status."""
    if subresource == "status":
        kept = {"kind", "apiVersion", "metadata", "status"}
        for field in [name for name in new if name not in kept]:
            del new[field]
        new.update({name: value for name, value in old.items() if name not in kept})
        for field in kind.strategy.status_keeps:
            new["metadata"].pop(field, None)
            if field in old["metadata"]:
                new["metadata"][field] = old["metadata"][field]
        if kind.custom:
            managed = new["metadata"].get("managedFields")
            new["metadata"] = {**old["metadata"]}
            if managed is not None:
                new["metadata"]["managedFields"] = managed
    elif kind.has_status and not subresource:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]


_NOT_COUNTED: Final = frozenset({"kind", "apiVersion", "metadata", "status"})


def _count_generation(kind: Kind, new: Json, old: Json, subresource: str) -> bool:
    """Generation grows when anything but metadata and status changed. Whether it did."""
    if not kind.strategy.generation:
        return False
    meta, before = new["metadata"], old["metadata"]
    told = kind.strategy.counts_annotations and not subresource and _told(meta) != _told(before)
    if told or _counted(new) != _counted(old):
        meta["generation"] = before.get("generation", 0) + 1
        return True
    return False


def _counted(obj: Json) -> Json:
    return {name: value for name, value in obj.items() if name not in _NOT_COUNTED}


def _told(meta: Json) -> Json:
    found: Json = meta.get("annotations") or {}
    return found


def _finished(kind: Kind, new: Json) -> bool:
    """Was this update the last thing that a deletion waited for?"""
    meta = new["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if kind.resource == NAMESPACES and (new.get("spec") or {}).get("finalizers"):
        return False
    return not meta.get("deletionGracePeriodSeconds")


def finish(call: Call, last: Json, options: WriteOptions) -> Json:
    """Remove the object from storage; watchers see its last state, at a version of its own."""
    if not options.dry_run:
        gone = forms.kept(call, {**last, "metadata": dict(last["metadata"])})
        call.core.storage.remove(call.core.bucket(call.kind), key_of(last), gone)
    return last


def replace(call: Call, options: WriteOptions) -> Written:
    """PUT: the body takes the place of what is stored, or is created where the kind allows it."""
    obj = bodies.decode(call, options)
    metadata.check_name(obj, call.target.name)
    creates = call.kind.strategy.creates_on_update and not call.target.subresource
    if creates and call.core.bucket(call.kind).get(call.key) is None:
        return create(call, obj, options)
    return change(call, options, lambda _: obj, versioned=True)
