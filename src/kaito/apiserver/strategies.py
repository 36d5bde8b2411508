"""What the server decides for built-in kinds by code rather than by data."""

import base64
from typing import Final

from kaito.apiserver.kinds import Draft
from kaito.apiserver.status import forbidden
from kaito.kube import quantity
from kaito.kube.objects import Json, ObjectKey
from kaito.kube.resources import PODS

_NOT_READY: Final = "node.kubernetes.io/not-ready"
_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_EVICT_AFTER_SECONDS: Final = 300


def namespace_label(draft: Draft) -> None:
    """The label that is always the namespace's name."""
    metadata = draft.obj["metadata"]
    metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata.get("name")


def namespace(draft: Draft) -> None:
    """The finalizer and phase of a new one."""
    obj = draft.obj
    if draft.old is None:
        obj.setdefault("spec", {})["finalizers"] = ["kubernetes"]
        obj["status"] = {"phase": "Active"}
    else:
        obj["spec"] = draft.old.get("spec", {})


def namespace_ends(draft: Draft) -> None:
    """The phase of a namespace that is being deleted."""
    draft.obj.setdefault("status", {})["phase"] = "Terminating"


def node(draft: Draft) -> None:
    """A new Node is tainted until somebody sees that it is ready."""
    if draft.old is not None:
        return
    taints = draft.obj.setdefault("spec", {}).setdefault("taints", [])
    if not any(taint.get("key") == _NOT_READY for taint in taints):
        taints.append({"key": _NOT_READY, "effect": "NoSchedule"})


def admit_pod(draft: Draft) -> None:
    """Priority and tolerations of a new pod."""
    spec = draft.obj.setdefault("spec", {})
    _prioritise(draft, spec)
    _tolerate(spec)


def pod(draft: Draft) -> None:
    """Class of service and phase of a new pod."""
    if draft.old is not None:
        return
    spec = draft.obj.setdefault("spec", {})
    status: Json = {"phase": "Pending"}
    if spec.get("schedulingGates"):
        since = draft.obj["metadata"]["creationTimestamp"]
        status["conditions"] = [{**_GATED, "lastTransitionTime": since}]
    draft.obj["status"] = {**status, "qosClass": quality_of_service(spec)}


_GATED: Final[Json] = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "lastTransitionTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def _prioritise(draft: Draft, spec: Json) -> None:
    """What the pod's PriorityClass, or the default one, says."""
    bucket = draft.storage.bucket("priorityclasses.scheduling.k8s.io")
    name = spec.get("priorityClassName")
    if name:
        stored = bucket.get(ObjectKey("", name))
        if stored is None:
            why = f"no PriorityClass with name {name} was found"
            raise forbidden(PODS, draft.obj["metadata"]["name"], why)
        found = stored.json()
    else:
        classes = (stored.json() for stored in bucket.scan())
        found = next((one for one in classes if one.get("globalDefault")), {})
        if found:
            spec["priorityClassName"] = found["metadata"]["name"]
    spec["priority"] = found.get("value", 0)
    spec["preemptionPolicy"] = found.get("preemptionPolicy", "PreemptLowerPriority")


def _tolerate(spec: Json) -> None:
    tolerations = spec.setdefault("tolerations", [])
    for key in (_NOT_READY, _UNREACHABLE):
        if any(_tolerates(toleration, key) for toleration in tolerations):
            continue
        tolerations.append(
            {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _EVICT_AFTER_SECONDS,
            }
        )


def _tolerates(toleration: Json, key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in (
        "NoExecute",
        None,
        "",
    )


def quality_of_service(spec: Json) -> str:
    """BestEffort without any cpu or memory; Guaranteed when every limit is the request."""
    containers = [*spec.get("initContainers", []), *spec.get("containers", [])]
    asked = [container.get("resources") or {} for container in containers]
    requests = [_counted(resources.get("requests")) for resources in asked]
    limits = [_counted(resources.get("limits")) for resources in asked]
    if not any(requests) and not any(limits):
        return "BestEffort"
    for request, limit in zip(requests, limits, strict=True):
        if set(limit) != {"cpu", "memory"} or {**limit, **request} != limit:
            return "Burstable"
    return "Guaranteed"


def _counted(resources: Json | None) -> Json:
    """What of them counts for the class of service: zeros do not."""
    return {
        name: value
        for name, value in (resources or {}).items()
        if name in ("cpu", "memory") and quantity.parse(value) > 0
    }


def secret(draft: Draft) -> None:
    """`stringData` is written into `data`, and never shown."""
    given = draft.obj.pop("stringData", None)
    for key, value in (given or {}).items():
        encoded = base64.b64encode(str(value).encode()).decode()
        draft.obj.setdefault("data", {})[key] = encoded


def pending(draft: Draft) -> None:
    """The phase of a new volume or claim."""
    if draft.old is None:
        draft.obj["status"] = {"phase": "Pending"}


_TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"


def daemonset(draft: Draft) -> None:
    """Counts the changes of the template in an annotation, as older clients expect."""
    annotations = draft.obj["metadata"].setdefault("annotations", {})
    if draft.old is None:
        annotations[_TEMPLATE_GENERATION] = "1"
        return
    before = (draft.old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1")
    same = draft.obj["spec"].get("template") == draft.old["spec"].get("template")
    annotations[_TEMPLATE_GENERATION] = before if same else str(int(before) + 1)


def replication_controller(draft: Draft) -> None:
    """Labels and selector of the template, where it has none of its own."""
    template = (draft.obj.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    if not labels:
        return
    if not draft.obj["metadata"].get("labels"):
        draft.obj["metadata"]["labels"] = dict(labels)
    if not draft.obj["spec"].get("selector"):
        draft.obj["spec"]["selector"] = dict(labels)


def job(draft: Draft) -> None:
    """The generated selector and the labels it selects."""
    if draft.old is not None:
        return
    spec = draft.obj.setdefault("spec", {})
    if not spec.get("manualSelector"):
        _select_own_pods(draft, spec)
    if not draft.obj["metadata"].get("labels"):
        labels = (spec.get("template") or {}).get("metadata", {}).get("labels")
        if labels:
            draft.obj["metadata"]["labels"] = dict(labels)


def _select_own_pods(draft: Draft, spec: Json) -> None:
    uid, name = draft.obj["metadata"]["uid"], draft.obj["metadata"]["name"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    template.setdefault("labels", {}).update(labels)
    if not draft.obj["metadata"].get("labels"):
        draft.obj["metadata"]["labels"] = dict(template["labels"])
