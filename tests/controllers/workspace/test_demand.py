"""What a Workspace needs to run is read off what was rendered for it, by whomever."""

import pytest

from kaito.controllers.workspace.demand import Demand
from kaito.manifests.render import Rendered, render
from tests.manifests.rendering import OPTIONS, identity, planned
from tests.manifests.test_golden import CASES
from tests.scenarios.installation import Installation


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_was_planned(name):
    """For what this version renders the numbers of the plan come out again."""
    obj = CASES[name]()
    plan = planned(obj)
    rendered = render(plan, identity(obj), OPTIONS)

    demand = Demand.of_rendered(rendered)

    assert (demand.claims, demand.nodes, demand.gpus_per_node) == (
        plan.nodes,
        plan.nodes,
        plan.gpus_per_node,
    )
    assert demand.runtime == plan.runtime
    assert demand.serves == (plan.tuning is None or plan.tuning.server is not None)


@pytest.mark.parametrize(
    ("name", "nodes", "gpus", "runtime", "serves"),
    [
        ("inference-phi-4-mini", 1, 1, "vllm", True),
        ("inference-multi-node-deepseek-v3", 5, 2, "vllm", True),
        ("tuning-phi-3-mini-128k", 1, 1, "transformers", False),
    ],
)
def test_of_what_kaito_rendered(name, nodes, gpus, runtime, serves):
    """As many nodes as there are pods, as many GPUs as each asks for."""
    workload = Installation(name).workload

    assert Demand.of_rendered(Rendered(first=(workload,))) == Demand(
        claims=nodes, nodes=nodes, gpus_per_node=gpus, runtime=runtime, serves=serves
    )


def test_machines_that_are_not_ours_are_not_asked_for():
    """What was taken over says itself how many claims it has."""
    workload = Installation("inference-multi-node-deepseek-v3").workload
    demand = Demand.of_rendered(Rendered(first=(workload,), claims=0))

    assert (demand.claims, demand.nodes) == (0, 5)


def test_a_part_of_a_gpu_is_no_whole_one():
    """KAITO's MIG slices are another resource; no node has to show whole GPUs for them."""
    workload = Installation("inference-phi-4-mini").workload
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    container["resources"] = {"limits": {"nvidia.com/mig-1g.10gb": "1"}}

    assert Demand.of_rendered(Rendered(first=(workload,))).gpus_per_node == 0
