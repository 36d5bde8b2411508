"""Machines that do not work are replaced: slowly, and not when all seem to fail at once. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kaito.controllers.nodeclaim import words
from kaito.controllers.nodeclaim.observe import Node, Observed
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.words import Reason
from kaito.kube.clock import parse_rfc3339, rfc3339


@dataclass(frozen=True, slots=True)
class Fine:
    """Nothing is wrong now. Look again in so many seconds, if ever."""

    again: float | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """The machine has been broken for too long."""

    message: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """It has, but so have too many others: the cause is elsewhere."""

    message: str
    again: float


Verdict = Fine | Replace | Blocked


def verdict(
    seen: Observed, managed: Callable[[], Sequence[Node]], options: NodeClaimOptions
) -> Verdict:
    """Should the machine of this claim be replaced? `managed` gives all managed Nodes."""
    if not options.repair or seen.claim.metadata.deleting:
        return Fine()
    left, message = _patience(seen, options)
    if left is None:
        return Fine()
    if left > 0:
        return Fine(left)
    nodes = managed()
    broken = [node for node in nodes if _is_broken(node, seen.now, options)]
    allowed = max(1, math.ceil(len(nodes) * options.repair_share))
    if len(broken) > allowed:
        return Blocked(
            f"{len(broken)} of {len(nodes)} nodes are not ready, more than the {allowed} that may"
            f" be replaced at once; nothing is. {message}",
            options.repair_after,
        )
    return Replace(message)


def _patience(seen: Observed, options: NodeClaimOptions) -> tuple[float | None, str]:
    """Seconds until patience ends, None where nothing is wrong; and what is wrong."""
    node = seen.node
    if node is not None:
        if node.is_ready or not seen.is_true(words.Condition.REGISTERED):
            return None, ""
        bad = node.unready_for(seen.now)
        told = f"node {node.meta.name} is not ready: {node.ready.message}".rstrip(": ")
        return options.repair_after - bad.total_seconds(), told
    registered = seen.claim.condition(words.Condition.REGISTERED)
    if seen.nodes or registered is None or registered.reason != Reason.NODE_NOT_FOUND:
        return None, ""
    since = parse_rfc3339(registered.last_transition_time or rfc3339(seen.now))
    known = bool(seen.claim.status.node_name)
    limit = options.repair_after if known else options.repair_unregistered_after
    told = f"its node {seen.claim.status.node_name} is gone" if known else "it never joined"
    return limit - (seen.now - since).total_seconds(), f"the machine runs, but {told}"


def _is_broken(node: Node, now: datetime, options: NodeClaimOptions) -> bool:
    return node.unready_for(now).total_seconds() >= options.repair_after
