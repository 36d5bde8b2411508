"""Launched, Registered, Initialized, Ready: what is true of a claim. Pure.

Names, reasons and order are Karpenter's, because KAITO and people compare them. As there, a Node
that was ready once and is not now changes nothing here: that is told by the Node. Unlike there, a
claim whose Node is gone says so, until one joins again.
"""

from dataclasses import dataclass
from typing import Any, Final

from kaito.controllers.nodeclaim import words
from kaito.controllers.nodeclaim.observe import Node, Observed
from kaito.controllers.nodeclaim.words import EPHEMERAL_TAINTS, Reason
from kaito.framework.conditions import Condition, Status
from kaito.kube.quantity import InvalidQuantity, parse

_GPU: Final = "nvidia.com/gpu"


def gpus(node: Node) -> int:
    """What the device plugin offers on this Node: 0 until it runs. No part of Initialized."""
    try:
        return int(parse((node.status.capacity or {}).get(_GPU, "0")))
    except InvalidQuantity:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a claim's status says about its machine."""

    conditions: tuple[Condition, ...]
    fields: dict[str, Any]
    """`providerID`, `nodeName`, `imageID`, `capacity`, `allocatable`, those that are known."""


def report(seen: Observed, launched: Condition, image: str = "") -> Report:
    """The whole status, given what the launch came to."""
    registered = _registered(seen, launched)
    initialized = _initialized(seen, registered)
    dependents = (launched, registered, initialized)
    return Report(
        conditions=(*dependents, _ready(seen, dependents)),
        fields=_fields(seen, registered, image),
    )


def launched_before(seen: Observed) -> Condition:
    """The condition Launched as it stands, or as it is before anybody has looked."""
    return _before(seen, words.Condition.LAUNCHED) or _condition(
        seen,
        words.Condition.LAUNCHED,
        "Unknown",
        Reason.AWAITING,
        "waiting for the node provisioner",
    )


def launched_true(seen: Observed) -> Condition:
    return _true(seen, words.Condition.LAUNCHED)


def launched_unknown(seen: Observed, reason: str, message: str) -> Condition:
    return _condition(seen, words.Condition.LAUNCHED, "Unknown", reason, message)


def _registered(seen: Observed, launched: Condition) -> Condition:
    kind = words.Condition.REGISTERED
    if seen.is_true(kind) and seen.nodes:
        return _true(seen, kind)
    if launched.status != "True":
        return _condition(seen, kind, "Unknown", Reason.AWAITING, "waiting for the machine")
    if not seen.nodes:
        return _condition(
            seen,
            kind,
            "Unknown",
            Reason.NODE_NOT_FOUND,
            "the machine has not joined the cluster yet",
        )
    if seen.node is None:
        names = ", ".join(node.meta.name for node in seen.nodes)
        return _condition(
            seen,
            kind,
            "False",
            Reason.MULTIPLE_NODES,
            f"more than one node is its machine: {names}",
        )
    if not seen.node.spec.provider_id:
        message = f"node {seen.node.meta.name} has no providerID yet"
        return _condition(seen, kind, "Unknown", Reason.NODE_NOT_FOUND, message)
    return _true(seen, kind)


def _initialized(seen: Observed, registered: Condition) -> Condition:
    kind = words.Condition.INITIALIZED
    if registered.status != "True":
        return _condition(seen, kind, "Unknown", Reason.AWAITING, "waiting for registration")
    if seen.is_true(kind):
        return _true(seen, kind)
    node = seen.node
    if node is None:
        return _condition(
            seen, kind, "Unknown", Reason.NODE_NOT_FOUND, "the node is not in the cluster"
        )
    missing = uninitialized(seen, node)
    if missing is not None:
        return _condition(seen, kind, "Unknown", *missing)
    return _true(seen, kind)


def uninitialized(seen: Observed, node: Node) -> tuple[str, str] | None:
    """Reason and message of the first thing that the Node lacks; None when it is initialized."""
    if not node.is_ready:
        told = f": {node.ready.message}" if node.ready.message else ""
        return Reason.NODE_NOT_READY, f"node {node.meta.name} is not ready{told}"
    startup = {(taint.key, taint.effect) for taint in seen.claim.spec.startup_taints or ()}
    for taint in node.taints:
        if (taint.key, taint.effect) in startup:
            return Reason.STARTUP_TAINTS, f"startup taint {taint.key} still exists"
    for taint in node.taints:
        if (taint.key, taint.effect) in EPHEMERAL_TAINTS:
            return Reason.EPHEMERAL_TAINTS, f"taint {taint.key} still exists"
    for name in _requested(seen):
        if _is_zero((node.status.allocatable or {}).get(name, "0")):
            return Reason.RESOURCE_NOT_REGISTERED, f"resource {name} was requested and is absent"
    return None


def _requested(seen: Observed) -> list[str]:
    """Resources asked for, but storage: that is the size of the disk, not a thing on the Node."""
    resources = seen.claim.spec.resources
    requests = (resources.requests or {}) if resources else {}
    return [n for n, amount in requests.items() if n != "storage" and not _is_zero(amount)]


def _is_zero(amount: str | int | float) -> bool:
    try:
        return parse(amount) == 0
    except InvalidQuantity:
        return True


def _ready(seen: Observed, dependents: tuple[Condition, ...]) -> Condition:
    kind = words.Condition.READY
    if all(condition.status == "True" for condition in dependents):
        return _true(seen, kind)
    waiting = ", ".join(f"{c.type}={c.status}" for c in dependents if c.status != "True")
    if any(condition.status == "False" for condition in dependents):
        return _condition(seen, kind, "False", Reason.UNHEALTHY_DEPENDENTS, waiting)
    return _condition(seen, kind, "Unknown", Reason.RECONCILING_DEPENDENTS, waiting)


def _fields(seen: Observed, registered: Condition, image: str) -> dict[str, Any]:
    found: dict[str, Any] = {"imageID": image} if image else {}
    node = seen.node
    if registered.status == "True" and node is not None:
        found |= {
            "providerID": node.spec.provider_id,
            "nodeName": node.meta.name,
            "capacity": node.status.capacity,
            "allocatable": node.status.allocatable,
        }
    return {name: value for name, value in found.items() if value}


def _before(seen: Observed, kind: str) -> Condition | None:
    found = seen.claim.condition(kind)
    if found is None:
        return None
    return _condition(seen, kind, _status(found.status), found.reason, found.message)


def _status(text: str) -> Status:
    if text == "True":
        return "True"
    return "False" if text == "False" else "Unknown"


def _true(seen: Observed, kind: str) -> Condition:
    return _condition(seen, kind, "True", kind, "")


def _condition(seen: Observed, kind: str, status: Status, reason: str, message: str) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=seen.claim.metadata.generation,
    )
