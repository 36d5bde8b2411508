"""Kinds that are questions: created, answered, never stored."""

from collections.abc import Callable
from typing import Final

from kaito.apiserver.authz import MASTERS, Rbac, Rule
from kaito.apiserver.core import Call, User
from kaito.apiserver.routing import Target
from kaito.apiserver.status import bad_request, invalid, invalid_value
from kaito.apiserver.tokens import ISSUER, Tokens
from kaito.kube.objects import Json
from kaito.kube.resources import SELFSUBJECTREVIEWS

Answer = Callable[[Call, Json, Rbac, Tokens], Json]


def answer(call: Call, question: Json, rbac: Rbac, tokens: Tokens) -> Json:
    """The question with its `status`."""
    status = _ANSWERS[call.kind.resource.plural](call, question, rbac, tokens)
    metadata = dict(question.get("metadata") or {})
    if call.kind.resource == SELFSUBJECTREVIEWS:
        metadata["creationTimestamp"] = call.core.now()
    return {**question, "metadata": metadata, "status": status}


def _target(spec: Json) -> Target:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = invalid_value("spec.resourceAttributes", "null", why)
        raise invalid("authorization.k8s.io", "", "", [cause])
    if path is not None:
        return Target(verb=path.get("verb", ""), path=path.get("path", ""))
    given = resource or {}
    return Target(
        verb=given.get("verb", ""),
        path="",
        is_resource=True,
        group=given.get("group", ""),
        version=given.get("version", ""),
        namespace=given.get("namespace", ""),
        plural=given.get("resource", ""),
        name=given.get("name", ""),
        subresource=given.get("subresource", ""),
    )


def _decision(rbac: Rbac, user: User, target: Target) -> Json:
    if MASTERS in user.groups:
        return {"allowed": True}
    reason = rbac.reason(user, target)
    return {"allowed": False} if reason is None else {"allowed": True, "reason": reason}


def _self_access(call: Call, question: Json, rbac: Rbac, _: Tokens) -> Json:
    target = _target(question.get("spec") or {})
    return _decision(rbac, call.user, target)


def _access(call: Call, question: Json, rbac: Rbac, _: Tokens) -> Json:
    spec = question.get("spec") or {}
    user = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
    target = _target(spec)
    if call.target.namespace and target.namespace != call.target.namespace:
        raise bad_request("spec.resourceAttributes.namespace: must match the namespace of the path")
    return _decision(rbac, user, target)


def _self_rules(call: Call, question: Json, rbac: Rbac, _: Tokens) -> Json:
    namespace = (question.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    rules = [rule for rule, _why in rbac.grants(call.user, namespace).rules]
    return {
        "resourceRules": [_resource_rule(rule) for rule in rules if rule.resources],
        "nonResourceRules": [
            {"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}
            for rule in rules
            if rule.non_resource_urls
        ],
        "incomplete": False,
    }


def _resource_rule(rule: Rule) -> Json:
    shown: Json = {
        "verbs": rule.verbs,
        "apiGroups": rule.api_groups,
        "resources": rule.resources,
    }
    if rule.resource_names:
        shown["resourceNames"] = rule.resource_names
    return shown


def _user_info(user: User) -> Json:
    info: Json = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra}
    return info


def _self_subject(call: Call, _question: Json, _rbac: Rbac, _: Tokens) -> Json:
    return {"userInfo": _user_info(call.user)}


def _token(_call: Call, question: Json, _rbac: Rbac, tokens: Tokens) -> Json:
    user = tokens.user((question.get("spec") or {}).get("token", ""))
    if user is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user_info(user), "audiences": [ISSUER]}


_ANSWERS: Final[dict[str, Answer]] = {
    "selfsubjectaccessreviews": _self_access,
    "subjectaccessreviews": _access,
    "localsubjectaccessreviews": _access,
    "selfsubjectrulesreviews": _self_rules,
    "selfsubjectreviews": _self_subject,
    "tokenreviews": _token,
}
QUESTIONS: Final = frozenset(_ANSWERS)
_NOT_YET: Final[Json] = {"allowed": False}
UNANSWERED: Final[dict[str, Json]] = {
    "selfsubjectaccessreviews": _NOT_YET,
    "subjectaccessreviews": _NOT_YET,
    "localsubjectaccessreviews": _NOT_YET,
    "selfsubjectrulesreviews": {
        "resourceRules": None,
        "nonResourceRules": None,
        "incomplete": False,
    },
    "selfsubjectreviews": {"userInfo": {}},
    "tokenreviews": {"user": {}},
}
"""Their `status` while nobody has answered, as Go prints it."""
