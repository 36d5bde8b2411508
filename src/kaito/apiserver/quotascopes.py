"""Which pods a ResourceQuota with scopes counts."""

from collections.abc import Iterator

from kaito.apiserver.strategies import quality_of_service
from kaito.kube.objects import Json
from kaito.kube.resources import PODS


def in_scope(quota: Json, resource: str, obj: Json) -> bool:
    """Whether the quota is about this object. One with scopes is about pods alone."""
    for name, operator, values in _scopes(quota.get("spec") or {}):
        if resource != PODS.group_resource or not _holds(obj["spec"], name, operator, values):
            return False
    return True


def _scopes(spec: Json) -> Iterator[tuple[str, str, list[str]]]:
    for name in spec.get("scopes") or ():
        yield name, "Exists", []
    for one in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        yield one["scopeName"], one["operator"], one.get("values") or []


def _holds(spec: Json, name: str, operator: str, values: list[str]) -> bool:
    match name:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return quality_of_service(spec) == "BestEffort"
        case "NotBestEffort":
            return quality_of_service(spec) != "BestEffort"
        case "PriorityClass":
            return _named(spec.get("priorityClassName") or "", operator, values)
        case "CrossNamespacePodAffinity":
            return any(_crosses(term) for term in _terms(spec.get("affinity") or {}))
        case _:
            return False


def _named(name: str, operator: str, values: list[str]) -> bool:
    match operator:
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
        case "In":
            return name in values
        case _:
            return name not in values


def _terms(affinity: Json) -> Iterator[Json]:
    for side in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(side) or {}
        yield from rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted.get("podAffinityTerm") or {}


def _crosses(term: Json) -> bool:
    return bool(term.get("namespaces")) or term.get("namespaceSelector") is not None
