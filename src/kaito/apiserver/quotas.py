"""Admission by ResourceQuota: what an object uses, and whether a namespace has that left.

As on a real server, what is used stands in the quota's status: whoever counts (a controller) writes
it there first, and every write that is let in adds its own to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kaito.apiserver.amounts import Amounts, added, containers, of_pod
from kaito.apiserver.core import Call
from kaito.apiserver.kinds import Kind
from kaito.apiserver.quotascopes import in_scope
from kaito.apiserver.status import forbidden
from kaito.kube.objects import Json
from kaito.kube.quantity import parse
from kaito.kube.resources import PODS, PVCS, RESOURCEQUOTAS, SERVICES

_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_SPECIFIED: Final = frozenset(
    f"{side}{name}" for side in ("", "requests.", "limits.") for name in ("cpu", "memory")
)
"""A quota for one of these demands that every container says how much it needs."""
_OF_PODS: Final = frozenset(
    {"pods", *(f"{side}{name}" for side in ("", "requests.", "limits.") for name in _COMPUTE)}
)
_PLAIN: Final = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    }
)
"""Kinds that are counted under their own names too."""
_CLASS: Final = ".storageclass.storage.k8s.io/"
_CHANGING: Final = frozenset({SERVICES.group_resource, PVCS.group_resource})
"""Kinds of which an update may use more."""


# ---- what there is to count


def counted(name: str) -> str | None:
    """The kind (`plural` or `plural.group`) whose objects a quota's resource counts, or None."""
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name in _PLAIN:
        return name
    if name.startswith("services."):
        return "services" if name in ("services.nodeports", "services.loadbalancers") else None
    if name == "requests.storage" or _CLASS in name:
        return PVCS.group_resource
    return PODS.group_resource if name in _OF_PODS or _asked(name) else None


def _asked(name: str) -> bool:
    """Huge pages, and requests of what is not Kubernetes' own."""
    plain = name.removeprefix("requests.")
    if plain.startswith("hugepages-"):
        return True
    return plain != name and "/" in plain and "kubernetes.io/" not in plain


def usage(resource: str, obj: Json) -> Amounts:
    """What one object of a kind (`plural` or `plural.group`) uses."""
    used = {f"count/{resource}": "1"}
    if resource == PODS.group_resource:
        return {**used, **_of_pod(obj)}
    if resource in _PLAIN:
        used[resource] = "1"
    if resource == SERVICES.group_resource:
        used |= _of_service(obj.get("spec") or {})
    elif resource == PVCS.group_resource:
        used |= _of_claim(obj)
    return used


def _of_pod(pod: Json) -> Amounts:
    """Of a pod that is over nothing but its object counts."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    requests, limits = (of_pod(pod["spec"], side) for side in ("requests", "limits"))
    return {"pods": "1", **_named(requests, limits)}


def _named(requests: Amounts, limits: Amounts) -> Amounts:
    """Requests and limits under the names that quotas have for them."""
    found: Amounts = {}
    for name, text in requests.items():
        if name in _COMPUTE or name.startswith("hugepages-"):
            found[name] = text
        if name in _COMPUTE or _asked(f"requests.{name}"):
            found[f"requests.{name}"] = text
    return {**found, **{f"limits.{n}": text for n, text in limits.items() if n in _COMPUTE}}


def _of_service(spec: Json) -> Amounts:
    ports = spec.get("ports") or ()
    balanced = spec.get("type") == "LoadBalancer"
    if balanced and spec.get("allocateLoadBalancerNodePorts") is False:
        count = sum(bool(port.get("nodePort")) for port in ports)
    else:
        count = len(ports) if balanced or spec.get("type") == "NodePort" else 0
    return {"services.nodeports": str(count), "services.loadbalancers": str(int(balanced))}


def _of_claim(claim: Json) -> Amounts:
    spec = claim.get("spec") or {}
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    used = {} if storage is None else {"requests.storage": storage}
    annotations = claim["metadata"].get("annotations") or {}
    name = annotations.get("volume.beta.kubernetes.io/storage-class", spec.get("storageClassName"))
    if name:
        used |= {f"{name}{_CLASS}{one}": text for one, text in used.items()}
        used[f"{name}{_CLASS}persistentvolumeclaims"] = "1"
    return used


def status(quota: Json, objects: Mapping[str, Iterable[Json]]) -> Json:
    """The whole status of a quota. `objects`: by kind, those of its namespace. What it says of
    kinds that are not there is not shown as used."""
    hard: Amounts = (quota.get("spec") or {}).get("hard") or {}
    used = {name: "0" for name in hard if counted(name) in objects}
    for resource, some in objects.items():
        for obj in some:
            if in_scope(quota, resource, obj):
                mine = usage(resource, obj)
                used = added(used, {name: mine[name] for name in mine.keys() & used.keys()})
    return {"hard": hard, "used": used}


# ---- admission


def charge(call: Call, obj: Json, old: Json | None) -> list[Json]:
    """The quotas of the namespace as they are once this write is let in, to be stored with it.

    Raises Refused where one has not enough left.
    """
    bucket = call.core.storage.bucket(RESOURCEQUOTAS.group_resource)
    if not len(bucket) or not _asks(call, old):
        return []
    resource = call.kind.resource.group_resource
    more = _more(resource, obj, old)
    charged = []
    for stored in tuple(bucket.scan(obj["metadata"]["namespace"])):
        quota = stored.json()
        hard: Amounts = (quota.get("status") or {}).get("hard") or {}
        names = [name for name in hard if counted(name) == resource]
        if names and in_scope(quota, resource, obj) and _charge(call, quota, names, more, obj):
            charged.append(quota)
    return charged


def store(call: Call, charged: list[Json]) -> None:
    """Keep what a write has used up."""
    bucket = call.core.storage.bucket(RESOURCEQUOTAS.group_resource)
    for quota in charged:
        call.core.storage.write(bucket, quota)


def _asks(call: Call, old: Json | None) -> bool:
    kind: Kind = call.kind
    if not kind.resource.namespaced or call.target.subresource:
        return False
    return old is None or kind.resource.group_resource in _CHANGING


def _more(resource: str, obj: Json, old: Json | None) -> Amounts:
    """What is used from now on that was not before."""
    before = {} if old is None else usage(resource, old)
    found: Amounts = {}
    for name, text in usage(resource, obj).items():
        less = f"-{before[name]}" if name in before else "0"
        found[name] = added({name: text}, {name: less})[name]
    return {name: text for name, text in found.items() if parse(text) > 0}


def _charge(call: Call, quota: Json, names: list[str], more: Amounts, obj: Json) -> bool:
    """Add to what is used. Raises Refused; False where nothing is."""
    name, used = quota["metadata"]["name"], quota["status"].get("used") or {}
    if call.kind.resource == PODS and (missing := list(_unspecified(obj["spec"], names))):
        raise _refused(call, obj, f"failed quota: {name}: must specify {'; '.join(missing)}")
    if unknown := sorted(one for one in names if one not in used):
        why = f"status unknown for quota: {name}, resources: {','.join(unknown)}"
        raise _refused(call, obj, why)
    hard, asked = quota["status"]["hard"], {n: t for n, t in more.items() if n in names}
    after = added({n: used[n] for n in asked}, asked)
    over = sorted(n for n in asked if parse(after[n]) > parse(hard[n]))
    if over:
        told = [
            f"{word}: {','.join(f'{n}={amounts[n]}' for n in over)}"
            for word, amounts in (("requested", asked), ("used", used), ("limited", hard))
        ]
        raise _refused(call, obj, f"exceeded quota: {name}, {', '.join(told)}")
    quota["status"]["used"] = {**used, **after}
    return bool(asked)


def _unspecified(spec: Json, names: list[str]) -> Iterator[str]:
    """What the quota counts and containers do not tell, with the names of those."""
    for name in sorted(_SPECIFIED.intersection(names)):
        silent = []
        for container in containers(spec):
            resources = container.get("resources") or {}
            told = _named(resources.get("requests") or {}, resources.get("limits") or {})
            if name not in told:
                silent.append(container["name"])
        if silent:
            yield f"{name} for: {','.join(sorted(silent))}"


def _refused(call: Call, obj: Json, why: str) -> Exception:
    return forbidden(call.kind.resource, obj["metadata"].get("name") or "", why)
