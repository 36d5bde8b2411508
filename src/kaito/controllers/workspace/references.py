"""What a Workspace refers to: is it there, with the key that is read from it?

Secrets are read one by one, by the name the Workspace gives, and only while no machine has been
asked for; the operator has no right to list them. Their content goes nowhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

from kaito.api.names import (
    DOCKER_CONFIG_KEY,
    HF_TOKEN_KEY,
    INFERENCE_CONFIG_KEY,
    TRAINING_CONFIG_KEY,
    Reason,
)
from kaito.api.workspace import Workspace
from kaito.controllers.workspace.observed import Observed, config_name
from kaito.controllers.workspace.progress import Step, stalled
from kaito.kube.objects import ObjectKey, Record, Resource
from kaito.kube.resources import SECRETS


@final
@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret that a field of the Workspace names, and the key that is read from it."""

    name: str
    key: str
    field: str


class LiveReader(Protocol):
    """Reads one object past the cache; None when it does not exist."""

    async def get_live(self, resource: Resource, key: ObjectKey) -> Record | None: ...


def secrets_of(workspace: Workspace) -> Iterator[SecretUse]:
    """Every Secret the Workspace names."""
    inference, tuning = workspace.inference, workspace.tuning
    if inference is not None and inference.preset is not None:
        secret = inference.preset.preset_options.model_access_secret
        if secret:
            field = "inference.preset.presetOptions.modelAccessSecret"
            yield SecretUse(secret, HF_TOKEN_KEY, field)
    if tuning is not None:
        if tuning.output.image_push_secret:
            yield SecretUse(
                tuning.output.image_push_secret, DOCKER_CONFIG_KEY, "tuning.output.imagePushSecret"
            )
        for secret in tuning.input.image_pull_secrets or ():
            yield SecretUse(secret, DOCKER_CONFIG_KEY, "tuning.input.imagePullSecrets")


def missing_config(observed: Observed) -> Step | None:
    """What is wrong with the ConfigMap the Workspace names; None when nothing is."""
    name = config_name(observed.workspace)
    if not name:
        return None
    tuning = observed.workspace.tuning is not None
    key = TRAINING_CONFIG_KEY if tuning else INFERENCE_CONFIG_KEY
    namespace = observed.key.namespace
    field = "tuning.config" if tuning else "inference.config"
    if observed.config is None:
        return stalled(
            Reason.CONFIGMAP_NOT_FOUND,
            f"{field}: ConfigMap {namespace}/{name} does not exist; create it with: kubectl create "
            f"configmap {name} -n {namespace} --from-file={key}",
        )
    if key not in observed.config:
        return stalled(
            Reason.CONFIGMAP_KEY_MISSING,
            f"{field}: ConfigMap {namespace}/{name} has no key {key}; add it",
        )
    return None


async def missing_secret(observed: Observed, reader: LiveReader) -> Step | None:
    """What is wrong with the first Secret that is not as it should be; None when all are."""
    for use in secrets_of(observed.workspace):
        found = await reader.get_live(SECRETS, ObjectKey(observed.key.namespace, use.name))
        where = f"{use.field}: Secret {observed.key.namespace}/{use.name}"
        if found is None:
            return stalled(
                Reason.SECRET_NOT_FOUND, f"{where} does not exist; {_how_to_create(observed, use)}"
            )
        if use.key not in (found.get("data") or {}):
            return stalled(
                Reason.SECRET_KEY_MISSING,
                f"{where} has no key {use.key}; {_how_to_create(observed, use)}",
            )
    return None


def _how_to_create(observed: Observed, use: SecretUse) -> str:
    namespace = observed.key.namespace
    if use.key == DOCKER_CONFIG_KEY:
        return (
            f"create it with: kubectl create secret docker-registry {use.name} -n {namespace} "
            "--docker-server=REGISTRY --docker-username=USER --docker-password=PASSWORD"
        )
    return (
        f"create it with: kubectl create secret generic {use.name} -n {namespace} "
        f"--from-literal={use.key}=TOKEN"
    )
