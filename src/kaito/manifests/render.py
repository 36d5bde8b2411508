"""A Plan becomes objects: what `kaito render` prints and what the controller applies."""

from dataclasses import dataclass
from typing import Final, final

from kaito.kube.objects import Json
from kaito.kube.resources import DEPLOYMENTS, JOBS, STATEFULSETS
from kaito.manifests import inference, tuning
from kaito.manifests.identity import Identity, claim_name
from kaito.manifests.nodeclaim import node_claim
from kaito.manifests.options import RenderOptions
from kaito.planning.decision import Plan

WORKLOADS: Final = frozenset({STATEFULSETS.kind, JOBS.kind, DEPLOYMENTS.kind})
"""Kinds that run pods. No Deployment is rendered; one that KAITO made may be kept."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The namespaced children of one Workspace, in the order in which they are applied."""

    first: tuple[Json, ...]
    """The workload and what it needs: ConfigMap, StatefulSet or Job, Services of inference."""
    served: tuple[Json, ...] = ()
    """Tuning only: what serves the adapter once training has succeeded."""
    claims: int | None = None
    """Of what was taken over: its machines that are ours to replace. None: one per node."""

    @property
    def workload(self) -> Json:
        """What runs the engine or the training."""
        return next(child for child in self.first if child["kind"] in WORKLOADS)

    @property
    def all(self) -> tuple[Json, ...]:
        return (*self.first, *self.served)


def render(plan: Plan, identity: Identity, options: RenderOptions) -> Rendered:
    """The children a Plan asks for. Equal inputs give equal objects."""
    if plan.tuning is None:
        workload = inference.workload(plan, identity, options)
        return Rendered(first=(workload, *inference.services(plan, identity)))
    config = (tuning.config_map(plan.tuning, identity),) if plan.tuning.template else ()
    first = (*config, tuning.job(plan, plan.tuning, identity, options))
    if plan.tuning.server is None:
        return Rendered(first=first)
    blueprint = plan.tuning.server
    services = tuning.server_services(blueprint, identity, load_balancer=plan.load_balancer)
    server = tuning.server(plan, plan.tuning, identity, options)
    return Rendered(first=first, served=(server, *services))


def render_all(plan: Plan, identity: Identity, options: RenderOptions) -> list[Json]:
    """Every object that would be created for a Workspace that owns nothing yet, claims first."""
    claims = [
        node_claim(plan, identity, claim_name(identity.uid, number)) for number in range(plan.nodes)
    ]
    return [*claims, *render(plan, identity, options).all]
