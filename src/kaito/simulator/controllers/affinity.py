"""Required affinity between pods: which nodes the neighbours of a pod leave to it. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from kaito.kube.objects import Json, Record
from kaito.kube.selectors import LabelSelector
from kaito.simulator.controllers.scheduling import Filter, NodeFacts, Refusal

NamespaceLabels = Callable[[str], Mapping[str, str]]
Place = tuple[str, str]
"""A label of a node, and its value: all nodes with it are one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Which pods are meant, and how large the place is that is shared with them, or not."""

    topology: str
    selector: LabelSelector
    namespaces: frozenset[str]
    chosen: LabelSelector | None
    """Namespaces by their labels, beside those that are named."""

    def means(self, pod: Record, labels_of: NamespaceLabels) -> bool:
        namespace = pod.meta.namespace
        if namespace not in self.namespaces and (
            self.chosen is None or not self.chosen.matches(labels_of(namespace))
        ):
            return False
        return self.selector.matches(pod.meta.labels)


def terms_of(pod: Record, side: str) -> tuple[Term, ...]:
    """The required terms of `podAffinity` or `podAntiAffinity`."""
    affinity: Json = (pod.get("spec", "affinity") or {}).get(side) or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return tuple(_term(term, pod.meta.namespace) for term in required)


def _term(term: Json, namespace: str) -> Term:
    chosen = term.get("namespaceSelector")
    named = term.get("namespaces") or ()
    own = () if named or chosen is not None else (namespace,)
    return Term(
        topology=term["topologyKey"],
        selector=LabelSelector.of(term.get("labelSelector")),
        namespaces=frozenset((*named, *own)),
        chosen=None if chosen is None else LabelSelector.of(chosen),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What the pods that have a place mean for one that has none."""

    wanted: tuple[Term, ...]
    first: bool
    """Nobody is there of those that it wants near, and it is one of them itself."""
    near: frozenset[Place]
    apart: frozenset[Place]
    repelled: frozenset[Place]

    def refuse(self, node: NodeFacts) -> Refusal | None:
        """Why the pod cannot go to a node that would take it otherwise, as kube-scheduler asks."""
        places = set(node.labels.items())
        if not self._attracted(node):
            why = "node(s) didn't match pod affinity rules"
            return Refusal(filter=Filter.NEIGHBOURS, reasons=(why,))
        if not self.apart.isdisjoint(places):
            why = "node(s) didn't match pod anti-affinity rules"
        elif not self.repelled.isdisjoint(places):
            why = "node(s) didn't satisfy existing pods anti-affinity rules"
        else:
            return None
        return Refusal(filter=Filter.NEIGHBOURS, reasons=(why,), hopeless=False)

    def _attracted(self, node: NodeFacts) -> bool:
        keys = [term.topology for term in self.wanted]
        if any(key not in node.labels for key in keys):
            return False
        return self.first or all((key, node.labels[key]) in self.near for key in keys)


Placed = tuple[Record, NodeFacts]
Repelling = tuple[tuple[Term, ...], NodeFacts]


def neighbours(
    pod: Record,
    placed: Iterable[Placed],
    repelling: Iterable[Repelling],
    labels_of: NamespaceLabels,
) -> Neighbours:
    """`placed`: the pods that the terms of this one may mean, with their nodes; `repelling`: those
    that have anti-affinity of their own: their terms and their nodes."""
    wanted, unwanted = terms_of(pod, "podAffinity"), terms_of(pod, "podAntiAffinity")
    near: set[Place] = set()
    apart: set[Place] = set()
    for other, node in placed:
        if wanted and all(term.means(other, labels_of) for term in wanted):
            near.update(_places(wanted, node))
        apart.update(_places((t for t in unwanted if t.means(other, labels_of)), node))
    repelled: set[Place] = set()
    for terms, node in repelling:
        repelled.update(_places((t for t in terms if t.means(pod, labels_of)), node))
    return Neighbours(
        wanted=wanted,
        first=not near and all(term.means(pod, labels_of) for term in wanted),
        near=frozenset(near),
        apart=frozenset(apart),
        repelled=frozenset(repelled),
    )


def _places(terms: Iterable[Term], node: NodeFacts) -> Iterator[Place]:
    for term in terms:
        if term.topology in node.labels:
            yield term.topology, node.labels[term.topology]
