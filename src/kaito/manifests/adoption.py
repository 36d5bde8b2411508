"""What KAITO made, as the intent to keep it as it is.

A live object becomes an intent by leaving out what the server decided and what is not KAITO's:
applied, it changes nothing that pods are made of; applied after somebody deleted the object, it
makes the same one again.
"""

from typing import Any

from kaito.kube.objects import Json
from kaito.manifests.identity import Identity

_DECIDED_BY_THE_SERVER = {
    "Service": frozenset({"clusterIPs", "ipFamilies", "healthCheckNodePort"}),
    "Job": frozenset({"selector", "manualSelector"}),
}
"""Fields of `spec` that are drawn when an object is made, and fit no other one."""

_JOB_LABELS = frozenset(
    {
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    }
)
"""Labels that the server puts on the pods of a Job; the first names its UID."""


def as_found(live: Json, identity: Identity) -> Json:
    """The intent to keep `live`, an object in the namespace of the Workspace `identity`."""
    found = live["metadata"]
    metadata = identity.metadata(found["name"])
    metadata["labels"] = {**(found.get("labels") or {}), **identity.labels}
    kind = live["kind"]
    intent: Json = {"apiVersion": live["apiVersion"], "kind": kind, "metadata": metadata}
    if kind == "ConfigMap":
        return intent | {field: live[field] for field in ("data", "binaryData") if live.get(field)}
    drawn = _DECIDED_BY_THE_SERVER.get(kind, frozenset())
    spec = _without_nulls({k: v for k, v in live["spec"].items() if k not in drawn})
    if kind == "Service":
        spec = _service(spec)
    elif kind == "Job":
        spec = {**spec, "template": _job_template(spec["template"])}
    return {**intent, "spec": spec}


def _service(spec: Json) -> Json:
    """Without its address and node ports; a headless one keeps having none."""
    ports = [{k: v for k, v in port.items() if k != "nodePort"} for port in spec.get("ports", ())]
    kept = {k: v for k, v in spec.items() if k != "clusterIP" or v == "None"}
    return {**kept, "ports": ports} if ports else kept


def _job_template(template: Json) -> Json:
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k not in _JOB_LABELS}
    return {**template, "metadata": {**metadata, "labels": labels}}


def _without_nulls(value: Any) -> Any:
    """Older servers print `creationTimestamp: null` inside templates; nothing is meant by it."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in value]
    return value


def config_maps_of(workload: Json) -> list[str]:
    """The ConfigMaps that a workload's pods mount."""
    volumes = workload["spec"]["template"]["spec"].get("volumes") or ()
    named = ((volume.get("configMap") or {}).get("name") for volume in volumes)
    return [name for name in named if name]
