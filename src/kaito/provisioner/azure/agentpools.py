"""`MachineRequest` to the AKS `AgentPool` resource, and back to `Instance`. Pure, plain JSON.

The properties are those that gpu-provisioner sends, so pools look the same whoever made them,
plus `mode: User` (never a system pool) and two tags that prove ownership. Everything else is left
to AKS: regional placement, regular priority, the cluster's own Kubernetes version.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kaito.api.names import Label
from kaito.provisioner.azure.errors import meaning
from kaito.provisioner.cloud import (
    CloudError,
    ImageFamily,
    Instance,
    InvalidRequest,
    LaunchFailed,
    MachineRequest,
    State,
)

OWNER_TAG: Final = "kaito-nodeclaim-uid"
CREATED_TAG: Final = "kaito-nodeclaim-created"
"""Azure tag names may not contain `/`, so these are not written as Kubernetes labels are."""

NODE_LABEL: Final = "kubernetes.azure.com/agentpool"
"""On every node that AKS makes; the kubelet may not set it itself."""
SIMULATED_BY: Final = "kaito-embedded"
"""`systemData.createdBy` of a pool that exists in the embedded cluster only."""

_LABEL_TIME: Final = "%Y-%m-%dT%H-%M-%SZ"
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,11}")
"""AKS: Linux pool names are 1 to 12 lower-case letters and digits, a letter first."""

_OS_SKU: Final = {ImageFamily.UBUNTU: "Ubuntu", ImageFamily.AZURE_LINUX: "AzureLinux"}

_STATES: Final = {
    "creating": State.CREATING,
    "failed": State.FAILED,
    "canceled": State.FAILED,
    "deleting": State.DELETING,
    "stopping": State.STOPPED,
    "starting": State.STOPPED,
}
"""By `provisioningState`. Any other one (Succeeded, Updating, Upgrading ...) has its machine."""


def body(request: MachineRequest) -> dict[str, Any]:
    """The body of the PUT. Raises `InvalidRequest` for what AKS would never take."""
    if not _NAME.fullmatch(request.name):
        raise InvalidRequest(
            f'"{request.name}" cannot name a node pool: 1 to 12 lower-case letters and digits,'
            " beginning with a letter"
        )
    properties: dict[str, Any] = {
        "count": 1,
        "mode": "User",
        "nodeLabels": {
            **request.labels,
            Label.MACHINE_TYPE: "gpu" if "standard_n" in request.vm_size.lower() else "cpu",
            Label.CREATION_TIMESTAMP: request.created_at.astimezone(UTC).strftime(_LABEL_TIME),
        },
        "nodeTaints": [str(taint) for taint in request.taints],
        "osSKU": _OS_SKU[request.image_family],
        "osType": "Linux",
        "tags": {
            **request.tags,
            OWNER_TAG: request.owner_uid,
            CREATED_TAG: request.created_at.astimezone(UTC).isoformat(),
        },
        "type": "VirtualMachineScaleSets",
        "vmSize": request.vm_size,
    }
    if request.os_disk_gib > 0:
        properties["osDiskSizeGB"] = request.os_disk_gib
    return {"properties": properties}


def instance(pool: Mapping[str, Any]) -> Instance:
    """What an AgentPool says. Absent and unknown fields are never an error."""
    properties: Mapping[str, Any] = pool.get("properties") or {}
    tags: Mapping[str, str] = properties.get("tags") or {}
    labels: Mapping[str, str] = properties.get("nodeLabels") or {}
    state = _state(properties)
    return Instance(
        name=pool.get("name") or "",
        state=state,
        vm_size=properties.get("vmSize") or "",
        owner_uid=tags.get(OWNER_TAG, ""),
        created_at=_created(tags, labels),
        labels=dict(labels),
        tags=dict(tags),
        image_version=properties.get("nodeImageVersion") or "",
        etag=properties.get("eTag") or "",
        failure=_failure(properties) if state is State.FAILED else None,
        simulated=(pool.get("systemData") or {}).get("createdBy") == SIMULATED_BY,
    )


def _state(properties: Mapping[str, Any]) -> State:
    told = str(properties.get("provisioningState") or "creating").lower()
    state = _STATES.get(told, State.READY)
    stopped = (properties.get("powerState") or {}).get("code") == "Stopped"
    return State.STOPPED if stopped and state is State.READY else state


def _created(tags: Mapping[str, str], labels: Mapping[str, str]) -> datetime | None:
    try:
        if CREATED_TAG in tags:
            return datetime.fromisoformat(tags[CREATED_TAG])
        if Label.CREATION_TIMESTAMP in labels:
            return datetime.strptime(labels[Label.CREATION_TIMESTAMP], _LABEL_TIME).replace(
                tzinfo=UTC
            )
    except ValueError:
        return None
    return None


def _failure(properties: Mapping[str, Any]) -> CloudError:
    error: Mapping[str, Any] = (properties.get("status") or {}).get("provisioningError") or {}
    if not error:
        return LaunchFailed("Azure reports the node pool as Failed and does not say why")
    return meaning(None, error)
