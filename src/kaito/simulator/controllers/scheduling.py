"""Which node a pod goes to, or the scheduler's true words for why it goes nowhere. Pure.

Filters are asked in kube-scheduler's order and each node counts for the first that refuses it;
reasons are counted, sorted and joined as kube-scheduler 1.36 does.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from kaito.kube.objects import Json, Record
from kaito.kube.quantity import parse

SCHEDULER = "default-scheduler"
NO_NODES = "no nodes available to schedule pods"
_CORDON: Json = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

Amounts = Mapping[str, int]
"""Thousandths of each resource."""


class Filter(Enum):
    """What can refuse a node."""

    UNSCHEDULABLE = "NodeUnschedulable"
    TAINT = "TaintToleration"
    AFFINITY = "NodeAffinity"
    RESOURCES = "NodeResourcesFit"
    VOLUME = "VolumeBinding"
    NEIGHBOURS = "InterPodAffinity"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What scheduling needs to know of a node."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Json, ...] = field(hash=False)
    unschedulable: bool
    allocatable: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNeeds:
    """What a pod asks of a node."""

    requests: Amounts
    selector: Mapping[str, str]
    terms: tuple[Json, ...] | None
    """Alternatives of the required node affinity; None: it has none."""
    preferred: tuple[Json, ...]
    tolerations: tuple[Json, ...]
    neighbourly: bool = False
    """It has required affinity to other pods, or against them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One node's no."""

    filter: Filter
    reasons: tuple[str, ...]
    hopeless: bool = True
    """Removing other pods would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nowhere:
    message: str
    filters: frozenset[Filter]
    """Which filters refused; a change that none of them looks at need not be looked at."""


def facts_of(node: Record) -> NodeFacts:
    allocatable = node.get("status", "allocatable") or {}
    return NodeFacts(
        name=node.meta.name,
        labels=dict(node.meta.labels),
        taints=tuple(node.get("spec", "taints") or ()),
        unschedulable=bool(node.get("spec", "unschedulable")),
        allocatable=_amounts(allocatable),
    )


def needs_of(pod: Record) -> PodNeeds:
    spec: Json = pod.get("spec") or {}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return PodNeeds(
        requests=requests_of(spec),
        selector=spec.get("nodeSelector") or {},
        terms=None if required is None else tuple(required.get("nodeSelectorTerms") or ()),
        preferred=tuple(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()),
        tolerations=tuple(spec.get("tolerations") or ()),
        neighbourly=_neighbourly(spec.get("affinity") or {}),
    )


def _neighbourly(affinity: Json) -> bool:
    return any(
        (affinity.get(side) or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
        for side in ("podAffinity", "podAntiAffinity")
    )


def requests_of(spec: Json) -> dict[str, int]:
    """Containers run together; init containers before them, beside the sidecars already started."""
    running: Counter[str] = Counter()
    for container in spec.get("containers") or ():
        running.update(_requests(container))
    beside: Counter[str] = Counter()
    highest: Counter[str] = Counter()
    for container in spec.get("initContainers") or ():
        wanted = Counter(_requests(container))
        if container.get("restartPolicy") == "Always":
            beside.update(wanted)
            highest |= beside
        else:
            highest |= beside + wanted
    total = (running + beside) | highest
    total.update(_amounts(spec.get("overhead") or {}))
    return {**total, "pods": 1000}


def _requests(container: Json) -> dict[str, int]:
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, str]) -> dict[str, int]:
    return {name: int(parse(quantity) * 1000) for name, quantity in quantities.items()}


# ---- filters


def refusal(needs: PodNeeds, node: NodeFacts, used: Amounts) -> Refusal | None:
    """Why the pod cannot go there; None when it can."""
    if node.unschedulable and not _tolerated(_CORDON, needs):
        return Refusal(filter=Filter.UNSCHEDULABLE, reasons=("node(s) were unschedulable",))
    if any(_repels(taint, needs) for taint in node.taints):
        return Refusal(filter=Filter.TAINT, reasons=("node(s) had untolerated taint(s)",))
    if not _attracted(needs, node):
        why = "node(s) didn't match Pod's node affinity/selector"
        return Refusal(filter=Filter.AFFINITY, reasons=(why,))
    return _fits(needs, node, used)


def _repels(taint: Json, needs: PodNeeds) -> bool:
    return taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerated(taint, needs)


def _tolerated(taint: Json, needs: PodNeeds) -> bool:
    return any(tolerates(toleration, taint) for toleration in needs.tolerations)


def tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (
        taint.get("value") or ""
    )


def _attracted(needs: PodNeeds, node: NodeFacts) -> bool:
    if any(node.labels.get(key) != value for key, value in needs.selector.items()):
        return False
    return needs.terms is None or any(_matches(term, node) for term in needs.terms)


def _matches(term: Json, node: NodeFacts) -> bool:
    """One term: all of its expressions; an empty one matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    name = {"metadata.name": node.name}
    return all(_holds(e, node.labels) for e in expressions) and all(_holds(e, name) for e in fields)


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key: str = expression["key"]
    values: list[str] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt":
            return _number(labels.get(key)) > _number(values[0])
        case "Lt":
            return key in labels and _number(labels[key]) < _number(values[0])
        case _:
            return False


def _number(text: str | None) -> float:
    try:
        return float("-inf") if text is None else int(text)
    except ValueError:
        return float("nan")


def _fits(needs: PodNeeds, node: NodeFacts, used: Amounts) -> Refusal | None:
    reasons, hopeless = [], False
    for name, wanted in needs.requests.items():
        capacity = node.allocatable.get(name, 0)
        if wanted <= 0 or wanted <= capacity - used.get(name, 0):
            continue
        reasons.append("Too many pods" if name == "pods" else f"Insufficient {name}")
        hopeless = hopeless or wanted > capacity
    if not reasons:
        return None
    return Refusal(filter=Filter.RESOURCES, reasons=tuple(reasons), hopeless=hopeless)


# ---- the decision


def enough(nodes: int) -> int:
    """How many fitting nodes are compared before the search ends; kube-scheduler's rule."""
    percent = max(5, 50 - nodes // 125)
    return max(100, nodes * percent // 100)


def choose(
    needs: PodNeeds,
    nodes: Sequence[NodeFacts],
    used: Mapping[str, Amounts],
    *,
    start: int = 0,
    also: Callable[[NodeFacts], Refusal | None] | None = None,
) -> Chosen | Nowhere:
    """The best node, or the words for there being none.

    `start`: where the search begins. In a large cluster it ends before it has seen every node, so
    beginning elsewhere each time spreads the pods. `also`: asked last, of a node that would do.
    """
    refusals: list[Refusal] = []
    best: Rank | None = None
    fitting, wanted = 0, enough(len(nodes))
    for number in range(len(nodes)):
        node = nodes[(start + number) % len(nodes)]
        found = answer(needs, node, used.get(node.name, {}))
        if also is not None and not isinstance(found, Refusal):
            found = also(node) or found
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        if best is None or found < best:
            best = found
        fitting += 1
        if fitting >= wanted:
            break
    return nowhere(refusals) if best is None else Chosen(node=best[1])


Rank = tuple[float, str]
"""Of a node that takes the pod: the least is the best."""


def answer(needs: PodNeeds, node: NodeFacts, used: Amounts) -> Rank | Refusal:
    """What one node says."""
    no = refusal(needs, node, used)
    return (-_score(needs, node, used), node.name) if no is None else no


def nowhere(refusals: list[Refusal]) -> Nowhere:
    """When every node has said no."""
    filters = frozenset(no.filter for no in refusals)
    return Nowhere(message=explain(refusals), filters=filters)


def _score(needs: PodNeeds, node: NodeFacts, used: Amounts) -> float:
    """Preferred affinity first, then the emptier node, as kube-scheduler's defaults lean."""
    matching = (p for p in needs.preferred if _matches(p["preference"], node))
    wanted = sum(int(p.get("weight", 1)) for p in matching)
    free: list[float] = []
    for name in ("cpu", "memory"):
        capacity = node.allocatable.get(name, 0)
        if capacity:
            free.append(1 - (used.get(name, 0) + needs.requests.get(name, 0)) / capacity)
    return 1000.0 * wanted + sum(free)


def explain(refusals: list[Refusal]) -> str:
    """kube-scheduler's message for a pod that no node takes."""
    if not refusals:
        return NO_NODES
    total = len(refusals)
    reasons = Counter(reason for no in refusals for reason in no.reasons)
    helpless = Counter(
        "Preemption is not helpful for scheduling"
        if no.hopeless
        else "No preemption victims found for incoming pod"
        for no in refusals
    )
    head = f"0/{total} nodes are available:"
    preemption = f"no new claims to deallocate, preemption: {head} {_told(helpless)}."
    return f"{head} {_told(reasons)}. {preemption}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {text}" for text, count in counts.items()))


def without_volume(claim: str, total: int) -> str:
    """The message for a pod whose claim does not exist."""
    if not total:
        return NO_NODES
    return f'0/{total} nodes are available: persistentvolumeclaim "{claim}" not found. not found'


def helps(filters: frozenset[Filter], needs: PodNeeds, node: NodeFacts, used: Amounts) -> bool:
    """Whether this node, as it is now, passes a filter that refused all nodes before.

    Without any refusal on record everything may help.
    """
    if not filters:
        return True
    no = refusal(needs, node, used)
    return no is None or no.filter not in filters or _later(no.filter, filters)


_ORDER: tuple[Filter, ...] = tuple(Filter)


def _later(refused: Filter, filters: frozenset[Filter]) -> bool:
    """An earlier filter that refused before lets the node pass now."""
    return any(_ORDER.index(one) < _ORDER.index(refused) for one in filters)
