"""Who excludes whom: the lease is named after the controllers that run under it."""

from dataclasses import replace
from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.app.operator import Surroundings, operator
from kaito.kube.clock import LoopClock
from tests.scenarios.world import SETTINGS


@pytest.mark.parametrize(
    ("controllers", "lease"),
    [
        (("workspace", "nodeclaim"), "kaito-workspace-nodeclaim"),
        (("nodeclaim", "workspace"), "kaito-workspace-nodeclaim"),
        (("workspace",), "kaito-workspace"),
        (("nodeclaim", "nodeclaim"), "kaito-nodeclaim"),
    ],
)
async def test_the_lease_names_the_set_of_controllers(controllers, lease):
    """Two programs with the two halves lead side by side; two with the same set never do, however
    the set was written."""
    clock = LoopClock()
    server = ApiServer(clock=clock, random=Random(1))
    around = Surroundings(transport=in_process(server), clock=clock, random=Random(2))
    settings = replace(SETTINGS, controllers=controllers, leader_elect=True)
    assert operator(settings, around).options.leader.name == lease
