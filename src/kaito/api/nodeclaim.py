"""NodeClaim, the kind Karpenter defines: read leniently, because it belongs to others.

Only what we use has a type, every field may be absent, and nothing unknown is an error.
"""

from typing import Final

import msgspec

from kaito.kube.objects import Meta, ObjectKey, Record


class Requirement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `spec.requirements`."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class Taint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `spec.taints`."""

    key: str = ""
    value: str = ""
    effect: str = ""


class NodeClassRef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`spec.nodeClassRef`."""

    group: str = ""
    kind: str = ""
    name: str = ""


class Resources(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`spec.resources`."""

    requests: dict[str, str | int | float] | None = None


class Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`spec`."""

    requirements: tuple[Requirement, ...] | None = None
    taints: tuple[Taint, ...] | None = None
    startup_taints: tuple[Taint, ...] | None = None
    node_class_ref: NodeClassRef | None = None
    resources: Resources | None = None
    expire_after: str = ""
    termination_grace_period: str | None = None


class ClaimCondition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of `status.conditions`."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`status`."""

    provider_id: str = msgspec.field(default="", name="providerID")
    node_name: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    conditions: tuple[ClaimCondition, ...] | None = None


class NodeClaim(msgspec.Struct, frozen=True, kw_only=True):
    """One claim as it was read."""

    metadata: Meta
    spec: Spec
    status: Status

    @property
    def key(self) -> ObjectKey:
        return self.metadata.key

    def values(self, requirement: str) -> tuple[str, ...]:
        """The values that an `In` requirement on that key allows; empty when there is none."""
        for item in self.spec.requirements or ():
            if item.key == requirement and item.operator == "In":
                return item.values or ()
        return ()

    @property
    def instance_type(self) -> str:
        """The machine size asked for; the first one when several are allowed."""
        return next(iter(self.values("node.kubernetes.io/instance-type")), "")

    @property
    def storage(self) -> str:
        """The disk asked for, as a quantity; empty when none."""
        resources = self.spec.resources
        found = (resources.requests or {}).get("storage", "") if resources else ""
        return str(found)

    def condition(self, type: str) -> ClaimCondition | None:  # noqa: A002 - the field's own name
        """The condition of that type."""
        return next((item for item in self.status.conditions or () if item.type == type), None)

    @property
    def ready(self) -> bool:
        """Whether Karpenter calls it ready. A claim without that condition is ready by its node."""
        condition = self.condition("Ready")
        return condition.status == "True" if condition else bool(self.status.node_name)


_NO_SPEC: Final = Spec()
_NO_STATUS: Final = Status()


def parse(record: Record) -> NodeClaim:
    """Read a claim. Raises msgspec.ValidationError when a field has another shape altogether."""
    return NodeClaim(
        metadata=record.meta,
        spec=record.field("spec", Spec) or _NO_SPEC,
        status=record.field("status", Status) or _NO_STATUS,
    )
