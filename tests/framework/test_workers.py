"""What a run may take for granted although it shares the task of others until it has to wait."""

import asyncio
from contextvars import ContextVar

import pytest

from kaito.framework.reconcile import Again, Done, current_key
from kaito.framework.workers import RUNS_PER_TURN, TURN_SECONDS
from kaito.kube.clock import LoopClock
from tests.framework.bench import Bench, Scripted

note: ContextVar[str] = ContextVar("note", default="")


async def test_a_run_sees_its_own_context_before_and_after_it_waits_and_nobody_elses():
    """What a run sets is seen by all of that run, by the tasks that it starts, and by no other run,
    whether it had to wait or not."""
    seen = []

    async def child():
        seen.append(("child", current_key.get().name, note.get()))

    async def at_once(key):
        seen.append((key.name, note.get()))
        note.set(key.name)
        return Done()

    async def waiting(key):
        seen.append((key.name, note.get()))
        note.set(key.name)
        await asyncio.sleep(1)
        seen.append((current_key.get().name, note.get()))
        await asyncio.create_task(child())
        return Done()

    bench = Bench(Scripted(at_once, waiting, waiting, at_once))

    async with bench.running():
        bench.want("a", "b", "c", "d")
        await bench.clock.sleep(5)

    assert sorted(seen) == [
        ("a", ""),
        *[("b", ""), ("b", "b"), ("c", ""), ("c", "c"), ("child", "b", "b"), ("child", "c", "c")],
        ("d", ""),
    ]
    assert note.get() == ""


async def test_a_run_that_waits_is_one_task_from_its_first_step_to_its_last():
    """`asyncio.timeout`, and whatever else remembers the task that it began in, finds it again;
    while runs wait, each has a task of its own that is named after its key."""
    tasks, expired = {}, []

    async def waiting(key):
        before = asyncio.current_task()
        try:
            async with asyncio.timeout(2):
                tasks[key.name] = before, before.get_name()
                await asyncio.sleep(1)
                tasks[key.name] = before, before.get_name()
                await asyncio.sleep(5)
        except TimeoutError:
            expired.append(key.name)
        assert asyncio.current_task() is before
        return Done()

    bench = Bench(Scripted(waiting, waiting))

    async with bench.running():
        bench.want("a", "b")
        await bench.clock.sleep(5)

    assert sorted(expired) == ["a", "b"]
    assert bench.counts() == {"success": 2}
    assert tasks["a"][0] is not tasks["b"][0]
    assert [tasks[name][1] for name in "ab"] == ["widgets default/a", "widgets default/b"]


async def test_runs_that_never_wait_share_one_task():
    """To look at an object and find nothing to do must not cost a task."""
    tasks = []

    async def at_once(key):
        tasks.append(asyncio.current_task())
        return Done()

    bench = Bench(Scripted(*[at_once] * 20))

    async with bench.running():
        bench.want(*(f"w{number}" for number in range(20)))
        await bench.clock.sleep(1)

    assert len(tasks) == 20
    assert len(set(tasks)) == 1


async def test_a_run_that_cancels_its_own_task_takes_no_other_along():
    """Whether it then waits or goes on to its end: the keys behind it are reconciled, and one
    worker is enough for that."""

    async def and_wait(key):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    async def and_end(key):
        asyncio.current_task().cancel()
        return Done()

    async def wait_and(key):
        await asyncio.sleep(1)
        await and_wait(key)

    async def wait(key):
        await asyncio.sleep(1)
        return Done()

    reconciler = Scripted(and_wait, wait_and, and_end, wait)
    bench = Bench(reconciler, concurrency=1)

    async with bench.running():
        bench.want("a", "b", "c", "d")
        await bench.clock.sleep(5)

    assert reconciler.names == ["a", "b", "c", "d"]
    assert bench.counts() == {"success": 2}
    assert bench.value("controller_runtime_active_workers") == 0
    assert bench.controller.queue.unfinished() == 0


@pytest.mark.parametrize("timeout", [None, 5])
async def test_what_a_run_answers_after_it_waited_counts_as_much(timeout, lines):
    """Again and an error are not lost on the way through the waits, whether there is a deadline or
    not; one that was met is heard of no more."""

    async def later(key):
        await asyncio.sleep(1)
        return Again(10)

    async def failing(key):
        await asyncio.sleep(1)
        raise OSError("no route")

    reconciler = Scripted(later, failing)
    bench = Bench(reconciler, reconcile_timeout=timeout)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(100)

    assert reconciler.times == [0, 11, pytest.approx(12.005)]
    assert bench.counts() == {"requeue_after": 1, "error": 1, "success": 1}
    assert bench.value("controller_runtime_reconcile_timeouts_total") == 0
    assert bench.value("controller_runtime_reconcile_time_seconds_sum") == pytest.approx(2)
    assert [line["event"] for line in lines if line["level"] == "error"] == ["reconcile failed"]
    assert [line["seconds"] for line in lines if line["level"] == "error"] == [1]


class Computing(LoopClock):
    """A clock on which time also passes while the loop does not turn."""

    computed = 0.0

    def monotonic(self):
        return super().monotonic() + self.computed


async def test_the_deadline_of_a_run_counts_from_its_first_step():
    """What it computed before it first had to wait is part of its time."""
    clock, cancelled = Computing(), []

    async def compute_and_wait(key):
        clock.computed += 3
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.append(asyncio.get_running_loop().time())
            raise

    bench = Bench(Scripted(compute_and_wait), clock=clock, reconcile_timeout=5)

    async with bench.running():
        await asyncio.sleep(10)
        bench.want("a")
        await asyncio.sleep(50)

    assert cancelled == [pytest.approx(12)]


async def test_runs_that_compute_do_not_keep_the_loop_to_themselves():
    """A turn of the loop begins a few runs if they are quick, and only as many as fit into some
    milliseconds if they are not."""
    clock = Computing()

    class Slow(Scripted):
        async def reconcile(self, key):
            clock.computed += TURN_SECONDS
            return await super().reconcile(key)

    reconciler, turns = Slow(), []
    bench = Bench(reconciler, clock=clock)

    async with bench.running():
        bench.want(*(f"w{number}" for number in range(4 * RUNS_PER_TURN)))
        while len(reconciler.runs) < 4 * RUNS_PER_TURN:
            before = len(reconciler.runs)
            await asyncio.sleep(0)
            turns.append(len(reconciler.runs) - before)

    assert max(turns) <= 2
