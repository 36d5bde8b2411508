"""The store: what a shard does with what it is told, and what readers and handlers see of it."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from kaito.framework.events import Added, Deleted, Event, Updated
from kaito.framework.shard import SLICE, Shard
from kaito.framework.store import Store
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.selectors import LabelSelector
from tests.framework.objects import WIDGETS, widget_record


async def pause() -> None:
    await asyncio.sleep(0)


def watched(shards: int = 1, **indexes) -> tuple[Store, Shard, list[Event]]:
    store = Store(WIDGETS, indexes, shards)
    seen: list[Event] = []
    store.observe(seen.extend)
    return store, store.shards[0], seen


def colour(record: Record) -> Sequence[str]:
    return [record.meta.labels["colour"]] if "colour" in record.meta.labels else []


async def test_s25_replace_reports_deletions_first_then_changes_in_list_order() -> None:
    """A relist that lost, gained and changed objects: tombstones with the exact old objects first,
    then additions and updates in the order of the list."""
    store, shard, seen = watched()
    a, b, c = (widget_record(name, n) for n, name in enumerate("abc", 1))
    await shard.replace([a, b, c], "3", pause)
    seen.clear()
    d, newer, e = widget_record("d", 5), widget_record("b", 6), widget_record("e", 7)
    await shard.replace([d, newer, e], "9", pause)
    assert seen == [
        Deleted(a, tombstone=True),
        Deleted(c, tombstone=True),
        Added(d),
        Updated(b, newer),
        Added(e),
    ]
    assert seen[0].record is a
    assert [r.meta.name for r in store.list()] == ["d", "b", "e"]


async def test_s26_a_namesake_with_another_uid_is_a_deletion_and_an_addition() -> None:
    """Same name, new uid: never an update, neither in a relist nor in a stream."""
    store, shard, seen = watched()
    first, second, third = (widget_record("a", n, uid=f"u{n}") for n in (1, 2, 3))
    await shard.replace([first], "1", pause)
    await shard.replace([second], "2", pause)
    shard.upsert(third)
    assert seen == [
        Added(first, initial=True),
        Deleted(first, tombstone=True),
        Added(second),
        Deleted(second, tombstone=True),
        Added(third),
    ]
    shard.remove(widget_record("a", 4, uid="u9"))
    assert seen[-1] == Deleted(third, tombstone=True), "a deletion of a namesake never seen"
    assert len(store) == 0


async def test_s26_deletions_of_a_relist_come_before_every_addition() -> None:
    """The old namesake's tombstone is not delivered behind the additions of other objects."""
    _, shard, seen = watched()
    await shard.replace([widget_record("b", 1, uid="old")], "1", pause)
    seen.clear()
    await shard.replace([widget_record("a", 2), widget_record("b", 3, uid="new")], "3", pause)
    assert [type(event) for event in seen] == [Deleted, Added, Added]


async def test_s27_equal_versions_keep_identity_and_call_nobody() -> None:
    """A relist in which nothing changed: no event, and the very objects that were there."""
    store, shard, seen = watched(colour=colour)
    before = [widget_record(f"w{n}", n + 1, labels={"colour": "red"}) for n in range(5)]
    await shard.replace(before, "9", pause)
    seen.clear()
    again = [widget_record(f"w{n}", n + 1, labels={"colour": "red"}) for n in range(5)]
    await shard.replace(again, "12", pause)
    assert seen == []
    assert all(kept is old for kept, old in zip(store.list(), before, strict=True))
    assert len(store.by_index("colour", "red")) == 5
    shard.upsert(again[0])
    assert seen == [], "an event that brings a known version is no news"


async def test_s28_indexes_follow_values_and_drop_empty_buckets() -> None:
    """Multi-valued indexes move with the object; the bucket of a vanished value is removed; an
    index that is added late covers what is already there."""
    store, shard, _ = watched(colour=colour)
    await shard.replace([widget_record("a", 1, labels={"colour": "red"})], "1", pause)
    shard.upsert(widget_record("a", 2, labels={"colour": "blue", "size": "xl"}))
    assert list(shard.indexes["colour"].values()) == ["blue"]
    store.add_index("labels", lambda record: record.meta.labels.values())
    assert store.by_index("labels", "xl") == store.by_index("labels", "blue") == store.list()
    shard.upsert(widget_record("b", 3, labels={"size": "xl"}))
    assert [r.meta.name for r in store.by_index("labels", "xl")] == ["a", "b"]
    shard.remove(widget_record("a", 4, labels={"colour": "green"}))
    assert list(shard.indexes["colour"].values()) == []
    assert [r.meta.name for r in store.by_index("labels", "xl")] == ["b"]
    assert store.by_index("colour", "blue") == []


async def test_s28_an_index_added_while_a_replacement_yields_is_complete() -> None:
    """Declaring an index in the middle of a large relist loses nothing."""
    store, shard, _ = watched()
    yields = 0

    async def meanwhile() -> None:
        nonlocal yields
        yields += 1
        if yields == 1:
            store.add_index("colour", colour)

    records = [widget_record(f"w{n}", n + 1, labels={"colour": "red"}) for n in range(SLICE + 1)]
    await shard.replace(records, "9999", meanwhile)
    assert yields
    assert len(store.by_index("colour", "red")) == SLICE + 1


async def test_s28_an_index_function_that_raises_harms_nobody(lines) -> None:
    """The object is in the store and in no bucket of that index; that is logged; when it can be
    judged again it is found, and what it leaves behind is nothing."""

    def strict(record: Record) -> Sequence[str]:
        return [record.meta.labels["colour"], record.meta.labels["size"]]

    store, shard, _ = watched(strict=strict)
    await shard.replace([widget_record("a", 1), widget_record("b", 2)], "2", pause)
    assert len(store) == 2
    assert [line["key"] for line in lines] == ["ns/a", "ns/b"]
    both = {"colour": "red", "size": "xl"}
    shard.upsert(widget_record("a", 3, labels=both))
    shard.upsert(widget_record("b", 4, labels=both))
    shard.upsert(widget_record("a", 5, labels=both | {"size": "s"}))
    assert [record.meta.name for record in store.by_index("strict", "xl")] == ["b"]
    shard.remove(widget_record("a", 6, labels=both))
    shard.remove(widget_record("b", 7, labels=both))
    assert list(shard.indexes["strict"].values()) == []


async def test_s29_the_applied_version_follows_replace_event_bookmark_and_deletion() -> None:
    """`resource_version` is the version up to which the store has applied everything."""
    store, shard, _ = watched()
    assert store.resource_version == ""
    await shard.replace([widget_record("a", 3)], "10", pause)
    assert store.resource_version == "10", "the list's version, never an item's"
    shard.upsert(widget_record("b", 12))
    assert store.resource_version == "12"
    shard.advance("20")
    assert store.resource_version == "20"
    shard.remove(widget_record("a", 21))
    assert store.resource_version == "21"


async def test_s35_a_selector_narrows_a_list() -> None:
    """Readers may narrow by namespace and by labels; both together too."""
    store, shard, _ = watched()
    await shard.replace(
        [
            widget_record("a", 1, labels={"app": "x"}),
            widget_record("b", 2, labels={"app": "y"}),
            widget_record("c", 3, namespace="other", labels={"app": "x"}),
        ],
        "3",
        pause,
    )
    x = LabelSelector.parse("app=x")
    assert [r.meta.name for r in store.list(selector=x)] == ["a", "c"]
    assert [r.meta.name for r in store.list(namespace="ns")] == ["a", "b"]
    assert [r.meta.name for r in store.list(namespace="ns", selector=x)] == ["a"]
    assert store.list(namespace="nowhere") == []
    assert store.get(ObjectKey("other", "c")) is not None
    assert store.get(ObjectKey("ns", "c")) is None


async def test_s34_an_object_that_moves_between_shards_is_there_once() -> None:
    """Two selectors over one kind: an object that leaves one for the other is seen as updated or
    as deleted and added, in whichever order the two watches tell it, and never twice."""
    store, one, seen = watched(shards=2)
    other = store.shards[1]
    await one.replace([widget_record("a", 1)], "1", pause)
    await other.replace([], "1", pause)
    other.upsert(widget_record("a", 2))
    one.remove(widget_record("a", 2))
    assert [type(event) for event in seen] == [Added, Updated]
    one.upsert(widget_record("a", 3))
    await other.replace([], "3", pause)
    assert [type(event) for event in seen] == [Added, Updated, Updated]
    one.remove(widget_record("a", 4))
    other.upsert(widget_record("a", 4))
    assert [type(event) for event in seen[3:]] == [Deleted, Added]
    assert len(store) == 1
    assert len(store.list()) == 1


async def test_s34_an_object_that_moves_away_during_a_relist_does_not_come_back() -> None:
    """The list was read before the move: what another watch has brought meanwhile is newer, and
    the deletion that this one will bring is only the other side of the move."""
    store, one, seen = watched(2, colour=colour)
    other = store.shards[1]
    listed = [widget_record(f"w{n}", n + 1, labels={"colour": "red"}) for n in range(SLICE + 1)]
    await one.replace(listed, "9000", pause)
    await other.replace([], "9000", pause)
    seen.clear()
    moved = widget_record("w0", 9001, labels={"colour": "blue"})

    async def meanwhile() -> None:
        other.upsert(moved)

    await one.replace(listed, "9000", meanwhile)
    assert store.get(ObjectKey("ns", "w0")) is moved
    assert len(store) == len(store.by_index("colour", "red")) + 1 == SLICE + 1
    one.remove(widget_record("w0", 9001))
    assert seen == [Updated(listed[0], moved)]


async def test_s34_what_a_relist_of_one_watch_misses_is_deleted_if_no_other_has_it() -> None:
    """Gone from the one and not seen by the other: a tombstone. Seen there: no word."""
    store, one, seen = watched(shards=2)
    a, b = widget_record("a", 1), widget_record("b", 2)
    await one.replace([a, b], "2", pause)
    await store.shards[1].replace([], "2", pause)
    seen.clear()
    moved = False

    async def meanwhile() -> None:
        nonlocal moved
        if not moved:
            moved = True
            store.shards[1].upsert(widget_record("b", 3))

    others = [widget_record(f"w{n}", n + 10) for n in range(SLICE)]
    await one.replace(others, "4000", meanwhile)
    assert [event for event in seen if isinstance(event, Deleted)] == [Deleted(a, tombstone=True)]
    assert store.get(ObjectKey("ns", "b")) == widget_record("b", 3)


async def test_s34_the_version_of_a_store_is_that_of_its_slowest_shard() -> None:
    """A store of several shards is as fresh as the one that is furthest behind."""
    store, one, _ = watched(shards=2)
    await one.replace([], "9", pause)
    assert store.resource_version == ""
    assert not store.synced
    await store.shards[1].replace([], "10", pause)
    assert store.resource_version == "9"
    one.advance("11")
    assert store.resource_version == "10"


async def test_a_large_replacement_yields_and_is_swapped_in_one_step() -> None:
    """While a relist of many objects is being prepared others run, and see the old content only;
    others run, too, while what it replaced is freed, which takes as long."""
    store, shard, seen = watched(colour=colour)
    await shard.replace([widget_record("old", 1)], "1", pause)
    seen.clear()
    lengths: set[tuple[int, int]] = set()

    async def look() -> None:
        lengths.add((len(store.list()), len(seen)))

    records = [widget_record(f"w{n}", n + 2) for n in range(3 * SLICE)]
    await shard.replace(records, "9999", look)
    assert lengths == {(1, 0), (3 * SLICE, 3 * SLICE + 1)}


@pytest.mark.parametrize(("indexed", "pauses"), [(False, 13), (True, 16)])
async def test_a_large_replacement_pauses_after_every_slice_of_its_work(indexed, pauses) -> None:
    """Comparing, looking for what is missing, indexing, and freeing what was replaced: three
    slices each, of events twice as many, and none of the last slice is worth a pause."""
    _, shard, seen = watched(**({"colour": colour} if indexed else {}))
    old = [widget_record(f"o{n}", n + 1) for n in range(3 * SLICE)]
    await shard.replace(old, "5000", pause)
    seen.clear()
    counted = []

    async def counting() -> None:
        counted.append(len(seen))

    new = [widget_record(f"n{n}", n + 5000) for n in range(3 * SLICE)]
    await shard.replace(new, "9999", counting)
    assert len(counted) == pauses
    assert counted[: pauses - 7] == [0] * (pauses - 7), "nothing is told before the swap"
    assert counted[pauses - 7 :] == [6 * SLICE] * 7


async def test_of_an_unchanged_object_the_copy_at_hand_is_the_one_to_keep() -> None:
    """What a list brings again is recognised by uid and version before it is held twice."""
    _, shard, _ = watched()
    old = widget_record("a", 1)
    await shard.replace([old], "1", pause)
    assert shard.known(widget_record("a", 1)) is old
    for fresh in (
        widget_record("a", 2),
        widget_record("a", 1, uid="another"),
        widget_record("b", 1),
    ):
        assert shard.known(fresh) is fresh


async def test_records_in_the_store_are_not_tracked_by_the_collector() -> None:
    """Holding many objects adds nothing to a garbage collection: neither the records, nor their
    fields, nor (after one look of the collector) the keys they are found by."""
    _, shard, _ = watched()
    await shard.replace([widget_record("a", 1, spec={"x": [1, {"y": "z"}]})], "1", pause)
    gc.collect()
    for key, record in shard.records.items():
        assert not gc.is_tracked(record)
        assert not gc.is_tracked(record.meta)
        assert not gc.is_tracked(record.fields)
        assert not gc.is_tracked(key)


async def test_waiters_wake_when_their_version_is_applied() -> None:
    """Whoever waits for a version is called once, by the first event or bookmark that reaches it;
    whoever waits for a uid to vanish, when it is gone or replaced by a namesake."""
    _, shard, _ = watched()
    await shard.replace([widget_record("a", 1, uid="u1")], "1", pause)
    woken: list[str] = []
    shard.when_reached("9", lambda: woken.append("9"))
    shard.when_reached("10", lambda: woken.append("10"))
    shard.when_vanished(("ns", "a"), "u1", lambda: woken.append("u1"))
    shard.upsert(widget_record("a", 8, uid="u1"))
    assert woken == []
    shard.advance("9")
    assert woken == ["9"]
    shard.upsert(widget_record("a", 10, uid="u2"))
    assert woken == ["9", "u1", "10"]
    shard.advance("11")
    assert woken == ["9", "u1", "10"]
    shard.when_reached("20", lambda: woken.append("20"))
    shard.when_vanished(("ns", "a"), "u2", lambda: woken.append("u2"))
    await shard.replace([widget_record("a", 19, uid="u3")], "20", pause)
    assert woken[3:] == ["u2", "20"], "a list tells as much as a watch"


async def test_what_was_written_is_seen_until_the_watch_has_caught_up() -> None:
    """An overlay answers reads by key, list and index, and ends with the version it stands for."""
    store, shard, _ = watched(colour=colour)
    await shard.replace([widget_record("a", 1, labels={"colour": "red"})], "5", pause)
    store.overlay(shard, widget_record("a", 7, labels={"colour": "blue"}))
    store.overlay(shard, widget_record("b", 8, labels={"colour": "blue"}))
    store.overlay(shard, widget_record("c", 5))
    assert [r.meta.resource_version for r in store.list()] == ["7", "8"]
    assert [r.meta.name for r in store.by_index("colour", "blue")] == ["a", "b"]
    assert store.by_index("colour", "red") == []
    assert store.get(ObjectKey("ns", "c")) is None, "the watch already knows better"
    shard.remove(widget_record("a", 9))
    assert store.list() == [], "and has now overtaken both"


async def test_what_was_deleted_is_gone_until_the_watch_has_caught_up() -> None:
    """A deleted object is not seen again, even if the cache has yet to hear of its creation; a
    namesake with another uid is."""
    store, shard, _ = watched()
    await shard.replace([widget_record("a", 1)], "1", pause)
    store.overlay_gone(shard, ("ns", "a"), "uid-ns-a", "1")
    store.overlay_gone(shard, ("ns", "b"), "uid-ns-b", "3")
    assert store.list() == []
    shard.upsert(widget_record("b", 3))
    assert store.list() == []
    shard.remove(widget_record("b", 4))
    shard.upsert(widget_record("a", 6, uid="another"))
    assert [r.meta.uid for r in store.list()] == ["another"]


async def test_what_was_deleted_is_gone_with_all_that_bore_its_name_before() -> None:
    """Deleted, made anew, and deleted again before the watch has brought any of it: nothing is
    there. An answer to an earlier write that comes late changes nothing; a new object does."""
    store, shard, _ = watched()
    await shard.replace([widget_record("a", 1, uid="first")], "1", pause)
    a = ObjectKey("ns", "a")
    store.overlay_gone(shard, ("ns", "a"), "first", "1")
    store.overlay(shard, widget_record("a", 3, uid="second"))
    store.overlay_gone(shard, ("ns", "a"), "second", "3")
    assert store.get(a) is None
    store.overlay(shard, widget_record("a", 4, uid="second"))
    assert store.get(a) is None
    store.overlay(shard, third := widget_record("a", 6, uid="third"))
    assert store.get(a) is third


async def test_what_was_deleted_does_not_hide_its_successor_in_another_shard() -> None:
    """The other watch is ahead and has brought the new object of that name."""
    store, one, _ = watched(shards=2)
    await one.replace([widget_record("a", 1, uid="first")], "1", pause)
    await store.shards[1].replace([], "1", pause)
    store.overlay_gone(one, ("ns", "a"), "first", "3")
    store.shards[1].upsert(successor := widget_record("a", 5, uid="second"))
    assert store.get(ObjectKey("ns", "a")) is successor


async def test_what_was_written_and_is_never_read_is_forgotten_all_the_same() -> None:
    """A writer that does not look again: the watch brings what it wrote, and no second copy of
    every object it ever wrote stays behind."""
    store, shard, _ = watched()
    await shard.replace([], "1", pause)
    for number in range(2, 2000):
        written = widget_record(f"w{number}", number)
        store.overlay(shard, written)
        shard.upsert(written)
    assert len(store._overlays) <= 100
