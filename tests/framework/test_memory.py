"""What is frozen is out of the collector's sight."""

import gc

from kaito.framework.memory import freeze, thaw


def test_freezing_leaves_nothing_old_to_walk_over() -> None:
    """After it, the collector has next to nothing to look at; what is made later it sees."""
    try:
        freeze()
        assert gc.get_freeze_count() > 1000
        assert len(gc.get_objects()) < 1000
    finally:
        thaw()
    assert gc.get_freeze_count() == 0


def test_a_burst_of_work_on_frozen_caches_brings_no_full_collection() -> None:
    """As many objects as a relist of thirty thousand makes: young ones are collected, but all of
    them are not walked over again and again, as they would be because nothing old counts."""
    full: list[str] = []

    def hook(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            full.append(phase)

    before = gc.get_threshold()
    try:
        freeze()
        gc.callbacks.append(hook)
        held: list[list[int]] = [[] for _ in range(200_000)]
        assert len(held) == 200_000
        assert full == []
    finally:
        gc.callbacks.remove(hook)
        thaw()
    assert gc.get_threshold() == before
