"""The parts of a pod that inference, tuning and the server of a tuned adapter have in common."""

from collections.abc import Sequence
from importlib import resources as package_files
from itertools import chain

from kaito.api.names import GPU_RESOURCE, HF_TOKEN_KEY, TAINT_KEY, TAINT_VALUE
from kaito.kube.objects import Json
from kaito.manifests.identity import Identity
from kaito.manifests.options import RenderOptions
from kaito.planning.decision import Plan
from kaito.presets.blueprint import Blueprint, Mount, Probe

CONFIG_VOLUME = "config-volume"
CONFIG_PATH = "/mnt/config"


def script(name: str) -> str:
    """The text of a program that runs inside a pod."""
    return (package_files.files("kaito.manifests.scripts") / name).read_text(encoding="utf-8")


def variables(values: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values]


def token_env(secret: str) -> list[Json]:
    """The Hugging Face token. Not optional: a wrong key must show up here, not as a 401 later."""
    reference = {"secretKeyRef": {"name": secret, "key": HF_TOKEN_KEY}}
    return [{"name": "HF_TOKEN", "valueFrom": reference}]


def mount(volume: str, path: str) -> Json:
    return {"name": volume, "mountPath": path}


def command(blueprint: Blueprint, argv: tuple[str, ...]) -> list[str]:
    """The engine is exec'ed, so that it gets SIGTERM itself; a prelude needs a shell."""
    if not blueprint.prelude:
        return list(argv)
    return ["/bin/sh", "-c", f'{blueprint.prelude}exec "$@"', "sh", *argv]


def probe(spec: Probe) -> Json:
    action: Json = (
        {"exec": {"command": list(spec.command)}}
        if spec.command
        else {"httpGet": {"path": spec.path, "port": spec.port}}
    )
    timing = {
        "initialDelaySeconds": spec.initial_delay,
        "periodSeconds": spec.period,
        "timeoutSeconds": spec.timeout,
        "failureThreshold": spec.failures,
    }
    return {**action, **{name: value for name, value in timing.items() if value}}


def engine_container(
    name: str,
    blueprint: Blueprint,
    argv: tuple[str, ...],
    gpus: int,
    options: RenderOptions,
    *,
    startup: Probe | None,
) -> Json:
    """The container that a blueprint describes, asking for whole GPUs."""
    probes = {
        "startupProbe": startup,
        "livenessProbe": blueprint.liveness,
        "readinessProbe": blueprint.readiness,
    }
    wanted = {GPU_RESOURCE: str(gpus)}
    container: Json = {
        "name": name,
        "image": blueprint.image.reference(options.registry),
        "command": command(blueprint, argv),
        "env": variables(blueprint.env),
        "ports": [
            {"containerPort": port.number, **({"name": port.name} if port.name else {})}
            for port in blueprint.ports
        ],
        "resources": {"requests": wanted, "limits": wanted},
        "volumeMounts": [mount(item.volume, item.path) for item in blueprint.mounts],
    }
    container |= {field: probe(spec) for field, spec in probes.items() if spec is not None}
    return telling({field: value for field, value in container.items() if value != []})


def telling(container: Json) -> Json:
    """A container whose last log lines become its termination message when it fails.

    That message is what a condition can show, so that nobody has to look for the pod.
    """
    return {**container, "terminationMessagePolicy": "FallbackToLogsOnError"}


def shell(name: str) -> list[str]:
    """The command that runs one of our shell programs."""
    return ["/bin/sh", "-c", script(name)]


def task(
    name: str,
    image: str,
    command: list[str],
    *,
    mounts: list[Json],
    env: Sequence[tuple[str, str]] = (),
) -> Json:
    """A container that does one thing and ends."""
    container: Json = {"name": name, "image": image, "command": command}
    if env:
        container["env"] = variables(env)
    return telling({**container, "volumeMounts": mounts})


def scratch_volumes(mounts: Sequence[Mount]) -> list[Json]:
    """An emptyDir for every mount of a blueprint, each once."""
    volumes = {
        item.volume: {
            "name": item.volume,
            "emptyDir": {"medium": "Memory"} if item.medium == "memory" else {},
        }
        for item in mounts
    }
    return list(volumes.values())


def config_volume(config_map: str) -> Json:
    return {"name": CONFIG_VOLUME, "configMap": {"name": config_map}}


def pull_secrets_volume(name: str, secrets: Sequence[str]) -> Json:
    """Each Secret's registry credentials as a file `<secret>.json`."""
    sources = [
        {"secret": {"name": s, "items": [{"key": ".dockerconfigjson", "path": f"{s}.json"}]}}
        for s in secrets
    ]
    return {"name": name, "projected": {"sources": sources}}


def affinity(plan: Plan, identity: Identity) -> Json:
    """Only this Workspace's machines that also carry the labels the user asked for."""
    wanted = sorted(chain(plan.node_labels, identity.node_labels.items()))
    expressions = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted]
    terms = {"nodeSelectorTerms": [{"matchExpressions": expressions}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def tolerations(options: RenderOptions) -> list[Json]:
    """For the taints of GPU machines: the device plugin's, ours, and AKS's for spot machines."""

    def equal(key: str, value: str) -> Json:
        return {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}

    found: list[Json] = [
        {"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"},
        equal(TAINT_KEY, TAINT_VALUE),
    ]
    if options.cloud == "azure":
        found.append(equal("kubernetes.azure.com/scalesetpriority", "spot"))
    return found
