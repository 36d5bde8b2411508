"""Inference from a preset: one StatefulSet and its two Services. One node in this version."""

from kaito.kube.objects import Json
from kaito.manifests import pod
from kaito.manifests.identity import Identity
from kaito.manifests.options import RenderOptions
from kaito.manifests.service import (
    HTTP_PORT,
    first_pod_service,
    headless_name,
    headless_service,
    port,
)
from kaito.planning.decision import Plan

_CUDA = "cuda-toolkit"
_CUDA_PATH = "/opt/kaito/cuda/129"


def stateful_set(identity: Identity, labels: dict[str, str], template: Json) -> Json:
    """One replica under the Workspace's name, its pods started in parallel and named in DNS."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": identity.metadata(identity.name),
        "spec": {
            "replicas": 1,
            "podManagementPolicy": "Parallel",
            "serviceName": headless_name(identity),
            "selector": {"matchLabels": labels},
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Delete",
                "whenScaled": "Retain",
            },
            "template": {"metadata": {"labels": labels}, "spec": template},
        },
    }


def workload(plan: Plan, identity: Identity, options: RenderOptions) -> Json:
    """The StatefulSet that serves the model."""
    container = pod.engine_container(
        identity.name,
        plan.blueprint,
        plan.argv,
        plan.gpus_per_node,
        options,
        startup=plan.startup,
    )
    volumes = pod.scratch_volumes(plan.blueprint.mounts)
    if plan.access_secret:
        container["env"] = [*container.get("env", []), *pod.token_env(plan.access_secret)]
    if plan.config_map:
        container["volumeMounts"].append(pod.mount(pod.CONFIG_VOLUME, pod.CONFIG_PATH))
        volumes.append(pod.config_volume(plan.config_map))
    template: Json = {
        "affinity": pod.affinity(plan, identity),
        "tolerations": pod.tolerations(options),
        "containers": [container],
        "volumes": volumes,
    }
    if plan.blueprint.cuda_toolkit:
        template["initContainers"] = [_cuda_toolkit(plan, options)]
        container["volumeMounts"].append({**pod.mount(_CUDA, _CUDA_PATH), "readOnly": True})
        host_path = {"path": _CUDA_PATH, "type": "DirectoryOrCreate"}
        volumes.append({"name": _CUDA, "hostPath": host_path})
    return stateful_set(identity, identity.labels, template)


def _cuda_toolkit(plan: Plan, options: RenderOptions) -> Json:
    """Puts a CUDA toolkit on the node, once for all pods: some kernels are compiled at start."""
    install = f"flock {_CUDA_PATH}/.lock /workspace/cuda-provision.sh"
    return pod.task(
        "cuda-toolkit-provisioner",
        plan.blueprint.image.reference(options.registry),
        ["/bin/sh", "-c", install],
        mounts=[pod.mount(_CUDA, _CUDA_PATH)],
    )


def services(plan: Plan, identity: Identity) -> list[Json]:
    """The model's address, and the headless Service. No Ray port is ever exposed.

    The stream of KV-cache events has no authentication, so it stays inside the cluster.
    """
    ports = [port("http", HTTP_PORT, plan.blueprint.ports[0].number)]
    if not plan.load_balancer:
        ports += [port(p.name, p.number, p.number) for p in plan.blueprint.ports[1:]]
    address = first_pod_service(identity, ports, load_balancer=plan.load_balancer)
    return [address, headless_service(identity)]
