"""The parameters of admission policies: objects that a policy's `paramKind` and a binding's
`paramRef` name, which its expressions see as `params`."""

from dataclasses import replace
from typing import Final, final

from kaito.apiserver import forms
from kaito.apiserver.admission import Subject
from kaito.apiserver.kinds import Kind
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.selectors import LabelSelector

_POLICY: Final = "failed to configure policy: "
_BINDING: Final = "failed to configure binding: "


@final
class Misconfigured(Exception):
    """Parameters cannot be found as policy and binding say."""

    def __init__(self, why: str, *, policy: bool = False) -> None:
        super().__init__(f"{_POLICY if policy else _BINDING}{why}")
        self.policy = policy
        """It is the policy that is wrong, whatever the binding."""


def parameters(subject: Subject, policy: Json, binding: Json) -> list[Json | None]:
    """Every object that the policy is to be judged with; None: it is judged without.

    Raises Misconfigured.
    """
    wanted, reference = policy.get("paramKind"), binding.get("paramRef")
    if not wanted:
        return [None]
    kind = _kind(subject, wanted)
    if not reference:
        return [None]
    found = _found(subject, kind, reference)
    if not found and reference.get("parameterNotFoundAction") != "Allow":
        raise Misconfigured(
            "no params found for policy binding with `Deny` parameterNotFoundAction"
        )
    return list(found)


def _kind(subject: Subject, wanted: Json) -> Kind:
    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = subject.call.core.kinds.of_kind(group, version, wanted["kind"])
    if kind is None:
        told = f"'{wanted['apiVersion']}, Kind={wanted['kind']}'"
        why = f"failed to find resource referenced by paramKind: {told}"
        raise Misconfigured(why, policy=True)
    return kind


def _found(subject: Subject, kind: Kind, reference: Json) -> list[Json]:
    call = replace(subject.call, kind=kind)
    bucket = call.core.bucket(kind)
    namespace = _namespace(subject, kind, reference)
    if reference.get("name"):
        stored = bucket.get(ObjectKey(namespace, reference["name"]))
        return [] if stored is None else [forms.shown(call, stored)]
    selector = LabelSelector.of(reference.get("selector"))
    objects = [forms.shown(call, stored) for stored in list(bucket.scan(namespace))]
    return [one for one in objects if selector.matches(one["metadata"].get("labels") or {})]


def _namespace(subject: Subject, kind: Kind, reference: Json) -> str:
    """Where parameters are looked for: without a namespace, in that of the object judged."""
    named = reference.get("namespace") or ""
    if not kind.resource.namespaced:
        if named:
            raise Misconfigured(
                "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
            )
        return ""
    namespace = str(named or subject.call.target.namespace)
    if not namespace:
        raise Misconfigured(
            "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
        )
    return namespace
