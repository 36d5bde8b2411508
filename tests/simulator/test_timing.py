"""Deadlines, stamps, addresses and logs of simulated nodes."""

import asyncio

import pytest

from kaito.kube.clock import LoopClock, ScaledClock
from kaito.simulator.nodes.addresses import Addresses
from kaito.simulator.nodes.logs import Logs
from kaito.simulator.nodes.timing import Wheel, WorldTime


async def test_deadlines_ring_in_order():
    """Each key rings once, at its latest deadline, in the order of the deadlines."""
    clock, rung = LoopClock(), []
    wheel: Wheel[str] = Wheel(clock, lambda key: rung.append((clock.monotonic(), key)))
    wheel.set("late", 10)
    wheel.set("moved", 1)
    wheel.set("early", 5)
    wheel.set("moved", 7)
    wheel.set("never", 3)
    wheel.set("never", float("inf"))

    await clock.sleep(20)

    assert [(pytest.approx(at), key) for at, key in rung] == [
        (5, "early"), (7, "moved"), (10, "late"),
    ]  # fmt: skip
    assert len(wheel) == 0


async def test_a_deadline_may_be_set_while_ringing():
    """A key that sets itself again rings again, and time moves on in between."""
    clock, rung = LoopClock(), []

    def ring(key: str) -> None:
        rung.append(clock.monotonic())
        if len(rung) < 3:
            wheel.set(key, 0)

    wheel: Wheel[str] = Wheel(clock, ring)
    wheel.set("again", 1)

    await clock.sleep(5)

    assert len(rung) == 3
    assert rung == sorted(set(rung))


async def test_stamps_are_the_wires_time():
    """A minute of a world sixty times as fast is written as a second, and read back."""
    wire = LoopClock()
    world = ScaledClock(wire, 60)
    time = WorldTime(world, wire)
    begun = time.now()
    await world.sleep(120)

    assert time.stamp(begun) == "2026-01-01T00:00:00Z"
    assert time.stamp(time.now()) == "2026-01-01T00:00:02Z"
    assert time.read("2026-01-01T00:00:01Z") == pytest.approx(begun + 60, abs=1)


def test_addresses_are_handed_out_once():
    """Everybody has an address of their own; one that was given back is used again at last."""
    addresses = Addresses("10.0.0.0/29", first=4)
    addresses.claim("known", "10.0.0.5")

    assert addresses.of("a") == "10.0.0.4"
    assert addresses.of("a") == "10.0.0.4"
    assert addresses.of("b") == "10.0.0.6"
    with pytest.raises(OSError, match="no address left"):
        addresses.of("c")
    addresses.release("a")
    assert addresses.of("c") == "10.0.0.4"


async def _read(logs: Logs, **options) -> list[bytes]:
    return [piece async for piece in logs.read("uid", "main", **options)]


async def test_logs_can_be_cut():
    """The last lines, those since a moment, those of the run before, with or without times."""
    now = [0.0]
    logs = Logs(lambda: now[0])
    logs.begin("uid", "main")
    logs.line("uid", "main", "old run")
    logs.begin("uid", "main")
    for second in range(3):
        now[0] = float(second)
        logs.line("uid", "main", f"line {second}")

    assert await _read(logs, tail_lines=1) == [b"line 2\n"]
    assert await _read(logs, tail_lines=0) == []
    assert await _read(logs, since=1.0) == [b"line 1\n", b"line 2\n"]
    assert await _read(logs, previous=True) == [b"old run\n"]
    assert await _read(logs, tail_lines=1, timestamps=True) == [
        b"1970-01-01T00:00:02.000000Z line 2\n"
    ]


async def test_a_followed_log_ends_with_the_run():
    """What is printed later arrives, and the end of the run is the end of the log."""
    logs = Logs(lambda: 0.0)
    logs.begin("uid", "main")
    logs.line("uid", "main", "first")

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_read(logs, follow=True))
        await asyncio.sleep(1)
        logs.line("uid", "main", "second")
        await asyncio.sleep(1)
        logs.end("uid", "main")

    assert reading.result() == [b"first\n", b"second\n"]
