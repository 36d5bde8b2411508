"""What a real server warns of in built-in objects that it accepts, in its own words."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from kaito.kube import quantity
from kaito.kube.objects import Json

Told = Iterator[str]

_OLD_LABELS: Final = {
    "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
    "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
    "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
    "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
}
_OLD_VOLUMES: Final = {
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
}
_BYTES: Final = ("memory", "ephemeral-storage")
_MANY_COMPLETIONS: Final = 100_000
_MANY_PODS: Final = 10_000


def told(group: str, kind: str, obj: Json) -> list[str]:
    """About a new object, or one whose specification changed."""
    rule = _RULES.get((group, kind))
    return [] if rule is None else list(rule(obj))


def _pods(path: str) -> Callable[[Json], Told]:
    def rule(obj: Json) -> Told:
        spec: Any = obj
        for step in path.split("."):
            spec = (spec or {}).get(step)
        if spec:
            yield from _pod(spec, path)

    return rule


def _pod(spec: Json, path: str) -> Told:
    selector = spec.get("nodeSelector") or {}
    for label, (since, new) in _OLD_LABELS.items():
        if label in selector:
            yield f'{path}.nodeSelector[{label}]: deprecated since {since}; use "{new}" instead'
    yield from _affinity(spec, path)
    yield from _twice(spec, path)
    for index, volume in enumerate(spec.get("volumes") or ()):
        for source, why in _OLD_VOLUMES.items():
            if source in volume:
                yield f"{path}.volumes[{index}].{source}: {why}"
    yield from _containers(spec, path)
    yield from _ports(spec, path)


def _affinity(spec: Json, path: str) -> Told:
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    name = "requiredDuringSchedulingIgnoredDuringExecution"
    for index, term in enumerate((node.get(name) or {}).get("nodeSelectorTerms") or ()):
        for place, one in enumerate(term.get("matchExpressions") or ()):
            if one.get("key") in _OLD_LABELS:
                since, new = _OLD_LABELS[one["key"]]
                where = f"{path}.affinity.nodeAffinity.{name}.nodeSelectorTerms[{index}]"
                yield (
                    f"{where}.matchExpressions[{place}].key: {one['key']} is deprecated since "
                    f'{since}; use "{new}" instead'
                )


def _twice(spec: Json, path: str) -> Told:
    for part, field in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        given = [one.get(field) or "" for one in spec.get(part) or ()]
        for index, name in enumerate(given):
            if name and name in given[:index]:
                yield f'{path}.{part}[{index}].{field}: duplicate {field} "{name}"'
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield f'{path}.imagePullSecrets[{index}].name: invalid empty name ""'


def _containers(spec: Json, path: str) -> Told:
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            where = f"{path}.{part}[{index}]"
            yield from _amounts(container.get("resources") or {}, f"{where}.resources")
            names = [one.get("name") for one in container.get("env") or ()]
            for place, name in enumerate(names):
                if name in names[:place]:
                    yield (
                        f'{where}.env[{place}]: hides previous definition of "{name}", which may '
                        "be dropped when using apply"
                    )


def _amounts(resources: Json, path: str) -> Told:
    for name in _BYTES:
        for part in ("limits", "requests"):
            amount = (resources.get(part) or {}).get(name)
            if amount is not None and quantity.parse(amount).denominator != 1:
                yield (
                    f'{path}.{part}[{name}]: fractional byte value "{amount}" is invalid, must be '
                    "an integer"
                )


def _ports(spec: Json, path: str) -> Told:
    seen: list[tuple[Any, str]] = []
    for index, container in enumerate(spec.get("containers") or ()):
        for place, port in enumerate(container.get("ports") or ()):
            where = f"{path}.containers[{index}].ports[{place}]"
            one = (port.get("containerPort"), port.get("protocol"))
            for other, there in seen:
                if other == one:
                    yield f"{where}: duplicate port definition with {there}"
            seen.append((one, where))


def _stateful_set(obj: Json) -> Told:
    yield from _pods("spec.template.spec")(obj)
    if ((obj.get("spec") or {}).get("revisionHistoryLimit") or 0) < 0:
        yield (
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value "
            ">= 0 is recommended"
        )


def _job(obj: Json) -> Told:
    if "." in (obj["metadata"].get("name") or ""):
        yield (
            "metadata.name: this is used in Pod names and hostnames, which can result in "
            "surprising behavior; a DNS label is recommended: [must not contain dots]"
        )
    spec = obj.get("spec") or {}
    many = (spec.get("completions") or 0) > _MANY_COMPLETIONS
    if spec.get("completionMode") == "Indexed" and many and spec.get("parallelism", 1) > _MANY_PODS:
        yield (
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism "
            "higher than 10^4, Kubernetes might not be able to track completedIndexes when a big "
            "number of indexes fail"
        )
    yield from _pods("spec.template.spec")(obj)


def _service(obj: Json) -> Told:
    spec = obj.get("spec") or {}
    if spec.get("externalIPs"):
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    if spec.get("clusterIP") == "None":
        if spec.get("loadBalancerIP"):
            yield "spec.loadBalancerIP is ignored for headless services"
        if spec.get("externalIPs"):
            yield "spec.externalIPs is ignored for headless services"
        if spec.get("sessionAffinity", "None") != "None":
            yield "spec.SessionAffinity is ignored for headless services"


def _node(obj: Json) -> Told:
    if (obj.get("spec") or {}).get("externalID"):
        yield "spec.externalID: this field is deprecated, and is unused by Kubernetes"


def _storage_class(obj: Json) -> Told:
    for index, term in enumerate(obj.get("allowedTopologies") or ()):
        for place, one in enumerate(term.get("matchLabelExpressions") or ()):
            if one.get("key") in _OLD_LABELS:
                since, new = _OLD_LABELS[one["key"]]
                where = f"allowedTopologies[{index}].matchLabelExpressions[{place}].key"
                yield f'{where}: deprecated since {since}; use "{new}" instead'


_MOUNTABLE: Final = "kubernetes.io/enforce-mountable-secrets"


def _service_account(obj: Json) -> Told:
    if _MOUNTABLE in (obj["metadata"].get("annotations") or {}):
        yield (
            f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces "
            "to isolate access to mounted secrets"
        )


_TEMPLATE: Final = _pods("spec.template.spec")
_RULES: Final[dict[tuple[str, str], Callable[[Json], Told]]] = {
    ("", "Pod"): _pods("spec"),
    ("", "PodTemplate"): _pods("template.spec"),
    ("", "ReplicationController"): _TEMPLATE,
    ("", "Service"): _service,
    ("", "Node"): _node,
    ("", "ServiceAccount"): _service_account,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _pods("spec.jobTemplate.spec.template.spec"),
    ("storage.k8s.io", "StorageClass"): _storage_class,
}
