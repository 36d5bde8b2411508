"""The scheduler's decision, and its words, as kube-scheduler 1.36 says them."""

import pytest

from kaito.kube.objects import Json, record_of
from kaito.simulator.controllers.scheduling import (
    Chosen,
    Nowhere,
    choose,
    enough,
    facts_of,
    helps,
    needs_of,
    requests_of,
)

GPU = "nvidia.com/gpu"
SKU = {"key": "sku", "value": "gpu", "effect": "NoSchedule"}
SUFFIX = "no new claims to deallocate, preemption: 0/{n} nodes are available: {n} "
ONE_EACH = (
    "no new claims to deallocate, preemption: 0/2 nodes are available: "
    "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
)
HELPLESS = SUFFIX + "Preemption is not helpful for scheduling."


def node(name: str, *taints: Json, gpus: int = 0, cordoned: bool = False, **labels: str):
    allocatable = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    if gpus:
        allocatable[GPU] = str(gpus)
    return facts_of(
        record_of(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "spec": {"taints": list(taints), "unschedulable": cordoned},
                "status": {"allocatable": allocatable},
            }
        )
    )


def pod(gpus: int = 0, cpu: str = "", selector: Json | None = None, **spec: object):
    limits = {GPU: str(gpus)} if gpus else {}
    requests = {"cpu": cpu} if cpu else {}
    container = {"name": "c", "resources": {"limits": limits, "requests": requests}}
    made: Json = {"containers": [container], **spec}
    if selector:
        made["nodeSelector"] = selector
    return needs_of(
        record_of({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": made})
    )


TOLERATES = [{"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]


def affinity(key: str, *values: str) -> Json:
    expression = {"key": key, "operator": "In", "values": list(values)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


@pytest.mark.parametrize(
    ("needs", "nodes", "used", "message"),
    [
        (pod(), [], {}, "no nodes available to schedule pods"),
        (
            pod(),
            [node("a", SKU), node("b", SKU)],
            {},
            "0/2 nodes are available: 2 node(s) had untolerated taint(s). " + HELPLESS.format(n=2),
        ),
        (
            pod(1, affinity=affinity("apps", "web"), tolerations=TOLERATES),
            [node("a", SKU, apps="web"), node("b", apps="other")],
            {},
            "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, "
            "1 node(s) didn't match Pod's node affinity/selector. " + HELPLESS.format(n=2),
        ),
        (
            pod(3, cpu="100"),
            [node("a"), node("b", SKU)],
            {},
            "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu, "
            "1 node(s) had untolerated taint(s). " + HELPLESS.format(n=2),
        ),
        (
            pod(),
            [node("a", cordoned=True), node("b", cordoned=True)],
            {},
            "0/2 nodes are available: 2 node(s) were unschedulable. " + HELPLESS.format(n=2),
        ),
        (
            pod(1),
            [node("a", gpus=1), node("b")],
            {"a": {GPU: 1000}},
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. " + ONE_EACH,
        ),
    ],
)
def test_the_words_for_no_node(needs, nodes, used, message):
    """Each node counts for the first filter that refuses it; reasons are sorted and joined."""
    verdict = choose(needs, nodes, used)

    assert isinstance(verdict, Nowhere)
    assert verdict.message == message


def test_a_node_that_fits_is_chosen():
    """Selector, affinity, toleration and resources all hold on one node only."""
    needs = pod(1, selector={"zone": "1"}, affinity=affinity("apps", "web"), tolerations=TOLERATES)
    nodes = [
        node("a", SKU, gpus=1, apps="web", zone="2"),
        node("b", SKU, gpus=1, apps="web", zone="1"),
        node("c", SKU, apps="web", zone="1"),
    ]

    assert choose(needs, nodes, {}) == Chosen(node="b")


def test_the_emptier_node_wins():
    """Of two nodes that fit, the one with more left is chosen."""
    used = {"a": {"cpu": 3000}}

    assert choose(pod(cpu="500m"), [node("a"), node("b")], used) == Chosen(node="b")


def test_a_large_cluster_is_not_searched_to_its_end():
    """Of a thousand nodes that fit, 420 are compared, from where the search begins."""
    nodes = [node(f"n{number:04}") for number in range(1000)]
    used = {one.name: {"cpu": 3000} for one in nodes[:500]}

    assert enough(1000) == 420
    assert enough(50) == 100
    assert choose(pod(cpu="500m"), nodes, used) == Chosen(node="n0000")
    assert choose(pod(cpu="500m"), nodes, used, start=300) == Chosen(node="n0500")


@pytest.mark.parametrize(
    ("toleration", "chosen"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "sku", "operator": "Exists"}, True),
        ({"key": "sku", "value": "gpu"}, True),
        ({"key": "sku", "value": "other"}, False),
        ({"key": "sku", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration, chosen):
    """Exists ignores the value, an empty effect covers all, an empty key with Exists everything."""
    verdict = choose(pod(tolerations=[toleration]), [node("a", SKU)], {})

    assert isinstance(verdict, Chosen) is chosen


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "a", "operator": "NotIn", "values": ["2"]}, True),
        ({"key": "b", "operator": "DoesNotExist"}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "operator": "Gt", "values": ["0"]}, True),
        ({"key": "a", "operator": "Lt", "values": ["1"]}, False),
        ({"key": "b", "operator": "Gt", "values": ["0"]}, False),
    ],
)
def test_affinity_operators(expression, matches):
    """The six operators of node selectors."""
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    wanted = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    verdict = choose(pod(affinity=wanted), [node("a", a="1")], {})

    assert isinstance(verdict, Chosen) is matches


def test_what_a_pod_asks_for():
    """Containers add up; init containers need the most of any one; sidecars count with both."""

    def asks(cpu: str, **fields: str) -> Json:
        return {"resources": {"requests": {"cpu": cpu}}, **fields}

    spec = {
        "containers": [asks("1"), asks("500m")],
        "initContainers": [asks("250m", restartPolicy="Always"), asks("3")],
    }

    assert requests_of(spec)["cpu"] == 3250


def test_only_helpful_changes_are_looked_at():
    """A node that every former refusal still applies to is no news to a waiting pod."""
    needs = pod(1, tolerations=TOLERATES)
    verdict = choose(needs, [node("a", SKU)], {})
    assert isinstance(verdict, Nowhere)

    assert not helps(verdict.filters, needs, node("b", SKU), {})
    assert helps(verdict.filters, needs, node("b", SKU, gpus=1), {})
