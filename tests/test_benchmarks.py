"""The benchmarks still run. What they find is for people to read: no number is judged here."""

import pytest
from benchmarks.__main__ import PARTS, ROOT, Part, chosen, run
from benchmarks.churn import measure as churn
from benchmarks.collector import measure as collector
from benchmarks.first_reconcile import measure as first_reconcile
from benchmarks.measuring import Row, table
from benchmarks.reconciling import measure as reconciling
from benchmarks.relisting import measure as relisting
from benchmarks.starting import measure as starting
from benchmarks.work_queue import measure as work_queue

pytestmark = pytest.mark.realtime


def rows_of(found):
    """What a benchmark yields, checked for sense."""
    rows = list(found)
    assert rows
    for row in rows:
        assert row.what
        assert row.value >= 0
        assert row.floor is None or row.floor > 0
        assert (row.floor is None) == (row.floor_is == "")
        assert (row.aim == "") == (row.met is None)
    return {row.what: row for row in rows}


def test_the_cost_of_queue_operations_is_measured_beside_a_bare_queue() -> None:
    """Both ways of using it, as cost and as rate."""
    found = rows_of(work_queue(count=50, rounds=1))
    assert len(found) == 4
    assert all(row.floor for row in found.values())


def test_the_cost_of_a_reconcile_is_measured_with_one_and_with_a_hundred_workers() -> None:
    """Both have the budget as their aim and a bare task as their floor."""
    found = rows_of(reconciling(runs=50, rounds=1))
    assert sum("at a time" in what for what in found) == 2


def test_the_first_reconcile_is_timed_after_a_streamed_list_and_a_list_in_pages() -> None:
    """The pods come from another process; the floor reads all of them."""
    found = rows_of(first_reconcile(count=1100, size=2000, rounds=1))
    assert any("streamed" in what for what in found)
    assert any("in pages" in what for what in found)


def test_the_longest_pause_of_a_relist_is_measured_with_and_without_changes() -> None:
    """The floor is one page of the same list."""
    found = rows_of(relisting(count=1100, size=2000, rounds=1))
    assert [what.rpartition("1,100 ")[2] for what in found] == [
        "in pages, all changed",
        "in pages, nothing changed",
        "streamed, all changed",
        "streamed, nothing changed",
    ]


def test_collections_are_timed_before_and_after_the_freeze() -> None:
    """With how many objects the collector has to walk per cached one."""
    found = rows_of(collector(count=1100, size=2000, rounds=1))
    assert len(found) == 3


def test_starting_is_measured_in_processes_of_its_own() -> None:
    """Imports and memory, beside those of the libraries it stands on."""
    found = rows_of(starting(rounds=1))
    assert {row.unit for row in found.values()} == {"ms", "MB"}


def test_a_day_of_churn_is_lived_through_in_virtual_time() -> None:
    """Memory at several hours, each beside the first."""
    found = rows_of(churn(objects=5, hours=(0.25, 0.5)))
    assert any("reconciles" in what and row.value > 10 for what, row in found.items())


def test_the_table_shows_ratio_and_verdict() -> None:
    """A number, its floor, how many floors it is, and whether that is what was wanted."""
    row = Row(what="a", value=3.0, unit="s", floor=2.0, floor_is="b").within(ratio=1.2)
    *_, last = table([row]).splitlines()
    assert last.split() == ["a", "3", "s", "2", "s", "1.50", "≤", "1.2", "floors,", "MISSED", "b"]


def test_a_part_that_fails_is_told_and_does_not_stop_the_others() -> None:
    """What it said last is the reason; a part that takes too long is ended."""
    rows, problem, broke = run(Part(name="nonexistent", seconds=60))
    assert rows == []
    assert "No module named" in problem
    assert not broke
    assert run(Part(name="churn", seconds=0)) == ([], "ended after 0 s", True)


def test_what_is_run_can_be_chosen() -> None:
    """By name, everything, or what needs nothing special; a misspelt name ends it at once."""
    assert [part.name for part in chosen(["churn"])] == ["churn"]
    assert chosen(["everything"]) == list(PARTS)
    assert not any(part.asked for part in chosen([]))
    with pytest.raises(SystemExit, match="no such benchmark: chrun"):
        chosen(["chrun"])


def test_every_part_is_a_program_that_says_what_it_is() -> None:
    """Its first lines name the command that starts it alone."""
    for part in PARTS:
        source = (ROOT / "benchmarks" / f"{part.name}.py").read_text()
        assert f"python -m benchmarks.{part.name}" in source.partition("\nimport ")[0]
