"""What is frozen is out of the collector's sight."""

import gc

from kaito.framework.memory import freeze


def test_freezing_leaves_nothing_old_to_walk_over() -> None:
    """After it, the collector has next to nothing to look at; what is made later it sees."""
    try:
        freeze()
        assert gc.get_freeze_count() > 1000
        assert len(gc.get_objects()) < 1000
    finally:
        gc.unfreeze()
