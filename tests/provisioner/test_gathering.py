import asyncio
from datetime import UTC, datetime

from kaito.kube.clock import LoopClock
from kaito.provisioner.cloud import Instance, MachineRequest, State
from kaito.provisioner.gathering import GatheringCloud


class CountingCloud:
    """A cloud in a dict, whose every call takes a tenth of a second."""

    node_label = "machine"

    def __init__(self, *names: str) -> None:
        self.machines = {name: Instance(name=name, state=State.CREATING) for name in names}
        self.calls: list[str] = []

    async def _take(self, call: str) -> None:
        self.calls.append(call)
        await LoopClock().sleep(0.1)

    async def launch(self, request: MachineRequest) -> Instance:
        await self._take("launch")
        made = Instance(name=request.name, state=State.CREATING)
        return self.machines.setdefault(request.name, made)

    async def get(self, name: str) -> Instance | None:
        await self._take("get")
        return self.machines.get(name)

    async def list(self) -> list[Instance]:
        found = [*self.machines.values()]
        await self._take("list")
        return found

    async def terminate(self, instance: Instance) -> Instance | None:
        await self._take("terminate")
        return self.machines.pop(instance.name, None)


def names(count: int) -> list[str]:
    return [f"ws{number}" for number in range(count)]


async def test_few_looks_are_single() -> None:
    """For one or two machines a list would say too much."""
    inner = CountingCloud(*names(2))
    cloud = GatheringCloud(inner, clock=LoopClock())
    for _ in range(5):
        await cloud.get("ws0")
        await cloud.get("ws1")
        await LoopClock().sleep(10)

    assert set(inner.calls) == {"get"}


async def test_many_looks_are_one_list() -> None:
    """A hundred machines cost a request every five seconds."""
    inner = CountingCloud(*names(100))
    cloud = GatheringCloud(inner, clock=LoopClock(), fresh=5.0)
    for _ in range(12):
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(cloud.get(name)) for name in names(100)]
        assert all(look.result() for look in looks)
        await LoopClock().sleep(2)

    assert inner.calls.count("get") == 3
    assert inner.calls.count("list") <= 6


async def test_absence_is_looked_into() -> None:
    """A list may be seconds old; only the cloud itself says that there is nothing."""
    inner = CountingCloud(*names(10))
    cloud = GatheringCloud(inner, clock=LoopClock())
    for name in names(10):
        await cloud.get(name)
    inner.machines["late"] = Instance(name="late", state=State.READY)

    assert (await cloud.get("late")) == inner.machines["late"]
    assert await cloud.get("never") is None


async def test_what_was_changed_is_not_told_from_before() -> None:
    """A list asked before a change does not answer a look after it."""
    inner = CountingCloud(*names(10))
    cloud = GatheringCloud(inner, clock=LoopClock(), fresh=60.0)
    for name in names(10):
        await cloud.get(name)
    await cloud.terminate(inner.machines["ws5"])
    inner.machines["ws5"] = Instance(name="ws5", state=State.DELETING)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    await cloud.launch(MachineRequest(name="ws6", vm_size="s", owner_uid="u", created_at=now))
    inner.machines["ws6"] = Instance(name="ws6", state=State.READY)
    lists = inner.calls.count("list")
    await LoopClock().sleep(1)

    assert [seen.state if (seen := await cloud.get(name)) else None for name in ("ws5", "ws6")] == [
        State.DELETING,
        State.READY,
    ]
    assert inner.calls.count("list") == lists + 1
