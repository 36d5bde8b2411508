"""ValidatingAdmissionPolicy: rules that a cluster's owner writes in CEL, judged on every write.

Served: writes and deletions of whole objects; `variables`, `matchConditions`, `validations` with
`message` and `messageExpression`; what policies and bindings match by rule, name, namespace and
label; parameters (see `policyparams`); the actions Deny and Warn.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from kaito.apiserver.admission import Subject, constrained
from kaito.apiserver.core import Call
from kaito.apiserver.kinds import Draft
from kaito.apiserver.policyparams import Misconfigured, parameters
from kaito.apiserver.status import Refused, forbidden
from kaito.kube.objects import Json, ObjectKey

POLICIES: Final = "validatingadmissionpolicies.admissionregistration.k8s.io"
BINDINGS: Final = "validatingadmissionpolicybindings.admissionregistration.k8s.io"

_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}
"""Code by `validations[].reason`; anything else is Invalid, 422."""


def fill(draft: Draft) -> None:
    """The defaults of a policy, or of a binding."""
    spec = draft.obj.get("spec")
    if not isinstance(spec, dict):
        return
    if "policyName" not in spec:
        spec.setdefault("failurePolicy", "Fail")
    for name in ("matchConstraints", "matchResources"):
        constraints = spec.get(name)
        if not isinstance(constraints, dict):
            continue
        constraints.setdefault("matchPolicy", "Equivalent")
        constraints.setdefault("namespaceSelector", {})
        constraints.setdefault("objectSelector", {})
        for part in ("resourceRules", "excludeResourceRules"):
            for rule in constraints.get(part) or ():
                rule.setdefault("scope", "*")


def judge(call: Call, obj: Json | None, old: Json | None) -> None:
    """Apply every bound policy to a write; to a deletion where there is no `obj`.

    Raises Refused when one denies; warns as the bindings say.
    """
    bindings = call.core.storage.bucket(BINDINGS)
    if call.target.subresource or not len(bindings):
        return
    subject = _subject(call, obj, old)
    for stored in list(bindings.scan()):
        binding = stored.json()
        policy = _policy(call, binding)
        if policy is None or not _matches(subject, policy["spec"], binding["spec"]):
            continue
        _judge(subject, policy, binding)


def _judge(subject: Subject, policy: Json, binding: Json) -> None:
    actions = binding["spec"].get("validationActions") or ()
    try:
        found = parameters(subject, policy["spec"], binding["spec"])
    except Misconfigured as error:
        if policy["spec"].get("failurePolicy", "Fail") == "Fail":
            bound = None if error.policy else binding
            _act(subject, _where(policy, bound), ("Deny",), str(error), "Invalid")
        return
    for params in found:
        for message, reason in _failures(subject, policy["spec"], params):
            _act(subject, _where(policy, binding), actions, message, reason)


def _subject(call: Call, obj: Json | None, old: Json | None) -> Subject:
    operation = "DELETE" if obj is None else "CREATE" if old is None else "UPDATE"
    metadata = (obj or old or {}).get("metadata") or {}
    name = call.target.name or metadata.get("name") or ""
    return Subject(call=call, operation=operation, obj=obj, old=old, options={}, name=name)


def _policy(call: Call, binding: Json) -> Json | None:
    key = ObjectKey("", binding["spec"]["policyName"])
    stored = call.core.storage.bucket(POLICIES).get(key)
    return None if stored is None else stored.json()


def _matches(subject: Subject, spec: Json, binding: Json) -> bool:
    return constrained(subject, spec.get("matchConstraints") or {}) and constrained(
        subject, binding.get("matchResources") or {}
    )


def _failures(subject: Subject, spec: Json, params: Json | None) -> Iterator[tuple[str, str]]:
    """Message and reason of each validation that does not hold."""
    from kaito.kube.schema.expressions import ExpressionError, Expressions

    names = {**_names(subject), "params": params}
    expressions = Expressions(names, spec.get("variables") or ())
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


def _names(subject: Subject) -> Json:
    user = subject.call.user
    request = {
        "operation": subject.operation,
        "name": subject.name,
        "namespace": subject.call.target.namespace,
        "userInfo": {"username": user.name, "groups": list(user.groups)},
    }
    namespace = subject.call.core.storage.bucket("namespaces").get(
        ObjectKey("", subject.call.target.namespace)
    )
    return {
        "object": subject.obj,
        "oldObject": subject.old,
        "request": request,
        "namespaceObject": None if namespace is None else namespace.json(),
    }


def _message(validation: Json, evaluate: Callable[[str], Any]) -> str:
    expression = validation.get("messageExpression")
    if expression:
        return str(evaluate(expression)).strip()
    return str(validation.get("message") or f"failed expression: {validation['expression']}")


def _where(policy: Json, binding: Json | None) -> str:
    name = policy["metadata"]["name"]
    bound = "" if binding is None else f" with binding '{binding['metadata']['name']}'"
    return f"ValidatingAdmissionPolicy '{name}'{bound}"


def _act(subject: Subject, where: str, actions: Collection[str], message: str, reason: str) -> None:
    if "Warn" in actions:
        subject.call.warn(f"Validation failed for {where}: {message}")
    if "Deny" in actions:
        why = f"{where} denied request: {message}"
        told = forbidden(subject.call.kind.resource, subject.name, why)
        code = _CODES.get(reason, 422)
        raise Refused(
            code,
            reason,
            told.message,
            details={**(told.details or {}), "causes": [{"message": why}]},
        )
