"""`config/policy`: warnings that the API server itself gives at `kubectl apply`.

A ValidatingAdmissionPolicy needs no webhook and works while the operator is away. It never refuses
anything (a placeholder is a mistake, not a danger); the operator says the same in the status.
"""

from datetime import date
from typing import Final

from kaito.api.resources import GROUP, WORKSPACES
from kaito.kube.objects import Json
from kaito.planning.skus import SKUS

NAME: Final = f"{WORKSPACES.plural}.{GROUP}"

_IMAGE: Final = "has(object.tuning) && has(object.tuning.output.image)"
_SECRET: Final = "has(object.tuning) && has(object.tuning.output.imagePushSecret)"  # noqa: S105 - CEL
_PUSH_SECRET: Final = "object.tuning.output.imagePushSecret"  # noqa: S105 - CEL
_SUBDOMAIN: Final = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


def documents() -> list[Json]:
    """The policy and its binding."""
    return [_policy(), _binding()]


def _policy() -> Json:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "failurePolicy": "Ignore",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": [WORKSPACES.plural],
                        "scope": "*",
                    }
                ]
            },
            "variables": [
                {"name": "image", "expression": f"{_IMAGE} ? object.tuning.output.image : ''"},
                {
                    "name": "secret",
                    "expression": f"{_SECRET} ? {_PUSH_SECRET} : ''",
                },
                {
                    "name": "repository",
                    "expression": "variables.image.split('@')[0].split(':')[0]",
                },
                {
                    "name": "size",
                    "expression": "has(object.resource) && has(object.resource.instanceType) ? "
                    "object.resource.instanceType.lowerAscii() : ''",
                },
            ],
            "validations": [_pushable(), _secret(), *_retired()],
        },
    }


def _pushable() -> Json:
    return {
        "expression": "variables.repository == variables.repository.lowerAscii()",
        "messageExpression": "'tuning.output.image: \"' + variables.image + '\" looks like a "
        "placeholder: a repository has no upper-case letters, so nothing can be pushed there; "
        "write your own, such as myregistry.azurecr.io/my-adapter:0.0.1'",
    }


def _secret() -> Json:
    return {
        "expression": f"variables.secret == '' || variables.secret.matches('{_SUBDOMAIN}')",
        "messageExpression": "'tuning.output.imagePushSecret: \"' + variables.secret + '\" looks "
        "like a placeholder: no Secret can have this name; write the name of a Secret of type "
        "kubernetes.io/dockerconfigjson'",
    }


def _retired() -> list[Json]:
    """One rule a day of retirement: the sizes that Azure stopped on it, and what to use."""
    days: dict[date, dict[str, str]] = {}
    for sku in SKUS:
        if sku.cloud == "azure" and sku.retired is not None:
            days.setdefault(sku.retired, {})[sku.name.lower()] = sku.successor
    return [_retired_on(day, successors) for day, successors in sorted(days.items())]


def _retired_on(day: date, successors: dict[str, str]) -> Json:
    table = ", ".join(f"'{name}': '{successor}'" for name, successor in sorted(successors.items()))
    return {
        "expression": f"!(variables.size in {{{table}}})",
        "messageExpression": "'resource.instanceType: Azure retired ' + "
        f"object.resource.instanceType + ' on {day.isoformat()}; use ' + "
        f"{{{table}}}[variables.size]",
    }


def _binding() -> Json:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": NAME},
        "spec": {"policyName": NAME, "validationActions": ["Warn"]},
    }
