"""What becomes of a key, by the way its run ends."""

import asyncio
import re

import pytest
import structlog

from kaito.framework.cache import CacheSyncTimeout
from kaito.framework.events import Added
from kaito.framework.reconcile import Again, Done, Terminal, annotate
from kaito.framework.sources import for_object, owned_by
from kaito.framework.workers import RUNS_PER_TURN
from kaito.framework.workqueue import LOW_PRIORITY
from kaito.kube.errors import Conflict
from kaito.kube.objects import ObjectKey
from tests.framework.bench import PARTS, WIDGETS, Bench, Scripted, key, widget


def group_of(error):
    """The single error inside nested groups."""
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error


async def test_s49_nothing_is_reconciled_before_the_last_source_delivered_its_initial_objects():
    """Two sources: the first one's objects wait until the second has synced too."""
    reconciler = Scripted()
    bench = Bench(reconciler, sources=[for_object(WIDGETS), owned_by(PARTS, WIDGETS)])

    async with bench.running(synced=False):
        bench.tell(*(Added(widget(f"w{n}"), initial=True) for n in range(20)))
        bench.told.made[WIDGETS].sync()
        await bench.clock.sleep(60)
        assert reconciler.runs == []
        bench.told.made[PARTS].sync()
        await bench.clock.sleep(1)

    assert len(reconciler.runs) == 20


async def test_s50_a_source_that_does_not_sync_fails_the_controller_and_is_named():
    """After two minutes the error names the kind and what it suffers."""
    bench = Bench(Scripted(), sources=[for_object(WIDGETS), owned_by(PARTS, WIDGETS)])

    async def run():
        async with bench.running(synced=False):
            bench.told.made[WIDGETS].sync()
            bench.told.made[PARTS].problem = "parts.example.org is forbidden"
            await bench.clock.sleep(121)

    with pytest.raises(ExceptionGroup) as raised:
        await run()

    error = group_of(raised.value)
    assert isinstance(error, CacheSyncTimeout)
    assert error.problems == {"parts.example.org": "parts.example.org is forbidden"}
    assert bench.clock.monotonic() == pytest.approx(120)


async def test_a_controller_that_is_stopped_while_it_waits_for_sync_runs_nothing():
    """Stopping before the sources are complete is a clean end, not an error."""
    reconciler = Scripted()
    bench = Bench(reconciler)

    async with bench.running(synced=False):
        bench.want("a")
        await bench.clock.sleep(1)

    assert reconciler.runs == []
    assert bench.told.made[WIDGETS].listening == []


async def test_s51_done_ends_the_key():
    """Success: counted, forgotten, no further run."""
    reconciler = Scripted(RuntimeError("once"), Done())
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(100)

    assert bench.counts() == {"error": 1, "success": 1}
    assert reconciler.times == [0, pytest.approx(0.005)]
    assert bench.controller.queue.failures(key("a")) == 0
    assert bench.value("controller_runtime_reconcile_time_seconds_count") == 2


async def test_s51_again_comes_back_after_exactly_that_time_and_forgets_failures():
    """Again(after) is not a failure: the next failure of the key waits the base delay again."""
    reconciler = Scripted(RuntimeError(), RuntimeError(), Again(30), RuntimeError(), Done())
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(100)

    assert reconciler.times == [
        pytest.approx(at) for at in (0, 0.005, 0.015, 30.015, 30.020)
    ]  # fmt: skip
    assert bench.counts() == {"error": 3, "requeue_after": 1, "success": 1}


async def test_s51_an_exception_is_logged_once_and_tried_again_ever_more_slowly(lines):
    """Each failing run: one error line with the traceback, counted, and a doubled wait."""
    reconciler = Scripted(*(RuntimeError("broken") for _ in range(4)))
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)

    assert reconciler.times == [pytest.approx(at) for at in (0, 0.005, 0.015, 0.035, 0.075)]
    errors = [line for line in lines if line["level"] == "error"]
    assert [line["failures"] for line in errors] == [1, 2, 3, 4]
    assert str(errors[0]["exc_info"]) == "broken"
    assert bench.value("controller_runtime_reconcile_errors_total") == 4
    assert bench.value("controller_runtime_reconcile_panics_total") == 0


async def test_s51_a_programming_error_is_counted_as_a_panic_and_tried_again():
    """What Go would call a panic ends neither the controller nor the key."""
    reconciler = Scripted(AttributeError("None has no name"))
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)

    assert bench.value("controller_runtime_reconcile_panics_total") == 1
    assert bench.counts() == {"error": 1, "success": 1}


async def test_s51_a_terminal_error_is_reported_and_not_retried_until_something_changes():
    """Counted twice, as an error and as terminal; the next event runs the key again."""
    reconciler = Scripted(OSError("no route"), Terminal("no such thing"))
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(10_000)
        assert len(reconciler.runs) == 2
        assert bench.controller.queue.failures(key("a")) == 0, "what comes next is no repetition"
        bench.want("a")
        await bench.clock.sleep(1)

    assert bench.value("controller_runtime_terminal_reconcile_errors_total") == 1
    assert bench.value("controller_runtime_reconcile_errors_total") == 2
    assert bench.counts() == {"error": 2, "success": 1}


async def test_s51_a_conflict_is_tried_again_without_a_word(lines):
    """Somebody else was faster: no error is counted and nothing above debug is logged."""
    reconciler = Scripted(Conflict("the object has been modified", code=409))
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)

    assert reconciler.times == [0, pytest.approx(0.005)]
    assert bench.counts() == {"requeue": 1, "success": 1}
    assert bench.value("controller_runtime_reconcile_errors_total") == 0
    assert {line["level"] for line in lines if "reconcile_id" in line} == {"debug"}


async def test_s51_a_group_of_errors_has_the_fate_of_what_is_inside():
    """A reconciler's own TaskGroup wraps: only conflicts are silent, one other error is not."""
    conflict = Conflict("modified", code=409)
    reconciler = Scripted(
        ExceptionGroup("tasks", [conflict, ExceptionGroup("inner", [conflict])]),
        ExceptionGroup("tasks", [conflict, Terminal("wrong")]),
        ExceptionGroup("tasks", [OSError("no route"), KeyError("a bug")]),
        ExceptionGroup("tasks", [Terminal("wrong")]),
    )
    bench = Bench(reconciler)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)

    assert bench.counts() == {"requeue": 1, "error": 3}
    assert bench.value("controller_runtime_terminal_reconcile_errors_total") == 1
    assert bench.value("controller_runtime_reconcile_panics_total") == 1


async def test_s51_a_run_that_takes_too_long_is_cancelled_counted_and_tried_again(lines):
    """The deadline: the run is cancelled where it waits, and the key is rate limited."""
    cleaned = []

    async def hang(key):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(key.name)

    reconciler = Scripted(hang)
    bench = Bench(reconciler, reconcile_timeout=10)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(60)

    assert cleaned == ["a"]
    assert reconciler.times == [0, pytest.approx(10.005)]
    assert bench.value("controller_runtime_reconcile_timeouts_total") == 1
    assert bench.counts() == {"error": 1, "success": 1}
    assert [str(line["exc_info"]) for line in lines if line["level"] == "error"] == [
        "the run took longer than 10 seconds"
    ]


async def test_s51_cancelling_the_controller_cancels_its_runs_and_counts_nothing():
    """Cancellation from outside is an end, not a failure: no metric, no retry, key released."""
    reconciler = Scripted()
    bench = Bench(reconciler)

    async def hang(key):
        await asyncio.get_running_loop().create_future()

    reconciler.steps = [hang]
    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)
        assert bench.value("controller_runtime_active_workers") == 1
        bench.task.cancel()
        await asyncio.wait([bench.task])

    assert bench.counts() == {}
    assert bench.value("controller_runtime_active_workers") == 0
    assert bench.controller.queue.unfinished() == 0


async def test_s52_a_cancellederror_raised_by_user_code_is_an_ordinary_error():
    """Awaiting a task that somebody cancelled does not stop the controller, nor is it a panic."""

    async def await_a_cancelled_future(key):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    reconciler = Scripted(await_a_cancelled_future, await_a_cancelled_future)
    bench = Bench(reconciler, reconcile_timeout=30)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(1)

    assert len(reconciler.runs) == 3
    assert bench.counts() == {"error": 2, "success": 1}
    assert bench.value("controller_runtime_reconcile_panics_total") == 0


async def test_s53_a_run_that_swallows_its_cancellation_is_reported_and_its_worker_replaced(lines):
    """With one worker, another key runs although the first one ignores being cancelled."""

    async def stubborn(key):
        for _ in range(3):
            try:
                await bench.clock.sleep(1000)
            except asyncio.CancelledError:
                continue
        return Done()

    reconciler = Scripted(stubborn)
    bench = Bench(reconciler, reconcile_timeout=10, concurrency=1)

    async with bench.running():
        bench.want("a", "b")
        await bench.clock.sleep(14)
        assert reconciler.names == ["a"]
        await bench.clock.sleep(2)

    assert reconciler.names[:2] == ["a", "b"]
    assert reconciler.times[1] == pytest.approx(15)
    stuck = [line for line in lines if "ignores its cancellation" in line["event"]]
    assert [line["key"] for line in stuck] == ["default/a"]
    assert bench.value("controller_runtime_reconcile_timeouts_total") == 1


async def test_s53_a_run_that_swallows_its_cancellation_and_returns_has_timed_out():
    """What it returns does not count: the run was too long, and the key is tried again."""

    async def late(key):
        try:
            await bench.clock.sleep(1000)
        except asyncio.CancelledError:
            return Done()

    reconciler = Scripted(late)
    bench = Bench(reconciler, reconcile_timeout=10)

    async with bench.running():
        bench.want("a")
        await bench.clock.sleep(20)

    assert bench.counts() == {"error": 1, "success": 1}
    assert bench.value("controller_runtime_reconcile_timeouts_total") == 1


async def test_s54_code_that_blocks_the_loop_is_named(lines):
    """A step of 250 ms without an await: one warning with controller, key and duration."""

    class Jumping:
        """A clock that computing moves."""

        def __init__(self, base):
            self.base, self.spent = base, 0.0
            self.sleep, self.call_later = base.sleep, base.call_later

        def monotonic(self):
            return self.base.monotonic() + self.spent

    async def compute(key):
        clock.spent += 0.05
        await clock.sleep(1)
        clock.spent += 0.25
        return Done()

    base = Bench(Scripted()).clock
    clock = Jumping(base)
    bench = Bench(Scripted(compute), clock=clock)

    async with bench.running():
        bench.want("a")
        await clock.sleep(5)

    warnings = [line for line in lines if line["level"] == "warning"]
    assert [
        (line["event"], line["controller"], line["key"], line["blocked_seconds"])
        for line in warnings
    ] == [("reconcile blocked the event loop", "widgets", "default/a", 0.25)]
    assert bench.value("event_loop_blocked_total") == 1


async def test_s56_priority_is_kept_over_retries_and_the_result_overrides_it():
    """A key of the initial list stays low through errors and delays, until a result says else."""
    seen = []
    steps = RuntimeError(), Conflict("x", code=409), Again(5), Again(5, priority=7)
    bench = Bench(Scripted(*steps))
    take = bench.controller.queue.take

    def watched():
        item = take()
        if item is not None:
            seen.append(item.priority)
        return item

    bench.controller.queue.take = watched
    async with bench.running(synced=False):
        bench.tell(Added(widget("a"), initial=True))
        bench.sync()
        await bench.clock.sleep(60)

    assert seen == [LOW_PRIORITY, LOW_PRIORITY, LOW_PRIORITY, LOW_PRIORITY, 7]


async def test_s57_every_line_says_which_run_it_belongs_to(lines):
    """Controller, kind, key and one id per run: in the reconciler's lines, and its tasks'."""

    async def chatty(key):
        log = structlog.get_logger("user")
        log.info("in the run")
        async with asyncio.TaskGroup() as group:
            group.create_task(child(log))
        return Done()

    async def child(log):
        log.info("in a child task")

    bench = Bench(Scripted(chatty, chatty))
    async with bench.running():
        bench.want("a", "b")
        await bench.clock.sleep(1)

    own = [line for line in lines if "reconcile_id" in line]
    runs = {(line["controller"], line["kind"], line["key"], line["reconcile_id"]) for line in own}
    assert len(own) == 6
    assert sorted(run[:3] for run in runs) == [
        ("widgets", "Widget", "default/a"),
        ("widgets", "Widget", "default/b"),
    ]
    assert len({run[3] for run in runs}) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", run[3]) for run in runs)


async def test_a_run_logs_one_line_at_debug_or_at_info_when_it_has_something_to_say(lines):
    """The canonical line carries result, duration, and the facts that the reconciler added."""

    async def busy(key):
        annotate(created="pool")
        await bench.clock.sleep(2)
        return Done()

    async def broken(key):
        annotate(created="nothing", error="mine", event="odd", seconds="no", exc_info="no")
        await bench.clock.sleep(1)
        raise Terminal("no such pool")

    bench = Bench(Scripted(Done(), busy, broken))
    async with bench.running():
        bench.want("a", "b", "c")
        await bench.clock.sleep(5)

    canonical = [line for line in lines if line["event"] == "reconciled"]
    assert [(line["level"], line["key"], line["seconds"]) for line in canonical] == [
        ("debug", "default/a", 0),
        ("info", "default/b", 2),
    ]
    assert canonical[1]["created"] == "pool"
    (failed,) = [line for line in lines if line["event"] == "reconcile failed for good"]
    assert (failed["created"], failed["seconds"], failed["error"]) == ("nothing", 1, "no such pool")


async def test_s38_with_all_workers_busy_no_key_runs_twice_and_no_more_than_allowed():
    """Concurrency is a bound, and a key wanted while it runs waits for its own end."""
    now, most = set(), []

    async def slow(key):
        assert key not in now
        now.add(key)
        most.append(len(now))
        await bench.clock.sleep(1)
        now.discard(key)
        return Done()

    reconciler = Scripted(*[slow] * 40)
    bench = Bench(reconciler, concurrency=4)
    async with bench.running():
        for _ in range(4):
            bench.want(*(f"w{n}" for n in range(10)))
            await bench.clock.sleep(0.5)
        await bench.clock.sleep(30)

    assert max(most) == 4


async def test_stopping_lets_runs_finish_and_starts_no_new_one():
    """Half-done work is completed; what is ready or delayed is left to the next process."""
    finished = []

    async def slow(key):
        await bench.clock.sleep(5)
        finished.append(key.name)
        return Again(1)

    reconciler = Scripted(slow)
    bench = Bench(reconciler, concurrency=1)
    async with bench.running():
        bench.want("a", "b")
        await bench.clock.sleep(1)

    assert finished == ["a"]
    assert reconciler.names == ["a"]
    assert bench.clock.monotonic() == pytest.approx(5)


async def test_a_namespace_full_of_work_does_not_hold_up_another():
    """Tenants are namespaces by default, so a single key elsewhere is next but one."""
    reconciler = Scripted()
    bench = Bench(reconciler, concurrency=1)
    for number in range(1000):
        bench.controller.enqueue(ObjectKey("noisy", f"n{number}"))
    bench.controller.enqueue(ObjectKey("quiet", "only"))

    async with bench.running():
        await bench.clock.sleep(1)

    assert reconciler.names[1] == "only"
    assert len(reconciler.runs) == 1001


async def test_a_burst_of_keys_lets_the_loop_turn_between_runs():
    """No turn of the loop starts more than a few runs, so a watch is read on meanwhile: what it
    brings for keys that still wait costs no run more."""
    reconciler, turns = Scripted(), []
    bench = Bench(reconciler)
    names = [f"w{n}" for n in range(4 * RUNS_PER_TURN)]

    async with bench.running():
        bench.want(*names)
        while len(reconciler.runs) < len(names):
            before = len(reconciler.runs)
            if before < len(names) / 2:
                bench.want(names[-1])
            await bench.clock.sleep(0)
            turns.append(len(reconciler.runs) - before)

    assert max(turns) == RUNS_PER_TURN
    assert reconciler.names == names
