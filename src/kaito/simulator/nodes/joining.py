"""A machine becomes a Node: pure, from the machine and the time to the Node as it should be.

    power-on ──boot──> registered, NotReady ──ready──> Ready ──gpu──> nvidia.com/gpu allocatable

Everything follows from the machine's power-on time, so nothing has to be remembered.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

from kaito.kube.objects import Json
from kaito.kube.quantity import canonical
from kaito.planning.skus import find_sku
from kaito.simulator.arm.machines import Machine
from kaito.simulator.arm.sizes import size_of
from kaito.simulator.nodes.options import KUBELET_VERSION, SIMULATED_LABEL, NodeOptions

GPU = "nvidia.com/gpu"
NOT_READY = "node.kubernetes.io/not-ready"
"""The taint that the API server gives every new Node."""

GIB_PER_VCPU = {"NC": 8.75, "ND": 9.0, "NV": 12.0, "NG": 8.0}
"""Memory by family; for what a scheduler adds up, not for what a model needs."""
SYSTEM_CPU_MILLIS = 180
SYSTEM_MEMORY_SHARE = 0.07
"""What AKS keeps for the system, roughly."""
PODS = 110

_NETWORK_DOWN = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When a machine's Node reaches each step; seconds since the epoch."""

    registered: float
    ready: float
    gpus: float

    def next(self, now: float) -> float:
        """The next step after now; infinite when all are behind."""
        later = [at for at in (self.registered, self.ready, self.gpus) if at > now]
        return min(later, default=math.inf)


def timeline(machine: Machine, options: NodeOptions) -> Timeline:
    on = machine.created_at.timestamp()
    registered = on + options.boot
    ready = registered + options.ready
    return Timeline(registered=registered, ready=ready, gpus=ready + options.gpu)


def gpus_of(vm_size: str) -> int:
    """GPUs that the device plugin would report. None for cards it does not know."""
    sku = find_sku(vm_size)
    return sku.gpus if sku is not None and sku.model.startswith("NVIDIA") else 0


def node(machine: Machine, options: NodeOptions, *, address: str, now: float, stamp: str) -> Json:
    """The Node as the kubelet registers it."""
    labels = {
        **machine.labels,
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": machine.name,
        "kubernetes.io/os": "linux",
        SIMULATED_LABEL: "true",
    }
    taints = [_taint(t.key, t.value, t.effect) for t in machine.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": machine.name,
            "labels": labels,
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"providerID": machine.provider_id, "taints": taints},
        "status": status(machine, options, address=address, now=now, stamp=stamp),
    }


def _taint(key: str, value: str, effect: str) -> Json:
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def status(machine: Machine, options: NodeOptions, *, address: str, now: float, stamp: str) -> Json:
    """The Node's status as the kubelet reports it; `stamp` for conditions that are new."""
    steps = timeline(machine, options)
    gpus = gpus_of(machine.vm_size) if now >= steps.gpus else 0
    capacity, allocatable = _resources(machine.vm_size, gpus)
    addresses = [{"type": "InternalIP", "address": options.kubelet_address or address}]
    if not options.kubelet_address:
        addresses.append({"type": "Hostname", "address": machine.name})
    return {
        "addresses": addresses,
        "capacity": capacity,
        "allocatable": allocatable,
        "conditions": _conditions(ready=now >= steps.ready, stamp=stamp),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": options.kubelet_port or 10250}},
        "nodeInfo": _info(machine),
    }


def _resources(vm_size: str, gpus: int) -> tuple[Json, Json]:
    """(capacity, allocatable), written as the API server writes quantities."""
    size = size_of(vm_size)
    vcpus = size.vcpus if size is not None else 4
    family = vm_size.removeprefix("Standard_")[:2].upper()
    mebibytes = int(vcpus * GIB_PER_VCPU.get(family, 4.0) * 1024)
    capacity: Json = {
        "cpu": str(vcpus),
        "ephemeral-storage": "128Gi",
        "memory": canonical(f"{mebibytes}Mi"),
        "pods": str(PODS),
    }
    allocatable = {
        **capacity,
        "cpu": f"{vcpus * 1000 - SYSTEM_CPU_MILLIS}m",
        "memory": canonical(f"{int(mebibytes * (1 - SYSTEM_MEMORY_SHARE))}Mi"),
    }
    if gpus:
        capacity[GPU] = allocatable[GPU] = str(gpus)
    return capacity, allocatable


def _conditions(*, ready: bool, stamp: str) -> list[Json]:
    pressures = (
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    )
    found = [_condition(name, "False", reason, text, stamp) for name, reason, text in pressures]
    if ready:
        text = "kubelet is posting ready status"
        return [*found, _condition("Ready", "True", "KubeletReady", text, stamp)]
    return [*found, _condition("Ready", "False", "KubeletNotReady", _NETWORK_DOWN, stamp)]


def _condition(name: str, value: str, reason: str, message: str, stamp: str) -> Json:
    return {
        "type": name,
        "status": value,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
    }


def _info(machine: Machine) -> Json:
    identity = hashlib.sha256(machine.provider_id.encode()).hexdigest()
    return {
        "architecture": "amd64",
        "bootID": identity[:32],
        "containerRuntimeVersion": "simulated://1",
        "kernelVersion": "simulated",
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": identity[:32],
        "operatingSystem": "linux",
        "osImage": f"simulated {machine.image_version}",
        "systemUUID": identity[:32],
    }


def taints_when_ready(taints: Iterable[Json]) -> list[Json] | None:
    """What is left of a Ready node's taints; None when nothing has to be lifted."""
    before = list(taints)
    left = [taint for taint in before if taint.get("key") != NOT_READY]
    return None if len(left) == len(before) else left


def status_patch(live: Json, wanted: Json) -> Json:
    """The merge patch from a Node's live status to the wanted one; empty when it says the same.

    Heartbeats alone are no difference; conditions that stay keep their transition time.
    """
    patch: Json = {}
    for name in ("capacity", "allocatable"):
        if live.get(name) != wanted[name]:
            patch[name] = wanted[name]
    if [a["address"] for a in live.get("addresses") or ()] != [
        a["address"] for a in wanted["addresses"]
    ]:
        patch["addresses"] = wanted["addresses"]
    known = {entry["type"]: entry for entry in live.get("conditions") or ()}
    if any(
        known.get(entry["type"], {}).get("status") != entry["status"]
        for entry in wanted["conditions"]
    ):
        patch["conditions"] = _merged(known, wanted["conditions"])
    return patch


def _merged(known: dict[str, Json], wanted: list[Json]) -> list[Json]:
    ours = {entry["type"] for entry in wanted}
    kept = [entry for name, entry in known.items() if name not in ours]
    made = []
    for entry in wanted:
        before = known.get(entry["type"])
        if before is not None and before["status"] == entry["status"]:
            entry = {**entry, "lastTransitionTime": before["lastTransitionTime"]}
        made.append(entry)
    return [*made, *kept]
