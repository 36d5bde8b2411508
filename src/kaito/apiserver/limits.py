"""Admission by LimitRange: what containers get that ask for nothing, and what is too much."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kaito.apiserver.amounts import Amounts, containers, of_pod
from kaito.apiserver.kinds import Draft
from kaito.apiserver.status import forbidden
from kaito.kube.objects import Json, Resource
from kaito.kube.quantity import parse
from kaito.kube.resources import LIMITRANGES, PODS, PVCS

_ANNOTATION: Final = "kubernetes.io/limit-ranger"


def _ranges(draft: Draft) -> Iterator[Json]:
    """The items of each range of the namespace, in the order of the names of the ranges."""
    bucket = draft.storage.bucket(LIMITRANGES.group_resource)
    if len(bucket):
        for stored in tuple(bucket.scan(draft.obj["metadata"]["namespace"])):
            yield stored.json()["spec"]


# ---- defaults


def admit_pod(draft: Draft) -> None:
    """Give a new pod's containers the requests and limits that they lack."""
    if draft.old is not None:
        return
    for spec in _ranges(draft):
        items = [item for item in spec.get("limits") or () if item["type"] == "Container"]
        limits = _merged(items, "default")
        requests = _merged(items, "defaultRequest")
        told = list(_filled(draft.obj["spec"], requests, limits))
        if told:
            annotations = draft.obj["metadata"].setdefault("annotations", {})
            annotations[_ANNOTATION] = f"LimitRanger plugin set: {'; '.join(told)}"


def _merged(items: list[Json], field: str) -> Amounts:
    return {name: text for item in items for name, text in (item.get(field) or {}).items()}


def _filled(spec: Json, requests: Amounts, limits: Amounts) -> Iterator[str]:
    """Fills in what is missing and says what it was."""
    for words, field in (("container", "containers"), ("init container", "initContainers")):
        for container in spec.get(field) or ():
            for side, defaults in (("request", requests), ("limit", limits)):
                resources = container.setdefault("resources", {})
                has = resources.get(f"{side}s") or {}
                lacks = {name: text for name, text in defaults.items() if name not in has}
                if lacks:
                    resources[f"{side}s"] = {**has, **lacks}
                    yield f"{', '.join(sorted(lacks))} {side} for {words} {container['name']}"


# ---- bounds


def check_pod(draft: Draft) -> None:
    """Raises Refused when a new pod, or a container of it, asks for too much or too little."""
    if draft.old is None:
        _check(draft, PODS, _of_pod)


def check_claim(draft: Draft) -> None:
    """Raises Refused when a claim asks for too much or too little storage."""
    _check(draft, PVCS, _of_claim)


def _check(draft: Draft, resource: Resource, wrong: Callable[[Json, Json], Iterator[str]]) -> None:
    for spec in _ranges(draft):
        problems = list(
            dict.fromkeys(
                problem
                for item in spec.get("limits") or ()
                for problem in wrong(item, draft.obj["spec"])
            )
        )
        if problems:
            why = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise forbidden(resource, draft.obj["metadata"].get("name") or "", why)


def _of_pod(item: Json, spec: Json) -> Iterator[str]:
    if item["type"] == "Pod":
        yield from _bounds(item, of_pod(spec, "requests"), of_pod(spec, "limits"))
    if item["type"] != "Container":
        return
    for container in containers(spec):
        resources = container.get("resources") or {}
        yield from _bounds(item, resources.get("requests") or {}, resources.get("limits") or {})


def _of_claim(item: Json, spec: Json) -> Iterator[str]:
    if item["type"] != "PersistentVolumeClaim":
        return
    requests = (spec.get("resources") or {}).get("requests") or {}
    for name, bound in _sorted(item, "min"):
        yield from _least(item, name, bound, requests, {})
    for name, bound in _sorted(item, "max"):
        head = f"maximum {name} usage per {item['type']} is {bound}"
        if name not in requests:
            yield f"{head}.  No request is specified"
        elif parse(requests[name]) > parse(bound):
            yield f"{head}, but request is {requests[name]}"


def _sorted(item: Json, field: str) -> list[tuple[str, str]]:
    found: Mapping[str, str] = item.get(field) or {}
    return sorted(found.items())


def _bounds(item: Json, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, bound in _sorted(item, "min"):
        yield from _least(item, name, bound, requests, limits)
    for name, bound in _sorted(item, "max"):
        yield from _most(item, name, bound, requests, limits)
    for name, bound in _sorted(item, "maxLimitRequestRatio"):
        yield from _ratio(item, name, bound, requests, limits)


def _least(item: Json, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"minimum {name} usage per {item['type']} is {bound}"
    if name not in requests:
        yield f"{head}.  No request is specified"
    elif parse(requests[name]) < parse(bound):
        yield f"{head}, but request is {requests[name]}"
    elif name in limits and parse(limits[name]) < parse(bound):
        yield f"{head}, but limit is {limits[name]}"


def _most(item: Json, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"maximum {name} usage per {item['type']} is {bound}"
    if name not in limits:
        yield f"{head}.  No limit is specified"
    elif parse(limits[name]) > parse(bound):
        yield f"{head}, but limit is {limits[name]}"
    elif name in requests and parse(requests[name]) > parse(bound):
        yield f"{head}, but request is {requests[name]}"


def _ratio(item: Json, name: str, bound: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    head = f"{name} max limit to request ratio per {item['type']} is {bound}, but"
    if not parse(requests.get(name, "0")):
        yield f"{head} no request is specified or request is 0"
    elif not parse(limits.get(name, "0")):
        yield f"{head} no limit is specified or limit is 0"
    else:
        ratio = parse(limits[name]) / parse(requests[name])
        if ratio > parse(bound):
            yield f"{head} provided ratio is {float(ratio):f}"
