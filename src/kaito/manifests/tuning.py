"""Fine-tuning: a Job that trains and pushes, and the server of what it made.

    init: model-weights-downloader   the base model, from its image
    init: data-downloader            the data (from URLs), or data-puller (from an image)
    init: <workspace>                training, on the GPUs, into the results volume
    main: pusher                     the adapter, as an image, to where the user said

Training is an init container, so a failed training fails the pod at once; were it beside the
pusher, the pusher would wait for its result forever and the GPU machine would be paid meanwhile.
With a volume as output there is nothing to push and training is the main container.
"""

from kaito.api.names import DOCKER_CONFIG_KEY, TRAINING_CONFIG_KEY
from kaito.api.workspace import DataSource
from kaito.kube.objects import Json
from kaito.manifests import pod
from kaito.manifests.identity import Identity
from kaito.manifests.inference import stateful_set
from kaito.manifests.options import RenderOptions
from kaito.manifests.service import (
    HTTP_PORT,
    first_pod_service,
    headless_service,
    port,
)
from kaito.planning.decision import Plan, TuningPlan
from kaito.presets.blueprint import Blueprint

ORAS_WEIGHTS_IMAGE = "mcr.microsoft.com/oss/v2/oras-project/oras:v1.2.3"
ORAS_PUSH_IMAGE = "ghcr.io/oras-project/oras:v1.2.2"
SKOPEO_IMAGE = "mcr.microsoft.com/aks/skopeo:1.14.4-6"
CURL_IMAGE = "curlimages/curl:8.16.0"
"""Upstream leaves this one untagged, so that every pull may bring something else."""

BACKOFF_LIMIT = 2
"""Retries of a failed training. Kubernetes' default of 6 would pay for the same failure 7 times."""

WEIGHTS = "model-weights-volume"
WEIGHTS_PATH = "/workspace/weights"
DATA = "data-volume"
DATA_PATH = "/mnt/data"
RESULTS = "results-volume"
REGISTRY_AUTH = "docker-config"
DATA_AUTH = "data-pull-secrets"
ADAPTER = "adapter-volume"
ADAPTER_PATH = "/mnt/adapter"
ADAPTER_FOLDER = f"{ADAPTER_PATH}/tuned"
"""The server takes every folder of the volume that holds an adapter."""
AUTH_DIR = "/root/.docker/config.d"

RENDEZVOUS_PORT = 29500
"""The second port of a served tuning Workspace's Service, as its first release showed it."""

_SERVED = {"app.kubernetes.io/component": "adapter-server"}


def job(plan: Plan, tuning: TuningPlan, identity: Identity, options: RenderOptions) -> Json:
    """The Job that trains and, where the output is an image, pushes."""
    trainer = _trainer(plan, tuning, identity, options)
    before = [_weights(plan.blueprint, options), *_data(tuning.input)]
    pushed = bool(tuning.output.image)
    spec: Json = {
        "restartPolicy": "Never",
        "affinity": pod.affinity(plan, identity),
        "tolerations": pod.tolerations(options),
        "initContainers": [*before, trainer] if pushed else before,
        "containers": [_pusher(plan, tuning)] if pushed else [trainer],
        "volumes": _volumes(plan, tuning),
    }
    if tuning.output.image_push_secret:
        spec["imagePullSecrets"] = [{"name": tuning.output.image_push_secret}]
    template = {
        "metadata": {
            "labels": identity.labels,
            "annotations": {"kubectl.kubernetes.io/default-container": identity.name},
        },
        "spec": spec,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": identity.metadata(identity.name),
        "spec": {"backoffLimit": BACKOFF_LIMIT, "template": template},
    }


def config_map(tuning: TuningPlan, identity: Identity) -> Json:
    """The hyper-parameters that are used when the user names no ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(tuning.config_map),
        "data": {TRAINING_CONFIG_KEY: tuning.template},
    }


def _trainer(plan: Plan, tuning: TuningPlan, identity: Identity, options: RenderOptions) -> Json:
    trainer = pod.engine_container(
        identity.name,
        plan.blueprint,
        plan.argv,
        plan.gpus_per_node,
        options,
        startup=plan.startup,
    )
    trainer["volumeMounts"] += [
        pod.mount(pod.CONFIG_VOLUME, pod.CONFIG_PATH),
        pod.mount(RESULTS, tuning.output_dir),
    ]
    return trainer


def _weights(blueprint: Blueprint, options: RenderOptions) -> Json:
    """Brings the base model. Raises ValueError for a blueprint without an image of weights."""
    if blueprint.weights is None:
        raise ValueError(f"{blueprint.preset}: no image with the weights is known")
    reference = blueprint.weights.reference(options.registry)
    return pod.task(
        "model-weights-downloader",
        ORAS_WEIGHTS_IMAGE,
        ["oras", "pull", reference, "-o", WEIGHTS_PATH],
        mounts=[pod.mount(WEIGHTS, WEIGHTS_PATH)],
    )


def _data(source: DataSource) -> list[Json]:
    """What brings the data; nothing when it is a volume already."""
    mount = pod.mount(DATA, DATA_PATH)
    if source.urls:
        values = [("DATA_DIR", DATA_PATH), ("DATA_URLS", " ".join(source.urls))]
        command = pod.shell("download.sh")
        return [pod.task("data-downloader", CURL_IMAGE, command, env=values, mounts=[mount])]
    if source.image:
        return [_puller(source.image, "data-puller", mount, DATA_PATH, DATA_AUTH)]
    return []


def _puller(image: str, name: str, volume: Json, target: str, secrets: str) -> Json:
    values = [("AUTH_DIR", AUTH_DIR), ("IMAGE", image), ("TARGET_DIR", target)]
    mounts = [volume, pod.mount(secrets, AUTH_DIR)]
    return pod.task(name, SKOPEO_IMAGE, pod.shell("pull.sh"), env=values, mounts=mounts)


def _pusher(plan: Plan, tuning: TuningPlan) -> Json:
    values = [
        ("IMAGE", tuning.output.image),
        ("MODEL_NAME", plan.preset.name),
        ("RESULTS_DIR", tuning.output_dir),
    ]
    mounts = [
        pod.mount(REGISTRY_AUTH, "/root/.docker"),
        pod.mount(RESULTS, tuning.output_dir),
    ]
    return pod.task("pusher", ORAS_PUSH_IMAGE, pod.shell("push.sh"), env=values, mounts=mounts)


def _volumes(plan: Plan, tuning: TuningPlan) -> list[Json]:
    source, output = tuning.input, tuning.output
    scratch = pod.scratch_volumes(plan.blueprint.mounts)
    volumes = [
        *(volume for volume in scratch if volume["name"] != DATA),
        {"name": DATA, **(source.volume_source or {"emptyDir": {}})},
        {"name": RESULTS, **(output.volume_source or {"emptyDir": {}})},
        pod.config_volume(tuning.config_map),
    ]
    if source.image:
        volumes.append(pod.pull_secrets_volume(DATA_AUTH, source.image_pull_secrets or ()))
    if output.image:
        items = [{"key": DOCKER_CONFIG_KEY, "path": "config.json"}]
        secret = {"secretName": output.image_push_secret, "items": items}
        volumes.append({"name": REGISTRY_AUTH, "secret": secret})
    return volumes


def server(plan: Plan, tuning: TuningPlan, identity: Identity, options: RenderOptions) -> Json:
    """The StatefulSet that serves the tuned adapter, on the machine that is already paid for.

    Raises ValueError for a plan that serves none.
    """
    blueprint = tuning.server
    if blueprint is None:
        raise ValueError(f"{identity.name}: the tuned adapter is not to be served")
    engine = pod.engine_container(
        identity.name,
        blueprint,
        tuning.server_argv,
        plan.gpus_per_node,
        options,
        startup=blueprint.startup,
    )
    secret = tuning.output.image_push_secret
    volume = pod.mount(ADAPTER, ADAPTER_PATH)
    puller = _puller(tuning.output.image, "adapter-puller", volume, ADAPTER_FOLDER, REGISTRY_AUTH)
    template: Json = {
        "affinity": pod.affinity(plan, identity),
        "tolerations": pod.tolerations(options),
        "initContainers": [_weights(blueprint, options), puller],
        "containers": [engine],
        "volumes": [
            *pod.scratch_volumes(blueprint.mounts),
            pod.pull_secrets_volume(REGISTRY_AUTH, [secret]),
        ],
    }
    return stateful_set(identity, {**identity.labels, **_SERVED}, template)


def server_services(blueprint: Blueprint, identity: Identity, *, load_balancer: bool) -> list[Json]:
    """The tuned adapter's address, `80/TCP,29500/TCP`, and the headless Service."""
    ports = [port("http", HTTP_PORT, blueprint.ports[0].number)]
    if not load_balancer:
        ports.append(port("rendezvous", RENDEZVOUS_PORT, RENDEZVOUS_PORT))
    address = first_pod_service(identity, ports, load_balancer=load_balancer)
    return [address, headless_service(identity)]
