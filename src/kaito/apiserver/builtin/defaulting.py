"""Defaults of built-in objects.

Most are data: `default` in the recorded definitions. Those that depend on their surroundings are
the small functions below, by definition or by kind; `CONDITIONAL` names the fields that they, or
the server's own decisions (addresses, tolerations, class of service), account for. The recorder
fails when a real server has another one.
"""

import base64
import copy
from collections.abc import Callable
from functools import cache
from typing import Any, Final, final

from kaito.apiserver.builtin.library import OBJECT_META
from kaito.apiserver.builtin.zeros import zero
from kaito.kube.objects import Json
from kaito.kube.schema.structural import Schema

_CORE = "io.k8s.api.core.v1."
_APPS = "io.k8s.api.apps.v1."
_CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_RBAC = "rbac.authorization.k8s.io"


def default(obj: Json, schema: Schema) -> None:
    """Fill in, in place, everything that a real server stores beside what was sent."""
    for fill in _BY_KIND.get(schema.name, ()):
        fill(obj)
    _fill(obj, schema)


@final
class _Plan:
    """What filling an object of one schema comes to: most of a schema has nothing to fill."""

    def __init__(self, schema: Schema) -> None:
        children = schema.properties
        self.defaults = [(name, c) for name, c in children.items() if "default" in c.raw]
        self.hook = _BY_DEFINITION.get(schema.name)
        self.zeros = [(name, c) for name, c in children.items() if _filled(c, schema, name)]
        self.below = [(name, c) for name, c in children.items() if _fillable(c)]


_plan = cache(_Plan)


@cache
def _fillable(schema: Schema) -> bool:
    """Whether anything may have to be filled in a value of this schema."""
    return _reaches(schema, set())


def _reaches(schema: Schema, seen: set[int]) -> bool:
    if id(schema) in seen:
        return False
    seen.add(id(schema))
    if schema.name in _BY_DEFINITION:
        return True
    if any(
        "default" in child.raw or _filled(child, schema, name)
        for name, child in schema.properties.items()
    ):
        return True
    children = [*schema.properties.values(), schema.additional, schema.items]
    return any(_reaches(child, seen) for child in children if child is not None)


def _fill(obj: Json, schema: Schema) -> None:
    plan = _plan(schema)
    for name, child in plan.defaults:
        if _unset(obj, name, child):
            obj[name] = copy.deepcopy(child.raw["default"])
    if plan.hook is not None:
        plan.hook(obj)
    for name, child in plan.zeros:
        if name not in obj:
            obj[name] = zero(child)
    for name, child in plan.below:
        value = obj.get(name)
        if value:
            _below(value, child)
        elif value == {} and child.properties:
            _fill(value, child)


def _unset(obj: Json, name: str, child: Schema) -> bool:
    """Absent, or a structure that Go cannot tell from an absent one."""
    return name not in obj or (obj[name] == {} and child.raw.get("x-zero") == "fill")


def _filled(child: Schema, parent: Schema, name: str) -> bool:
    """Whether an absent field is printed as zero. A missing required list is an error instead."""
    if child.raw.get("x-zero") != "fill":
        return False
    return not (child.type == "array" and name in parent.required)


def empty(schema: Schema) -> Json:
    """An object of which nobody set anything, as Go prints it: zeros only, nulls for lists."""
    return {
        name: empty(child) if child.properties and child.name != OBJECT_META else zero(child)
        for name, child in schema.properties.items()
        if child.raw.get("x-zero") == "fill"
    }


def _below(value: Any, schema: Schema) -> None:
    if schema.name == OBJECT_META:
        return
    if isinstance(value, dict):
        if schema.properties:
            _fill(value, schema)
        elif schema.additional is not None and schema.additional.properties:
            for item in value.values():
                _fill(item, schema.additional)
    elif isinstance(value, list) and schema.items is not None and schema.items.properties:
        for item in value:
            _fill(item, schema.items)


def _pod(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("enableServiceLinks", True)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        resources = container.get("resources") or {}
        if resources.get("limits"):
            container["resources"] = resources
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
        for port in container.get("ports") or () if spec.get("hostNetwork") else ():
            port.setdefault("hostPort", port.get("containerPort"))


def _job(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    # With an index of its own a pod may fail as often as its own limit says.
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    policy = "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    spec.setdefault("podReplacementPolicy", policy)


def _secret(obj: Json) -> None:
    """`stringData` is only for writing."""
    plain = obj.pop("stringData", None)
    if plain:
        data = obj.setdefault("data", {})
        for name, text in plain.items():
            data[name] = base64.b64encode(text.encode()).decode()


def _pod_spec(spec: Json) -> None:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _container(container: Json) -> None:
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = _pull_policy(container.get("image") or "")


def _image_volume(source: Json) -> None:
    if "pullPolicy" not in source:
        source["pullPolicy"] = _pull_policy(source.get("reference") or "")


def _pull_policy(image: str) -> str:
    """`Always` for what may move: the tag `latest`, or no tag and no digest."""
    tag = image.rpartition("/")[2].partition(":")[2]
    moving = tag in ("", "latest") and "@" not in image
    return "Always" if moving else "IfNotPresent"


def _volume(volume: Json) -> None:
    if not set(volume) - {"name"}:
        volume["emptyDir"] = {}


def _service_port(port: Json) -> None:
    if not port.get("targetPort"):
        port["targetPort"] = port.get("port", 0)


def _service_spec(spec: Json) -> None:
    kind = spec.get("type")
    if spec.get("sessionAffinity") == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")


def _rolling(values: Json) -> Callable[[Json], None]:
    def fill(strategy: Json) -> None:
        if strategy.get("type") == "RollingUpdate":
            strategy.setdefault("rollingUpdate", dict(values))

    return fill


def _subject(subject: Json) -> None:
    if subject.get("kind") in ("User", "Group"):
        subject.setdefault("apiGroup", _RBAC)


def _crd_names(names: Json) -> None:
    kind = names.get("kind")
    if kind:
        names.setdefault("singular", kind.lower())
        names.setdefault("listKind", f"{kind}List")


def _network_policy(spec: Json) -> None:
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _node_status(status: Json) -> None:
    if status.get("capacity"):
        status.setdefault("allocatable", dict(status["capacity"]))


def _limit_range(item: Json) -> None:
    """Of containers: what has no default is limited by the maximum, and asks for its limit."""
    if item.get("type") != "Container":
        return
    limits = {**(item.get("max") or {}), **(item.get("default") or {})}
    if limits:
        item["default"] = limits
    asked = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
    if asked:
        item["defaultRequest"] = asked


_Fill = Callable[[Json], None]

_BY_KIND: Final[dict[str, tuple[_Fill, ...]]] = {
    f"{_CORE}Pod": (_pod,),
    f"{_CORE}Secret": (_secret,),
    "io.k8s.api.batch.v1.Job": (_job,),
}
_BY_DEFINITION: Final[dict[str, _Fill]] = {
    f"{_CORE}Container": _container,
    f"{_CORE}EphemeralContainer": _container,
    f"{_CORE}ImageVolumeSource": _image_volume,
    f"{_CORE}LimitRangeItem": _limit_range,
    f"{_CORE}NodeStatus": _node_status,
    f"{_CORE}PodSpec": _pod_spec,
    f"{_CORE}ServicePort": _service_port,
    f"{_CORE}ServiceSpec": _service_spec,
    f"{_CORE}Volume": _volume,
    f"{_APPS}DaemonSetUpdateStrategy": _rolling({"maxUnavailable": 1, "maxSurge": 0}),
    f"{_APPS}DeploymentStrategy": _rolling({"maxUnavailable": "25%", "maxSurge": "25%"}),
    "io.k8s.api.networking.v1.NetworkPolicySpec": _network_policy,
    "io.k8s.api.rbac.v1.Subject": _subject,
    f"{_CRD}CustomResourceDefinitionNames": _crd_names,
}

CONDITIONAL: Final[frozenset[tuple[str, str]]] = frozenset(
    (definition, field)
    for definition, fields in {
        f"{_APPS}DaemonSetUpdateStrategy": "rollingUpdate",
        f"{_APPS}DeploymentStrategy": "rollingUpdate",
        f"{_CORE}Container": "imagePullPolicy",
        f"{_CORE}ContainerPort": "hostPort",
        f"{_CORE}ImageVolumeSource": "pullPolicy",
        f"{_CORE}LimitRangeItem": "default defaultRequest",
        f"{_CORE}Namespace": "spec",
        f"{_CORE}Node": "spec",
        f"{_CORE}PodSpec": (
            "enableServiceLinks preemptionPolicy priority serviceAccount tolerations"
        ),
        f"{_CORE}ResourceRequirements": "requests",
        f"{_CORE}ServicePort": "nodePort targetPort",
        f"{_CORE}ServiceSpec": (
            "allocateLoadBalancerNodePorts clusterIP clusterIPs externalTrafficPolicy "
            "internalTrafficPolicy ipFamilies ipFamilyPolicy sessionAffinityConfig"
        ),
        f"{_CORE}Volume": "emptyDir",
        f"{_CRD}CustomResourceDefinitionNames": "listKind singular",
        "io.k8s.api.batch.v1.JobSpec": (
            "backoffLimit completionMode completions manualSelector parallelism "
            "podReplacementPolicy selector suspend"
        ),
        "io.k8s.api.networking.v1.NetworkPolicySpec": "policyTypes",
        "io.k8s.api.rbac.v1.Subject": "apiGroup",
    }.items()
    for field in fields.split()
)
"""(definition, field) of every default that is not data."""
