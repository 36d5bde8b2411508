"""The contestants of `benchmarks.watching` count what they say they count."""

import pytest
from benchmarks.peers.burst import burst
from benchmarks.peers.contest import Contestant, Result, drive, python, race, resting

from benchmarks import watching
from kaito.testing.threaded import served_api

PODS, CHANGES = 3, 12


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory):
    """Of an embedded API server with a few pods, and a namespace with one."""
    folder = tmp_path_factory.mktemp("watching")
    with served_api(folder) as served:
        drive("create", served.kubeconfig, watching.ALONE, 1)
        assert int(drive("create", served.kubeconfig, watching.NAMESPACE, PODS)) > 10_000
        yield served.kubeconfig


@pytest.mark.realtime
def test_the_floor_and_ours_see_every_change_once(kubeconfig):
    """Whatever the work: as many events as changes, and no more reconciles than events."""
    contestants = [one for group in watching.rounds(None) for one in group]

    def churn():
        return int(drive("churn", kubeconfig, watching.NAMESPACE, PODS, changes=CHANGES))

    found = race(contestants, kubeconfig, watching.NAMESPACE, PODS, churn)

    assert {one.contestant.name for one in found} >= {"floor", "kaito"}
    assert [one.events for one in found] == [CHANGES] * len(found)
    for one in found:
        least = PODS if one.contestant.name != "floor" else 0
        assert least <= one.reconciles <= CHANGES
        assert one.cpu_seconds > 0


@pytest.mark.realtime
def test_a_program_at_rest_has_a_size(kubeconfig):
    """What resident bytes per object are counted from."""
    ours = python("kaito", "ours", "metadata")

    assert resting([ours], kubeconfig, watching.ALONE)[ours] > 10_000_000


@pytest.mark.realtime
def test_a_burst_reaches_kopf_too(tmp_path):
    """The recorded stream is good enough for every client: each sees all events of the burst."""
    contestants = [
        python("floor", "floor", "metadata"),
        python("kaito", "ours", "metadata"),
        watching.kopf(),
    ]

    found = burst(contestants, tmp_path, pods=PODS, events=CHANGES)

    assert [one.events for one in found] == [CHANGES] * 3


def test_the_table_has_ratios_and_what_is_held():
    """One line each: microseconds, floors, bytes per object and how many more than its JSON."""
    floor = result("floor", 1.0, caches=False)
    ours = result("kaito", 1.25, reconciles=5_000)
    lines = [
        watching.Line(result=floor, floor=floor, held=10, size=16_000),
        watching.Line(result=ours, floor=floor, held=18_100, size=16_000),
    ]

    rows = watching.table(lines).splitlines()

    assert rows[2] == "| floor | metadata | 10,000 | 100 | 1.00 |  |  |  |"
    assert rows[3] == "| kaito | metadata | 10,000 | 125 | 1.25 | 0.50 | 18,100 | +2,100 |"


def test_aims_are_judged():
    """At most 1.4 floors, at most 2 KB over the JSON, below the best Go program at that work."""
    floor = result("floor", 1.0, caches=False)
    ours = result("kaito", 1.3)
    fast = result("controller-runtime, protobuf", 2.0)
    lines = [
        watching.Line(result=one, floor=floor, held=19_000, size=16_000) for one in (ours, fast)
    ]

    assert watching.aims(lines) == [
        "metadata: 1.30 floors; aim ≤ 1.4: met",
        "metadata: 3,000 bytes over JSON; aim ≤ 2048: MISSED",
        "metadata: 0.65 of the best Go program; aim ≤ 1: met",
    ]


def test_a_burst_is_judged_by_its_rate():
    """At least 0.6 of the floor's events a second, at least twenty times kopf's."""
    floor, ours, kopf = result("floor", 1.0), result("kaito", 1.5), result("kopf", 15.0)
    lines = [watching.Line(result=one, floor=floor) for one in (floor, ours, kopf)]

    assert watching.burst_aims(lines) == [
        "burst: 0.67 of the floor's events a second; aim ≥ 0.6: met",
        "burst: 10.00 times kopf's events a second; aim ≥ 20: MISSED",
    ]


def result(name, cpu_seconds, *, reconciles=0, caches=True):
    contestant = Contestant(name=name, work="metadata", command=(), caches=caches)
    return Result(
        contestant=contestant,
        events=10_000,
        reconciles=reconciles,
        cpu_seconds=cpu_seconds,
        rss_bytes=0,
    )
