"""The books: what the operator wrote and when, what the cloud would have charged, what is left."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, final

from kaito.api.names import Label
from kaito.api.resources import NODECLAIMS
from kaito.apiserver.server import RequestInfo
from kaito.apiserver.tokens import account_name
from kaito.app.embedded import Embedded
from kaito.controllers import rbac
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.resources import EVENTS, NODES

OPERATOR: Final = account_name(ObjectKey(rbac.NAMESPACE, rbac.ACCOUNT))
_READS: Final = frozenset({"get", "list", "watch"})


@final
@dataclass(slots=True)
class Ledger:
    """Counts every write of the operator, by the Workspace that it was for."""

    cluster: Embedded
    writes: Counter[str] = field(default_factory=Counter)
    """By `verb resource`."""
    late: list[str] = field(default_factory=list)
    """Writes for a Workspace that was Ready."""
    ready: dict[str, frozenset[str]] = field(default_factory=dict)
    """Name of a Ready Workspace → its claims."""

    def note(self, request: RequestInfo) -> None:
        """One request that was answered."""
        if request.user != OPERATOR or request.verb in _READS or request.code >= 400:
            return
        if request.resource == EVENTS.plural:
            return
        what = f"{request.verb} {request.resource}/{request.name}"
        self.writes[f"{request.verb} {request.resource}"] += 1
        if self._is_late(request):
            self.late.append(what)

    def _is_late(self, request: RequestInfo) -> bool:
        for name, claims in self.ready.items():
            if request.name in claims or (request.namespace and request.name.startswith(name)):
                return True
        return False

    def is_ready(self, workspace: str, claims: list[Record]) -> None:
        """From now on every write for this Workspace is one too many."""
        self.ready[workspace] = frozenset(claim.meta.name for claim in claims)

    def close(self) -> None:
        """From now on writes are wanted again: things are being deleted."""
        self.ready.clear()

    @property
    def claims_made(self) -> int:
        return self.writes[f"create {NODECLAIMS.plural}"]

    @property
    def pools_made(self) -> int:
        return self.cluster.cluster.arm.meter.pools_created

    def pools(self) -> list[str]:
        """Agent pools that exist now."""
        return list(self.cluster.cluster.arm.states())

    async def nodes(self) -> list[str]:
        """Nodes that exist now and work for a Workspace."""
        found = await self.cluster.client().list(NODES, label_selector=Label.WORKSPACE)
        return [node.meta.name for node in found.items]

    def hours(self) -> tuple[float, float]:
        """(GPU-hours, node-hours) that would have been paid by now."""
        meter = self.cluster.cluster.arm.meter
        return meter.gpu_seconds / 3600, meter.node_seconds / 3600
