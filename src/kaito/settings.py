"""Settings: environment and flags become frozen values, once. The only reader of the environment.

Flag names are controller-runtime's where it has the flag, environment names those of the Azure
workload-identity webhook and of KAITO's charts, so an existing Deployment keeps its meaning.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from kaito.manifests.options import RenderOptions

Environment = Mapping[str, str]

CONTROLLERS = ("workspace", "nodeclaim")
"""Every controller there is, by the name `--controllers` takes."""


class SettingsError(ValueError):
    """Settings that cannot work together; the text says what to set."""


def environment() -> Environment:
    """The environment of this process."""
    return os.environ


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSettings:
    """Which managed cluster the machines belong to, and how to reach Azure."""

    subscription: str
    """Environment ARM_SUBSCRIPTION_ID or AZURE_SUBSCRIPTION_ID."""
    resource_group: str
    """Environment ARM_RESOURCE_GROUP."""
    cluster: str
    """Environment AZURE_CLUSTER_NAME."""
    endpoint: str = "https://management.azure.com"
    """`--azure-endpoint`: another one for a sovereign cloud, or the embedded ARM endpoint."""
    ca_file: str = ""
    """`--azure-ca-file`: the authority of an endpoint that no public authority vouches for."""
    token_file: str = ""
    """`--azure-token-file`: a bearer token to send instead of asking Microsoft Entra for one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """How the operator runs."""

    controllers: tuple[str, ...] = CONTROLLERS
    """Which controllers run here; `workspace` and `nodeclaim` may run as separate programs."""
    azure: AzureSettings | None = None
    """None: `--cloud=none`, nothing provisions machines here, another provisioner may."""
    leader_elect: bool = True
    """Hold a lease while running, so that two replicas never both spend money."""
    leader_namespace: str = "kaito-system"
    """Where the lease lives: the operator's own namespace."""
    metrics_address: str = ":8080"
    """`host:port`; "0" switches it off (controller-runtime's spelling)."""
    probe_address: str = ":8081"
    """`host:port`; "0" switches it off."""
    concurrent_updates: int = 1
    """Workspaces that are updated on request at the same time."""
    render: RenderOptions = RenderOptions()  # noqa: RUF009 - frozen
    cloud_speed: float = 1.0
    """How fast the cloud's clock runs; only a simulated cloud's is not 1."""
    loop_lag_interval: float = 0.25
    """Seconds between measurements of how late the event loop runs; 0 switches them off."""
    freeze_after_sync: bool = True
    """Keep the garbage collector away from what the first sync brought."""
    grace_seconds: float = 30.0
    """How long running reconciles may take to finish after SIGTERM."""


def azure_settings(
    env: Environment, *, endpoint: str = "", ca_file: str = "", token_file: str = ""
) -> AzureSettings:
    """The cluster the environment names. Raises SettingsError naming every missing variable."""
    wanted = {
        "ARM_SUBSCRIPTION_ID": env.get("ARM_SUBSCRIPTION_ID") or env.get("AZURE_SUBSCRIPTION_ID"),
        "ARM_RESOURCE_GROUP": env.get("ARM_RESOURCE_GROUP"),
        "AZURE_CLUSTER_NAME": env.get("AZURE_CLUSTER_NAME"),
    }
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise SettingsError(
            f"--cloud=azure needs {', '.join(missing)} in the environment: "
            "they name the AKS cluster whose agent pools are to be managed"
        )
    return AzureSettings(
        subscription=wanted["ARM_SUBSCRIPTION_ID"] or "",
        resource_group=wanted["ARM_RESOURCE_GROUP"] or "",
        cluster=wanted["AZURE_CLUSTER_NAME"] or "",
        endpoint=endpoint or "https://management.azure.com",
        ca_file=ca_file,
        token_file=token_file,
    )


def render_options(env: Environment, cloud: Literal["azure", "none"]) -> RenderOptions:
    """Where images come from: PRESET_REGISTRY_NAME, as in KAITO's chart."""
    registry = env.get("PRESET_REGISTRY_NAME")
    return RenderOptions(registry=registry, cloud=cloud) if registry else RenderOptions(cloud=cloud)


def own_namespace(env: Environment) -> str:
    """The operator's namespace: POD_NAMESPACE from the downward API, else kaito-system."""
    return env.get("POD_NAMESPACE") or "kaito-system"
