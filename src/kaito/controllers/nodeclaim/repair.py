"""Machines that do not work are replaced: slowly, and not when all seem to fail at once. Pure.

What the Node says about the past is not enough: while a cluster is stopped every Node looks broken
for hours. So patience also has to have been lost by this process, watching a machine that the
cloud says is running, from the beginning to the end of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kaito.controllers.nodeclaim import words
from kaito.controllers.nodeclaim.observe import Node, Observed
from kaito.controllers.nodeclaim.options import NodeClaimOptions
from kaito.controllers.nodeclaim.words import Reason
from kaito.kube.clock import parse_rfc3339, rfc3339

_HARMLESS: Final = 0.1
"""Of the patience: what is mended by itself before that is no trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with a machine that was launched."""

    message: str
    age: float
    """Seconds since it began, as the objects tell."""
    limit: float
    """Seconds of patience."""

    @property
    def harmless(self) -> float:
        """Seconds for which it is still too young to be looked into; 0 or less when it is not."""
        return self.limit * _HARMLESS - self.age

    def left(self, watched: float) -> float:
        """Seconds of patience left when this process has watched it for so long."""
        return self.limit - min(self.age, watched)


def trouble(seen: Observed, options: NodeClaimOptions) -> Trouble | None:
    """What is wrong now, if anything."""
    if not options.repair or seen.claim.metadata.deleting:
        return None
    return _unready(seen, options) if seen.nodes else _absent(seen, options)


def _unready(seen: Observed, options: NodeClaimOptions) -> Trouble | None:
    node = seen.node
    if node is None or node.is_ready or not seen.is_true(words.Condition.REGISTERED):
        return None
    return Trouble(
        message=f"node {node.meta.name} is not ready: {node.ready.message}".rstrip(": "),
        age=node.unready_for(seen.now).total_seconds(),
        limit=options.repair_after,
    )


def _absent(seen: Observed, options: NodeClaimOptions) -> Trouble | None:
    registered = seen.claim.condition(words.Condition.REGISTERED)
    if registered is None or registered.reason != Reason.NODE_NOT_FOUND:
        return None
    since = parse_rfc3339(registered.last_transition_time or rfc3339(seen.now))
    node = seen.claim.status.node_name
    told = f"its node {node} is gone" if node else "it never joined the cluster"
    return Trouble(
        message=f"the machine runs, but {told}",
        age=(seen.now - since).total_seconds(),
        limit=options.repair_after if node else options.repair_unregistered_after,
    )


def brake(nodes: Sequence[Node], now: datetime, options: NodeClaimOptions) -> str:
    """Why nothing may be replaced now, `nodes` being all managed ones; empty when it may."""
    broken = sum(node.unready_for(now).total_seconds() >= options.repair_after for node in nodes)
    allowed = max(1, math.ceil(len(nodes) * options.repair_share))
    if broken <= allowed:
        return ""
    return (
        f"{broken} of {len(nodes)} nodes are not ready, more than the {allowed} that may be"
        " replaced at once, so none is"
    )
