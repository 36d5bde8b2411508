"""The scheduler's memory: what it remembers never changes what it decides."""

from random import Random

import pytest

from kaito.simulator.controllers.ranking import Ranking
from kaito.simulator.controllers.scheduling import Chosen, choose, enough
from tests.simulator.controllers.test_scheduling import SKU, node, pod

KINDS = (
    pod(),
    pod(cpu="500m"),
    pod(cpu="3"),
    pod(1),
    pod(cpu="1", tolerations=[{"operator": "Exists"}]),
    pod(selector={"zone": "1"}),
)


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_that_of_somebody_who_remembers_nothing(seed):
    """Pods of several kinds come and go, nodes change: every choice is the one that is made when
    every node is asked anew."""
    random = Random(seed)
    nodes = [made(random, f"n{number:03}") for number in range(130)]
    used = {one.name: {"cpu": 0, "pods": 0} for one in nodes}
    ranking, start, placed = Ranking(), 0, []
    ranking.order(nodes)

    for _ in range(300):
        needs = random.choice(KINDS)
        start = (start + enough(len(nodes))) % len(nodes)
        expected = choose(needs, nodes, used, start=start)
        assert ranking.choose(needs, used, start=start) == expected
        if isinstance(expected, Chosen):
            placed.append((expected.node, needs))
            add(used, ranking, expected.node, needs, 1)
        if placed and random.random() < 0.4:
            name, gone = placed.pop(random.randrange(len(placed)))
            add(used, ranking, name, gone, -1)
        if random.random() < 0.05:
            place = random.randrange(len(nodes))
            nodes[place] = made(random, nodes[place].name)
            ranking.order(nodes)


def test_pods_of_one_kind_share_what_they_need():
    """Ten thousand pods of one template hold one description of what they ask for."""
    ranking = Ranking()

    assert ranking.shared(pod(cpu="500m")) is ranking.shared(pod(cpu="500m"))
    assert ranking.shared(pod(cpu="400m")) is not ranking.shared(pod(cpu="500m"))


def made(random, name):
    taints = [SKU] if random.random() < 0.2 else []
    return node(
        name, *taints, gpus=random.choice((0, 0, 1)), cordoned=random.random() < 0.1, zone="1"
    )


def add(used, ranking, name, needs, sign):
    for resource, amount in needs.requests.items():
        used[name][resource] = used[name].get(resource, 0) + sign * amount
    ranking.changed(name)
