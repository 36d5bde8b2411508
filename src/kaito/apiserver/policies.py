"""ValidatingAdmissionPolicy: rules that a cluster's owner writes in CEL, judged on every write.

Served: create and update of whole objects; `variables`, `matchConditions`, `validations` with
`message` and `messageExpression`; the actions Deny and Warn. Not served: parameters, and selectors
of namespaces and objects; a policy that has one is refused when it is written.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from kaito.apiserver.core import Call
from kaito.apiserver.kinds import Draft
from kaito.apiserver.status import Refused, forbidden, not_implemented
from kaito.kube.objects import Json, ObjectKey

POLICIES: Final = "validatingadmissionpolicies.admissionregistration.k8s.io"
BINDINGS: Final = "validatingadmissionpolicybindings.admissionregistration.k8s.io"

_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}
"""Code by `validations[].reason`; anything else is Invalid, 422."""


_UNSERVED: Final = ("namespaceSelector", "objectSelector", "excludeResourceRules")


def refuse_unserved(draft: Draft) -> None:
    """A policy or binding that asks for what is not served would silently not apply."""
    spec = draft.obj.get("spec") or {}
    constraints = {**(spec.get("matchConstraints") or {}), **(spec.get("matchResources") or {})}
    found = [name for name in ("paramKind", "paramRef") if spec.get(name)]
    found += [name for name in _UNSERVED if constraints.get(name)]
    if found:
        raise not_implemented(f"{', '.join(found)} of admission policies")


def judge(call: Call, obj: Json, old: Json | None) -> None:
    """Apply every bound policy. Raises Refused when one denies; warns as the bindings say."""
    bindings = call.core.storage.bucket(BINDINGS)
    if call.target.subresource or not len(bindings):
        return
    for stored in list(bindings.scan()):
        binding = stored.json()
        policy = _policy(call, binding)
        if policy is None or not _matches(call, policy["spec"], old):
            continue
        actions = binding["spec"].get("validationActions") or ()
        for message, reason in _failures(call, policy["spec"], obj, old):
            _act(call, policy, binding, actions, message, reason)


def _policy(call: Call, binding: Json) -> Json | None:
    key = ObjectKey("", binding["spec"]["policyName"])
    stored = call.core.storage.bucket(POLICIES).get(key)
    return None if stored is None else stored.json()


def _matches(call: Call, spec: Json, old: Json | None) -> bool:
    operation = "CREATE" if old is None else "UPDATE"
    resource = call.kind.resource
    wanted = {
        "apiGroups": resource.group,
        "apiVersions": resource.version,
        "resources": resource.plural,
        "operations": operation,
    }
    rules = (spec.get("matchConstraints") or {}).get("resourceRules") or ()
    return any(
        all({"*", value} & set(rule.get(name, ())) for name, value in wanted.items())
        for rule in rules
    )


def _failures(call: Call, spec: Json, obj: Json, old: Json | None) -> Iterator[tuple[str, str]]:
    """Message and reason of each validation that does not hold."""
    from kaito.kube.schema.expressions import ExpressionError, Expressions

    expressions = Expressions(_names(call, obj, old), spec.get("variables") or ())
    evaluate = expressions.evaluate
    try:
        if not all(evaluate(c["expression"]) for c in spec.get("matchConditions") or ()):
            return
        for validation in spec.get("validations") or ():
            if not evaluate(validation["expression"]):
                yield _message(validation, evaluate), validation.get("reason") or "Invalid"
    except ExpressionError as error:
        if spec.get("failurePolicy", "Fail") == "Fail":
            yield str(error), "Invalid"


def _names(call: Call, obj: Json, old: Json | None) -> Json:
    metadata = obj["metadata"]
    request = {
        "operation": "CREATE" if old is None else "UPDATE",
        "name": metadata.get("name", ""),
        "namespace": metadata.get("namespace", ""),
        "userInfo": {"username": call.user.name, "groups": list(call.user.groups)},
    }
    return {"object": obj, "oldObject": old, "request": request}


def _message(validation: Json, evaluate: Callable[[str], Any]) -> str:
    expression = validation.get("messageExpression")
    if expression:
        return str(evaluate(expression)).strip()
    return str(validation.get("message") or f"failed expression: {validation['expression']}")


def _act(
    call: Call, policy: Json, binding: Json, actions: Collection[str], message: str, reason: str
) -> None:
    name, bound = policy["metadata"]["name"], binding["metadata"]["name"]
    where = f"ValidatingAdmissionPolicy '{name}' with binding '{bound}'"
    if "Warn" in actions:
        call.warn(f"Validation failed for {where}: {message}")
    if "Deny" in actions:
        why = f"{where} denied request: {message}"
        told = forbidden(call.kind.resource, call.target.name, why)
        code = _CODES.get(reason, 422)
        raise Refused(code, reason, told.message, details=told.details)
