"""A controller at its edges: wanted from outside, waiting for the cache, ended by the fence."""

import asyncio
import inspect

import pytest

from kaito.framework.controller import Controller
from kaito.framework.events import Added
from kaito.framework.fence import Fenced
from kaito.framework.ratelimit import RateLimitOptions
from kaito.framework.reconcile import Done
from kaito.framework.sources import at_start, for_object
from tests.framework.bench import PARTS, WIDGETS, Bench, Scripted, key, widget
from tests.framework.objects import GADGETS


async def test_a_key_that_is_wanted_from_outside_says_when_and_how_much():
    """By an admin call or a callback of a cloud: at once and with no priority, or as told."""
    reconciler = Scripted()
    bench = Bench(reconciler, concurrency=1)
    with pytest.raises(RuntimeError, match="controller free was not added to a manager"):
        Controller("free", reconciler, []).enqueue(key("a"))

    async with bench.running(synced=False):
        bench.tell(Added(widget("told")))
        bench.controller.enqueue(key("plain"))
        bench.controller.enqueue(key("urgent"), priority=1)
        bench.controller.enqueue(key("later"), after=5)
        bench.sync()
        await bench.clock.sleep(6)

    assert reconciler.names == ["urgent", "told", "plain", "later"]
    assert reconciler.times[-1] == 5


async def test_a_controller_belongs_to_one_manager_and_runs_there_alone():
    """Added twice, or run, stopped and watched without a manager: refused by name."""
    bench = Bench(Scripted())
    with pytest.raises(RuntimeError, match="controller widgets was added twice"):
        bench.controller.bind(bench.controller._environment)
    with pytest.raises(RuntimeError, match="controller free was not added to a manager"):
        await Controller("free", Scripted(), []).run()


async def test_limits_of_a_controller_are_those_of_its_queue():
    """The options say how retries are spread."""
    reconciler = Scripted(OSError(), OSError())
    bench = Bench(reconciler, limits=RateLimitOptions(base=3))

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(10)

    assert reconciler.times == [0, 3, 9]


class Lagging:
    """Says that the cache is behind for keys that it was told about, until a moment."""

    def __init__(self, until):
        self.until, self.asked = until, []

    def behind(self, key):
        self.asked.append(key.name)
        return self.until.get(key.name)


async def test_a_key_whose_cache_is_behind_is_parked_and_holds_no_worker():
    """With one worker the next key runs; the parked one runs when the cache has caught up."""
    caught_up = asyncio.get_running_loop().create_future()
    consistency = Lagging({"a": caught_up})
    reconciler = Scripted()
    bench = Bench(reconciler, concurrency=1, consistency=consistency)

    async with bench.running():
        bench.want("a", "b")
        await bench.clock.sleep(3)
        assert reconciler.names == ["b"]
        assert bench.value("workqueue_parked", name="widgets") == 1
        bench.want("a")
        del consistency.until["a"]
        caught_up.set_result(None)
        await bench.clock.sleep(1)

    assert reconciler.names == ["b", "a"]
    assert consistency.asked == ["a", "b", "a"]


@pytest.mark.parametrize("failing", [False, True])
async def test_a_parked_key_is_wanted_again_by_itself_and_as_much_as_before(failing):
    """Caught up, or unable to find out: the key comes back with its priority."""
    caught_up = asyncio.get_running_loop().create_future()

    async def busy(key):
        await asyncio.sleep(100)
        return Done()

    reconciler = Scripted(busy)
    consistency = Lagging({"low": caught_up, "high": caught_up})
    bench = Bench(reconciler, concurrency=1, consistency=consistency)

    async with bench.running():
        bench.want("low", priority=-5)
        bench.want("high", priority=5)
        await bench.clock.sleep(1)
        bench.want("busy")
        await bench.clock.sleep(1)
        consistency.until.clear()
        if failing:
            caught_up.set_exception(OSError("no route"))
        else:
            caught_up.set_result(None)
        await bench.clock.sleep(1)
        assert bench.controller.queue.depths() == {5: 1, -5: 1}
        await bench.clock.sleep(100)

    assert reconciler.names == ["busy", "high", "low"]


async def test_a_parked_key_survives_a_failing_question_and_does_not_delay_the_stop(lines):
    """Failing to find out is a warning and a rate-limited retry; stopping drops parked keys."""
    failing, never = (asyncio.get_running_loop().create_future() for _ in range(2))
    failing.set_exception(OSError("no route"))
    consistency = Lagging({"a": failing, "b": never})
    reconciler = Scripted()
    bench = Bench(reconciler, consistency=consistency)

    async with bench.running():
        bench.want("a", "b")
        await bench.clock.sleep(0.001)
        del consistency.until["a"]
        await bench.clock.sleep(1)

    assert reconciler.names == ["a"]
    assert reconciler.times == [pytest.approx(0.005)]
    assert [line["error"] for line in lines if line["level"] == "warning"] == ["no route"]
    assert bench.clock.monotonic() == pytest.approx(1.001)


async def test_a_stop_just_after_a_key_was_parked_leaves_no_question_unasked():
    """The wait for the cache that had not yet begun is closed, not dropped with a warning."""
    bench = Bench(Scripted(), consistency=Lagging({}))

    async def caught_up():
        raise AssertionError("it was not to begin")

    def behind(key):
        asyncio.get_running_loop().call_soon(bench.controller.stop)
        waits.append(caught_up())
        return waits[0]

    waits, bench.controller._environment.consistency.behind = [], behind
    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)
    assert inspect.getcoroutinestate(waits[0]) == inspect.CORO_CLOSED


async def test_a_controller_that_is_stopped_before_it_began_ends_at_once():
    """It does not wait for sources that may never deliver, and runs nothing."""
    reconciler = Scripted()
    bench = Bench(reconciler)
    bench.want("a")
    bench.controller.stop()
    async with asyncio.timeout(1):
        await bench.controller.run()
    assert reconciler.runs == []


async def test_sources_come_and_go_one_kind_at_a_time():
    """A kind that is watched no more wants nothing; the others do; keys can be a source, too."""
    reconciler = Scripted()
    bench = Bench(reconciler, sources=[for_object(WIDGETS), for_object(PARTS)])

    async with bench.running():
        await bench.controller.watch(at_start(key("late")))
        bench.controller.unwatch(PARTS)
        bench.controller.unwatch(PARTS)
        bench.tell(Added(widget("w")))
        bench.tell(Added(widget("p")), resource=PARTS)
        await bench.clock.sleep(1)
        watching = asyncio.create_task(bench.controller.watch(for_object(GADGETS)))
        await bench.clock.sleep(1)
        bench.sync()
        await watching
        bench.tell(Added(widget("g")), resource=GADGETS)
        await bench.clock.sleep(1)

    assert reconciler.names == ["late", "w", "g"]
    with pytest.raises(RuntimeError, match="controller widgets has stopped"):
        await bench.controller.watch(for_object(PARTS))
    with pytest.raises(RuntimeError, match="controller free was not added to a manager"):
        await Controller("free", reconciler, []).watch(for_object(PARTS))


async def test_a_fenced_run_ends_the_controller():
    """A write after the lease was lost is not retried: the error leaves the controller."""
    together = ExceptionGroup("tasks", [OSError("another trouble"), Fenced("not the leader")])
    bench = Bench(Scripted(together))

    async def run():
        async with bench.running():
            bench.want("a")
            await bench.clock.sleep(1)

    with pytest.raises(ExceptionGroup) as raised:
        await run()

    assert raised.value.subgroup(Fenced) is not None
    assert len(bench.told.made[WIDGETS].listening) == 0
