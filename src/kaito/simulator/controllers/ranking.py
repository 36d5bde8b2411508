"""What every node says to one kind of pod, kept from decision to decision.

Pods of one template ask for the same. Of a thousand nodes a decision changes one: its answer is
found anew, the others are remembered. The choice is the one that `scheduling.choose` makes.
"""

from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from kaito.simulator.controllers.scheduling import (
    Amounts,
    Chosen,
    NodeFacts,
    Nowhere,
    PodNeeds,
    Rank,
    Refusal,
    answer,
    enough,
    nowhere,
)

_MOST_KINDS: Final = 32
"""Kinds of pods that are remembered; a kind costs an entry per node."""

_encode: Final = msgspec.json.Encoder(order="sorted").encode


@final
class _Answers:
    """Of every node, in order, to one kind of pod."""

    def __init__(self, needs: PodNeeds, count: int) -> None:
        self._needs = needs
        self._ranks: list[Rank | None] = [None] * count
        self._refusals: dict[int, Refusal] = {}
        self.stale = set(range(count))

    def choose(
        self, nodes: Sequence[NodeFacts], used: Mapping[str, Amounts], start: int
    ) -> Chosen | Nowhere:
        for place in self.stale:
            node = nodes[place]
            found = answer(self._needs, node, used.get(node.name, {}))
            if isinstance(found, Refusal):
                self._ranks[place], self._refusals[place] = None, found
            else:
                self._ranks[place] = found
                self._refusals.pop(place, None)
        self.stale.clear()
        if len(self._refusals) == len(nodes):
            return nowhere(list(self._refusals.values()))
        fitting = list(filter(None, self._ranks[start:] + self._ranks[:start]))
        return Chosen(node=min(fitting[: enough(len(nodes))])[1])


@final
class Ranking:
    """The answers to the kinds of pods that came lately."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._nodes: Sequence[NodeFacts] = ()
        self._kinds: dict[bytes, tuple[PodNeeds, _Answers | None]] = {}

    def shared(self, needs: PodNeeds) -> PodNeeds:
        """The same needs, as the one object that all pods of their kind share."""
        return self._kind(needs)[1]

    def order(self, nodes: Sequence[NodeFacts]) -> None:
        """These are the nodes from now on, in this order. Everything is asked anew."""
        self._nodes = nodes
        self._places = {node.name: place for place, node in enumerate(nodes)}
        self._kinds = {key: (needs, None) for key, (needs, _) in self._kinds.items()}

    def changed(self, node: str) -> None:
        """The node has more or less room than before."""
        place = self._places.get(node)
        if place is None:
            return
        for _, answers in self._kinds.values():
            if answers is not None:
                answers.stale.add(place)

    def choose(
        self, needs: PodNeeds, used: Mapping[str, Amounts], *, start: int
    ) -> Chosen | Nowhere:
        """What `scheduling.choose` would say."""
        key, shared = self._kind(needs)
        answers = self._kinds[key][1]
        if answers is None:
            answers = _Answers(shared, len(self._nodes))
            self._kinds[key] = (shared, answers)
        return answers.choose(self._nodes, used, start)

    def _kind(self, needs: PodNeeds) -> tuple[bytes, PodNeeds]:
        key = _encode(needs)
        found = self._kinds.pop(key, None)
        if found is None:
            found = (needs, None)
            if len(self._kinds) >= _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
        self._kinds[key] = found  # the one asked last is the last to go
        return key, found[0]
