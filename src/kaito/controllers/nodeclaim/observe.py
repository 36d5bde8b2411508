"""What is known of one claim: the claim, and the Nodes of its machine. Reads caches only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from kaito.api import nodeclaim
from kaito.api.names import Finalizer
from kaito.api.nodeclaim import NodeClaim
from kaito.api.resources import NODECLAIMS
from kaito.framework.store import Store
from kaito.kube.clock import parse_rfc3339
from kaito.kube.objects import Meta, ObjectKey, Record

MACHINE_INDEX: Final = "kaito.machine"
"""Nodes by the name of their machine."""


class Taint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of a Node's `spec.taints`."""

    key: str = ""
    effect: str = ""
    value: str = ""


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`spec` of a Node."""

    provider_id: str = msgspec.field(default="", name="providerID")
    taints: tuple[Taint, ...] | None = None


class NodeCondition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of a Node's `status.conditions`."""

    type: str = ""
    status: str = "Unknown"
    message: str = ""
    last_transition_time: str | None = None


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`status` of a Node."""

    conditions: tuple[NodeCondition, ...] | None = None
    capacity: dict[str, str] | None = None
    allocatable: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One Node as it was read."""

    record: Record
    spec: NodeSpec
    status: NodeStatus

    @property
    def meta(self) -> Meta:
        return self.record.meta

    @property
    def taints(self) -> tuple[Taint, ...]:
        return self.spec.taints or ()

    @property
    def ready(self) -> NodeCondition:
        conditions = self.status.conditions or ()
        missing = NodeCondition(type="Ready", message="the kubelet has not reported yet")
        return next((c for c in conditions if c.type == "Ready"), missing)

    @property
    def is_ready(self) -> bool:
        return self.ready.status == "True"

    def unready_for(self, now: datetime) -> timedelta:
        """Since when it is not ready; zero for one that is."""
        since = self.ready.last_transition_time or self.meta.creation_timestamp
        if self.is_ready or since is None:
            return timedelta()
        return now - parse_rfc3339(since)


def node_of(record: Record) -> Node:
    """Read a Node leniently."""
    spec = record.field("spec", NodeSpec) or NodeSpec()
    return Node(record, spec, record.field("status", NodeStatus) or NodeStatus())


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One claim and its Nodes at one moment."""

    record: Record
    """The claim as it was read."""
    claim: NodeClaim
    nodes: tuple[Node, ...]
    """All Nodes of the machine, in order of their names."""
    now: datetime

    @property
    def key(self) -> ObjectKey:
        return self.claim.key

    @property
    def uid(self) -> str:
        return self.claim.metadata.uid

    @property
    def born(self) -> datetime:
        return parse_rfc3339(self.claim.metadata.creation_timestamp or "1970-01-01T00:00:00Z")

    @property
    def intended(self) -> bool:
        """Whether the intent to have a machine is on record."""
        return Finalizer.TERMINATION in self.claim.metadata.finalizers

    def after(self, record: Record) -> "Observed":
        """The same after a write that answered with `record`."""
        return replace(self, record=record, claim=nodeclaim.parse(record))

    @property
    def node(self) -> Node | None:
        """The Node of the claim: the only one, or the one whose machine the claim has known."""
        known = [n for n in self.nodes if n.spec.provider_id == self.claim.status.provider_id]
        candidates = known or list(self.nodes)
        return candidates[0] if len(candidates) == 1 else None

    def is_true(self, condition: str) -> bool:
        found = self.claim.condition(condition)
        return found is not None and found.status == "True"


def observe(claims: Store, nodes: Store, key: ObjectKey, now: datetime) -> Observed | None:
    """None when there is no such claim."""
    record = claims.get(key)
    if record is None:
        return None
    return observed(record, nodes_of(nodes, key.name), now)


def observed(record: Record, nodes: Iterable[Node], now: datetime) -> Observed:
    ordered = sorted(nodes, key=lambda node: node.meta.name)
    claim = nodeclaim.parse(record)
    return Observed(record=record, claim=claim, nodes=tuple(ordered), now=now)


def nodes_of(nodes: Store, machine: str) -> list[Node]:
    """The Nodes of the machine of that name."""
    return [node_of(record) for record in nodes.by_index(MACHINE_INDEX, machine)]


def by_machine(label: str) -> Callable[[Record], Iterable[str]]:
    """The index function of `MACHINE_INDEX`."""

    def values(record: Record) -> Iterable[str]:
        machine = record.meta.labels.get(label)
        return (machine,) if machine else ()

    return values


def claim_keys(label: str) -> Callable[[Record], Iterable[ObjectKey]]:
    """A Node wants the claim of its machine, which has the same name."""

    def keys(record: Record) -> Iterable[ObjectKey]:
        names = {record.meta.labels.get(label, "")}
        names.update(o.name for o in record.meta.owners if o.kind == NODECLAIMS.kind)
        return (ObjectKey("", name) for name in sorted(names) if name)

    return keys
