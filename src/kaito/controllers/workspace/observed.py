"""One Workspace and its surroundings as they were observed: a frozen value."""

from dataclasses import dataclass
from typing import final

from kaito.api.workspace import Workspace
from kaito.kube.objects import Json, ObjectKey, Record


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The world as far as one Workspace goes."""

    record: Record
    workspace: Workspace
    config: Json | None
    """`data` of the ConfigMap the user names; None when it names none or it does not exist."""
    claims: tuple[Record, ...]
    """Claims of this very Workspace (UID and all), those being deleted included."""
    taken_claim_names: frozenset[str]
    """Names of all claims in the cluster: a new claim needs one that is free."""
    nodes: tuple[Record, ...]
    """The nodes of those claims, sorted by name."""
    pods: tuple[Record, ...]
    stateful_set: Record | None
    job: Record | None
    deployment: Record | None = None
    """Of KAITO before v0.8; none is ever made here."""
    revisions: tuple[Record, ...]
    """Ours, ascending by number."""
    former_revisions: tuple[Record, ...] = ()
    """KAITO's, ascending by number. They are read and never written."""

    @property
    def key(self) -> ObjectKey:
        return self.record.key

    @property
    def uid(self) -> str:
        return self.record.meta.uid

    @property
    def worker_nodes(self) -> list[str]:
        """Where it runs: the machines of its claims; without any, where its pods are."""
        if self.claims:
            return [node.meta.name for node in self.nodes]
        return sorted({name for pod in self.pods if (name := pod.get("spec", "nodeName"))})

    @property
    def living_claims(self) -> tuple[Record, ...]:
        return tuple(claim for claim in self.claims if not claim.meta.deleting)


def config_name(workspace: Workspace) -> str:
    """The ConfigMap the user names, for inference or tuning; empty when none."""
    spec = workspace.tuning or workspace.inference
    return spec.config if spec is not None else ""
