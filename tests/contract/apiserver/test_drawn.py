"""The embedded server and a real one, shown the same requests drawn at random, agree on all."""

from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.kube.clock import SystemClock
from tests.contract.apiserver.drawn.duel import Duel
from tests.contract.apiserver.drawn.rules import Rules
from tests.contract.apiserver.drawn.schemas import Schemas
from tests.contract.apiserver.drawn.selectors import Selectors
from tests.contract.apiserver.drawn.values import Values
from tests.contract.apiserver.drawn.writes import Writes
from tests.contract.apiserver.real import users


@pytest.mark.realtime
@pytest.mark.controlplane
@pytest.mark.parametrize(
    ("make", "count", "seed"),
    [
        (Writes, 120, 1),
        (Writes, 120, 2),
        (Writes, 120, 3),
        (Selectors, 60, 1),
        (Values, 80, 1),
        (Rules, 60, 1),
        (Schemas, 40, 1),
        (Schemas, 40, 2),
        (Schemas, 40, 3),
    ],
)
async def test_every_answer_is_the_real_one(real, make, count, seed):
    """Objects, owners, conflicts, selections and refusals, request after request."""
    namespace = f"t{Random().randrange(10**8):08d}"
    embedded = in_process(ApiServer(clock=SystemClock(), random=Random(seed)))
    async with users(real) as transports:
        duel = Duel(embedded, transports["admin"], namespace)
        drawer = make(seed, namespace)
        await duel.prepare(drawer)
        for draw in drawer.draws(count):
            ours, theirs = await duel.both(draw)
            assert ours == theirs, draw
