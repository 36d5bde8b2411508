"""The two doors to the embedded Azure, as one fixture."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from kaito.kube.clock import Clock, LoopClock, ScaledClock, SystemClock
from kaito.provisioner.azure.cloud import AzureCloud, AzureOptions
from kaito.provisioner.cloud import Instance, MachineRequest, State
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.https import HttpsArm
from kaito.simulator.arm.pools import ArmOptions
from kaito.simulator.arm.sdk import AnyCredential, azure_transport

A100 = "Standard_NC24ads_A100_v4"

DOORS = [
    pytest.param("in-process", id="in-process"),
    pytest.param("https", id="https", marks=pytest.mark.realtime),
]


@dataclass
class World:
    """A cloud, the endpoint behind it, and the clock of that world."""

    cloud: AzureCloud
    arm: ArmEndpoint
    clock: Clock

    def request(self, name: str = "ws1", uid: str = "uid-1", **facts: Any) -> MachineRequest:
        return MachineRequest(
            name=name, vm_size=A100, owner_uid=uid, created_at=self.clock.wall(), **facts
        )

    async def until(self, name: str, state: State | None) -> Instance | None:
        """Look every ten seconds of the world until the machine is in that state (None: gone)."""
        for _ in range(100):
            seen = await self.cloud.get(name)
            if (seen.state if seen else None) is state:
                return seen
            await self.clock.sleep(10)
        raise AssertionError(f"{name} never became {state}: {self.arm.states()}")


@asynccontextmanager
async def world(
    door: str,
    *,
    arm: ArmOptions | None = None,
    azure: AzureOptions | None = None,
    fence: Callable[[], None] = lambda: None,
) -> AsyncIterator[World]:
    chance = random.Random(7)
    arm = arm or ArmOptions()
    where: dict[str, Any] = {
        "subscription": arm.subscription,
        "resource_group": arm.resource_group,
        "cluster": arm.cluster,
        "credential": AnyCredential(),
        "random": chance,
        "fence": fence,
        "options": azure,
    }
    if door == "in-process":
        clock: Clock = LoopClock()
        endpoint = ArmEndpoint(clock=clock, random=chance, options=arm)
        where |= {"clock": clock, "transport": azure_transport(endpoint.handle)}
        async with AzureCloud(**where) as cloud:
            yield World(cloud, endpoint, clock)
        return
    system = SystemClock()
    clock = ScaledClock(system, 2000)
    endpoint = ArmEndpoint(clock=clock, random=chance, options=arm)
    with TemporaryDirectory() as folder:
        async with HttpsArm(endpoint, clock=system) as served:
            ca_file = written(folder, served.ca_pem)
            where |= {"clock": system, "endpoint": served.url, "ca_file": ca_file}
            async with AzureCloud(**where) as cloud:
                yield World(cloud, endpoint, clock)


def written(folder: str, pem: bytes) -> str:
    path = Path(folder, "ca.pem")
    path.write_bytes(pem)
    return str(path)
