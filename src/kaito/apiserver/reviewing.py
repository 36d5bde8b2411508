"""Where in a write webhooks are asked, and about what."""

from typing import Final

from kaito.apiserver import names
from kaito.apiserver.admission import SYSTEM, Subject, mutated, validated
from kaito.apiserver.core import Call
from kaito.apiserver.options import DeleteOptions, WriteOptions
from kaito.kube.objects import Json

_UNASKED: Final = frozenset({"scale"})
"""Subresources whose object is not the one that is stored."""


def mutate_new(call: Call, obj: Json, options: WriteOptions, name: str) -> Json:
    """A new object as mutating webhooks leave it. They are not shown what the server gave it, and
    may give it another name. `name`: the one that it was sent with."""
    meta = obj["metadata"]
    given = {name: meta[name] for name in SYSTEM if name in meta}
    hidden = set(given) if name else {*given, "name"}
    shown = {**obj, "metadata": {k: v for k, v in meta.items() if k not in hidden}}
    found = _mutated(call, shown, None, options, name)
    after = {k: v for k, v in found["metadata"].items() if k not in given}
    name = after.pop("name", "") or meta.get("name", "")
    if not name and after.get("generateName"):
        name = names.generate(after["generateName"], call.core.random)
    first = {k: after.pop(k) for k in ("generateName", "namespace") if k in after}
    return {**found, "metadata": {"name": name, **first, **given, **after}}


def mutate(call: Call, new: Json, old: Json, options: WriteOptions) -> Json:
    """A changed object as mutating webhooks leave it."""
    if not call.reviewed or call.target.subresource in _UNASKED:
        return new
    return _mutated(call, new, old, options, call.target.name)


def _mutated(call: Call, obj: Json, old: Json | None, options: WriteOptions, name: str) -> Json:
    found = mutated(subject_of(call, obj, old, options, name))
    return obj if found is None else found


def validate(
    call: Call, obj: Json, old: Json | None, options: WriteOptions, name: str = ""
) -> None:
    """Raises Refused when a webhook denies what is about to be committed."""
    if call.reviewed and call.target.subresource not in _UNASKED:
        hidden = {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if v != ""}}
        known = call.target.name or name or obj["metadata"].get("name") or ""
        validated(subject_of(call, hidden, old, options, known))


def delete(call: Call, obj: Json, options: DeleteOptions) -> None:
    """Raises Refused when a webhook denies the deletion of `obj`."""
    if not call.reviewed or call.target.subresource:
        return
    told: Json = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
    if options.grace_seconds is not None:
        told["gracePeriodSeconds"] = options.grace_seconds
    if options.uid:
        told["preconditions"] = {"uid": options.uid}
    if options.propagation:
        told["propagationPolicy"] = options.propagation
    if options.dry_run:
        told["dryRun"] = ["All"]
    # A whole collection has no name, and neither has what is asked about each of it.
    name = "" if call.target.verb == "deletecollection" else call.target.name
    subject = Subject(call=call, operation="DELETE", obj=None, old=obj, options=told, name=name)
    mutated(subject)
    validated(subject)


def subject_of(
    call: Call, obj: Json, old: Json | None, options: WriteOptions, name: str
) -> Subject:
    operation = "CREATE" if old is None else "UPDATE"
    told: Json = {"kind": f"{operation.title()}Options", "apiVersion": "meta.k8s.io/v1"}
    if options.dry_run:
        told["dryRun"] = ["All"]
    if call.request.param("fieldManager"):
        told["fieldManager"] = options.manager
    if call.request.param("fieldValidation"):
        told["fieldValidation"] = options.validation
    return Subject(call=call, operation=operation, obj=obj, old=old, options=told, name=name)
