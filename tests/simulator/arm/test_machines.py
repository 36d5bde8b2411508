import asyncio
import random
from typing import Any

from kaito.kube.clock import LoopClock
from kaito.provisioner.cloud import Taint
from kaito.simulator.arm.endpoint import ArmEndpoint
from kaito.simulator.arm.machines import Machine, MachineSource
from kaito.simulator.arm.pools import ArmOptions

A100 = "Standard_NC24ads_A100_v4"


def endpoint(**options: Any) -> ArmEndpoint:
    return ArmEndpoint(
        clock=LoopClock(), random=random.Random(1), options=ArmOptions(jitter=0, **options)
    )


async def test_a_machine_is_what_azure_would_have_made() -> None:
    """Name, provider id, labels and taints are those that a real node registers with."""
    arm = endpoint(boot_seconds=60)
    source: MachineSource = arm
    arm.add_pool(
        "ws1", A100, nodeLabels={"kaito.sh/workspace": "phi"}, nodeTaints=["sku=gpu:NoSchedule"]
    )

    (machine,) = await source.changed(())

    assert machine.name.startswith("aks-ws1-")
    assert machine.name.endswith("-vmss000000")
    scale_set = machine.name.removesuffix("000000")
    assert machine.provider_id.endswith(f"/virtualMachineScaleSets/{scale_set}/virtualMachines/0")
    assert machine.provider_id.startswith("azure:///subscriptions/")
    assert machine.labels["agentpool"] == machine.labels["kubernetes.azure.com/agentpool"] == "ws1"
    assert machine.labels["node.kubernetes.io/instance-type"] == A100
    assert machine.labels["kaito.sh/workspace"] == "phi"
    assert machine.labels["accelerator"] == "nvidia"
    assert machine.taints == (Taint(key="sku", value="gpu", effect="NoSchedule"),)
    assert LoopClock().monotonic() == 60


async def test_whoever_waits_sees_every_change_exactly_when_it_happens() -> None:
    """Power-on, power-off and deletion arrive at a watcher without polling."""
    arm, clock = endpoint(boot_seconds=60, delete_seconds=30), LoopClock()
    seen: list[tuple[float, tuple[str, ...]]] = []

    async def watch() -> None:
        machines: tuple[Machine, ...] = ()
        while True:
            machines = await arm.changed(machines)
            seen.append((clock.monotonic(), tuple(machine.pool for machine in machines)))

    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(watch())
        arm.add_pool("ws1")
        await clock.sleep(10)
        arm.add_pool("ws2")
        await clock.sleep(190)
        arm.remove_pool("ws1")
        await clock.sleep(100)
        arm.stop_cluster()
        await clock.sleep(1)
        watcher.cancel()

    assert seen == [
        (60, ("ws1",)),
        (70, ("ws1", "ws2")),
        (230, ("ws2",)),
        (300, ()),
    ]


async def test_the_meter_counts_from_power_on_to_the_end_of_deletion() -> None:
    """What would have been paid, in node-seconds and GPU-seconds."""
    arm = endpoint(boot_seconds=60, delete_seconds=40, gpus=lambda _: 4)
    arm.add_pool("ws1", A100)
    await LoopClock().sleep(160)
    running = arm.meter.node_seconds
    arm.remove_pool("ws1")
    await LoopClock().sleep(1000)

    assert running == 100
    assert arm.meter.node_seconds == 140
    assert arm.meter.gpu_seconds == 560


async def test_the_same_seed_makes_the_same_machines() -> None:
    """A run can be replayed."""

    async def run() -> tuple[Machine, ...]:
        arm = ArmEndpoint(clock=LoopClock(), random=random.Random(5))
        arm.add_pool("ws1")
        return await arm.changed(())

    first = [machine.provider_id for machine in await run()]
    assert first == [machine.provider_id for machine in await run()]
