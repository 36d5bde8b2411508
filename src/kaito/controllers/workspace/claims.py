"""Asks for the machines that are missing. Never asks twice for one, never takes one away."""

from typing import final

from kaito.api.names import Annotation, Reason
from kaito.api.resources import NODECLAIMS
from kaito.controllers.workspace.demand import Demand
from kaito.controllers.workspace.machines import new_claim_names
from kaito.controllers.workspace.observed import Observed
from kaito.framework.consistent import ConsistentClient
from kaito.framework.recorder import Recorder
from kaito.kube.errors import AlreadyExists, Conflict
from kaito.kube.objects import ObjectKey
from kaito.manifests.identity import Identity
from kaito.manifests.nodeclaim import node_claim
from kaito.planning.decision import Plan


class NameTaken(Conflict):
    """A claim's name is borne by an object that is not ours, or not free yet; look again."""

    def __init__(self, name: str) -> None:
        message = f"NodeClaim {name} exists and is not this Workspace's"
        super().__init__(message, code=409, reason="AlreadyExists")


@final
class Claims:
    """Creates claims under names that follow from the Workspace's UID, so a repeat is a no-op."""

    def __init__(self, client: ConsistentClient, recorder: Recorder, field_manager: str) -> None:
        self._client = client
        self._recorder = recorder
        self._field_manager = field_manager

    async def ensure(self, observed: Observed, demand: Demand, plan: Plan) -> None:
        """Create the claims that are missing, as planned.

        Raises NameTaken when a name turns out to be borne by something else, seen or unseen.
        """
        identity = Identity(
            namespace=observed.key.namespace, name=observed.key.name, uid=observed.uid
        )
        for name in new_claim_names(observed, demand):
            claim = node_claim(plan, identity, name)
            try:
                await self._client.create(NODECLAIMS, claim, field_manager=self._field_manager)
            except AlreadyExists:
                await self._must_be_ours(name, observed.uid)
                continue
            self._recorder.event(
                observed.record,
                type="Normal",
                reason=Reason.NODECLAIM_CREATED,
                action="Provision",
                message=f"asked for a {plan.sku.name} machine: NodeClaim {name}",
            )

    async def _must_be_ours(self, name: str, uid: str) -> None:
        """A create that was answered but not seen (a crash, a lost response) is our own."""
        live = await self._client.get_live(NODECLAIMS, ObjectKey("", name))
        ours = live is not None and live.meta.annotations.get(Annotation.WORKSPACE_UID) == uid
        if not ours or live is None or live.meta.deleting:
            raise NameTaken(name)
