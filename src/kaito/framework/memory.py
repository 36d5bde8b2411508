"""Keeping the garbage collector away from what lives as long as the process."""

import gc


def freeze() -> None:
    """Collect once, then hide everything that is alive from later collections.

    To be called once, after the caches have synced: what is there then (modules, classes, caches)
    stays anyway, and walking over it again and again would stop the loop for nothing. Cached
    records are not tracked in the first place; their dictionaries are.
    """
    gc.collect()
    gc.freeze()
