"""The parts of objects that have verbs of their own: scale, binding, eviction, token, finalize."""

from collections.abc import Callable
from typing import Any, Final

from kaito.apiserver import bodies, deleting, forms, partreviews, patching, writing
from kaito.apiserver.core import Call, loaded
from kaito.apiserver.kinds import ScalePaths
from kaito.apiserver.options import DeleteOptions, WriteOptions, typed_body, write_options
from kaito.apiserver.scaleowners import VERSION, apply_scale, disown_zero
from kaito.apiserver.status import (
    Refused,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    no_such_resource,
)
from kaito.apiserver.tokens import DEFAULT_SECONDS, MIN_SECONDS, Tokens
from kaito.kube.objects import Json
from kaito.kube.selectors import LabelSelector

_CREATED: Final[Json] = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Success",
    "code": 201,
}


def dig(obj: Any, path: str) -> Any:
    """What stands at a dotted path, or None."""
    for step in path.strip(".").split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(step)
    return obj


def _put(obj: Json, path: str, value: Any) -> None:
    *steps, last = path.strip(".").split(".")
    for step in steps:
        below = obj.setdefault(step, {})
        if not isinstance(below, dict):
            raise Refused(500, "InternalError", f"value of {step} is not a map")
        obj = below
    obj[last] = value


def scale_of(paths: ScalePaths, obj: Json) -> Json:
    """The `Scale` of an object."""
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Json = {"replicas": dig(obj, paths.status_replicas) or 0}
    if selector := _selector_text(dig(obj, paths.selector) if paths.selector else None):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": replicas} if (replicas := dig(obj, paths.replicas)) else {},
        "status": status,
    }


def _selector_text(selector: Any) -> str:
    if isinstance(selector, dict):
        return str(LabelSelector.of(selector))
    return selector if isinstance(selector, str) else ""


def scale(call: Call) -> Json:
    """GET, PUT and PATCH of `scale`."""
    paths = call.kind.scale
    if paths is None:
        raise no_such_resource()
    if call.target.verb == "get":
        return scale_of(paths, forms.shown(call, writing.current(call, call.key), fresh=True))
    options = write_options(call)
    applied = patching.is_apply(call)

    def alter(live: Json) -> Json:
        return _scaled(call, paths, live, options)

    return scale_of(paths, writing.change(call, options, alter, owned=applied).obj)


def _scaled(call: Call, paths: ScalePaths, live: Json, options: WriteOptions) -> Json:
    current = scale_of(paths, live)
    if patching.is_apply(call):
        config = patching.configuration(call, "Scale", VERSION)
        asked = apply_scale(call, live, current, config, paths.replicas, options)
    elif call.target.verb == "patch":
        asked = patching.patched(call, current)
    else:
        asked = typed_body(call, "autoscaling", "Scale")
        asked["status"] = {"replicas": 0, **(asked.get("status") or {})}
        asked["metadata"] = {**(asked.get("metadata") or {}), "namespace": call.target.namespace}
    asked = partreviews.mutate(call, partreviews.SCALE, asked, options, current)
    replicas = dig(asked, "spec.replicas") or 0
    if not call.kind.custom and (not isinstance(replicas, int) or replicas < 0):
        why = "must be greater than or equal to 0"
        cause = invalid_value("spec.replicas", str(replicas), why)
        raise invalid("autoscaling", "Scale", call.target.name, [cause])
    version = dig(asked, "metadata.resourceVersion")
    if version:
        live["metadata"]["resourceVersion"] = version
    _put(live, paths.replicas, replicas)
    if not replicas:
        disown_zero(live, paths.replicas)
    told = scale_of(paths, live)
    told["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
    partreviews.validate(call, partreviews.SCALE, told, options, current)
    return live


def bind(call: Call) -> Json:
    """POST of `binding`: the scheduler's decision, taken once."""
    binding = typed_body(call, "", "Binding")
    if dig(binding, "metadata.name") != call.target.name:
        raise bad_request("name in URL does not match name in Binding object")
    options = write_options(call)
    binding["metadata"]["namespace"] = call.target.namespace
    binding = partreviews.mutate(call, partreviews.BINDING, binding, options)
    node = dig(binding, "target.name") or ""
    if not node:
        raise Refused(500, "", "target.name: Required value")
    partreviews.validate(call, partreviews.BINDING, binding, options)
    annotations = dig(binding, "metadata.annotations") or {}

    def alter(live: Json) -> Json:
        return _bound(call, live, node, annotations)

    writing.change(call, options, alter, prepared=True)
    return _CREATED


def _bound(call: Call, pod: Json, node: str, annotations: Json) -> Json:
    name, taken = pod["metadata"]["name"], dig(pod, "spec.nodeName")
    resource = call.kind.resource
    if pod["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise conflict(resource, name, why, group_resource="pods/binding")
    if dig(pod, "spec.schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
        raise conflict(resource, name, why, group_resource="pods/binding")
    if taken:
        why = f'pod {name} is already assigned to node "{taken}"'
        raise conflict(resource, name, why, group_resource="pods/binding")
    pod["spec"]["nodeName"] = node
    if annotations:
        pod["metadata"].setdefault("annotations", {}).update(annotations)
    status = pod.setdefault("status", {})
    others = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": call.core.now(),
    }
    status["conditions"] = [*others, scheduled]
    return pod


def evict(call: Call) -> Json:
    """POST of `eviction`: a delete that disruption budgets may refuse."""
    eviction, sent = typed_body(call, "policy", "Eviction"), write_options(call)
    eviction["metadata"] = {**(eviction.get("metadata") or {}), "namespace": call.target.namespace}
    eviction = partreviews.mutate(call, partreviews.EVICTION, eviction, sent)
    partreviews.validate(call, partreviews.EVICTION, eviction, sent)
    stored = writing.current(call, call.key)
    pod = loaded(call.kind, stored.json())
    if not _is_over(pod):
        _ask_budgets(call, pod)
    given = eviction.get("deleteOptions") or {}
    preconditions = given.get("preconditions") or {}
    options = DeleteOptions(
        dry_run=bool(given.get("dryRun")) or sent.dry_run,
        grace_seconds=given.get("gracePeriodSeconds"),
        propagation=given.get("propagationPolicy") or "",
        uid=preconditions.get("uid") or "",
        version=preconditions.get("resourceVersion") or "",
    )
    deleting.remove(call, stored, options)
    return _CREATED


def _is_over(pod: Json) -> bool:
    return dig(pod, "status.phase") in ("Succeeded", "Failed", "Pending") or bool(
        pod["metadata"].get("deletionTimestamp")
    )


def _ask_budgets(call: Call, pod: Json) -> None:
    bucket = call.core.storage.bucket("poddisruptionbudgets.policy")
    labels = pod["metadata"].get("labels") or {}
    for stored in tuple(bucket.scan(call.key.namespace)):
        budget = stored.json()
        if not LabelSelector.of(dig(budget, "spec.selector")).matches(labels):
            continue
        status = budget.setdefault("status", {})
        if not _is_ready(pod) and _tolerates_unready(budget):
            continue
        if (status.get("disruptionsAllowed") or 0) < 1:
            raise _over_budget(stored.key.name, status)
        status["disruptionsAllowed"] -= 1
        status.setdefault("disruptedPods", {})[call.target.name] = call.core.now()
        call.core.storage.write(bucket, budget)


def _is_ready(pod: Json) -> bool:
    conditions = dig(pod, "status.conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _tolerates_unready(budget: Json) -> bool:
    """Pods that are not ready may go where the budget is met without them, or always."""
    if dig(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    desired = dig(budget, "status.desiredHealthy") or 0
    return 0 < desired <= (dig(budget, "status.currentHealthy") or 0)


def _over_budget(name: str, status: Json) -> Refused:
    told = (
        f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods "
        f"and has {status.get('currentHealthy', 0)} currently"
    )
    details = {"causes": [{"reason": "DisruptionBudget", "message": told}]}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return Refused(429, "TooManyRequests", message, details=details)


def token(call: Call, tokens: Tokens) -> Json:
    """POST of `serviceaccounts/token`: a `TokenRequest` with its answer."""
    account = writing.current(call, call.key)
    request = _reviewed_token(call, typed_body(call, "authentication.k8s.io", "TokenRequest"))
    spec = {k: v for k, v in (request.get("spec") or {}).items() if v is not None}
    seconds = spec.get("expirationSeconds") or DEFAULT_SECONDS
    if seconds < MIN_SECONDS:
        why = "may not specify a duration less than 10 minutes"
        cause = invalid_value("spec.expirationSeconds", str(seconds), why)
        raise invalid("authentication.k8s.io", "TokenRequest", "", [cause])
    audiences = spec.get("audiences") or []
    text, end = tokens.issue(account.key, account.uid, seconds, audiences)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": account.key.name,
            "namespace": account.key.namespace,
            "creationTimestamp": call.core.now(),
        },
        "spec": {**spec, "expirationSeconds": seconds},
        "status": {"token": text, "expirationTimestamp": end},
    }


def _reviewed_token(call: Call, request: Json) -> Json:
    """As webhooks leave it. What is empty is shown as Go prints it."""
    namespace, options = {"namespace": call.target.namespace}, write_options(call)
    nothing = {"audiences": None, "boundObjectRef": None}
    request["spec"] = {**nothing, **(request.get("spec") or {})}
    request["metadata"] = {**(request.get("metadata") or {}), **namespace}
    request["status"] = {"expirationTimestamp": None, "token": ""}
    request = partreviews.mutate(call, partreviews.TOKEN, request, options)
    partreviews.validate(call, partreviews.TOKEN, request, options)
    return request


def finalize(call: Call) -> Json:
    """PUT of `namespaces/finalize`: takes finalizers off the spec, and so may end the namespace."""
    options = write_options(call)
    asked = bodies.decode(call, options)
    finalizers = dig(asked, "spec.finalizers") or []

    def alter(live: Json) -> Json:
        if version := dig(asked, "metadata.resourceVersion"):
            live["metadata"]["resourceVersion"] = version
        live["spec"] = {"finalizers": finalizers} if finalizers else {}
        return live

    return writing.change(call, options, alter, prepared=True).obj


def not_here(call: Call) -> Refused:
    """exec, attach and port-forward: what there is instead."""
    where = f"-n {call.key.namespace} {call.target.name}"
    match call.target.subresource:
        case "portforward":
            instead = (
                "use the proxy: kubectl get --raw "
                "/api/v1/namespaces/NAMESPACE/services/NAME:PORT/proxy/PATH"
            )
        case _:
            instead = f"pods here run no processes; read what they wrote: kubectl logs {where}"
    message = f"{call.target.subresource} is not implemented by the embedded API server; {instead}"
    return Refused(501, "NotImplemented", message, details={})


WITH_BODY: Final[dict[str, tuple[str, Callable[[Call], Json]]]] = {
    # path: (verb, what answers it)
    "pods/binding": ("create", bind),
    "pods/eviction": ("create", evict),
    "namespaces/finalize": ("update", finalize),
}
