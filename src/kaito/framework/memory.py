"""The garbage collector: kept away from what lives as long as the process, and timed."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_DEFAULT = gc.get_threshold()
_RARELY = 100
"""Collections of the middle generation before a full one."""


def freeze() -> None:
    """Collect once, then hide everything that is alive from later collections.

    To be called once, after the caches have synced: what is there then (modules, classes, caches)
    stays anyway, and walking over it again and again would stop the loop for nothing. Cached
    records are not tracked in the first place; their dictionaries are.

    Full collections become rarer, too. Python puts them off until there is a quarter more than the
    last one left; what is hidden does not count there, so every burst of work would bring one.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _RARELY)


def thaw() -> None:
    """Undo `freeze`: for programs that go on without the caches, and for tests."""
    gc.unfreeze()
    gc.set_threshold(*_DEFAULT)


@contextmanager
def measured_collections(took: Callable[[int, float], object]) -> Iterator[None]:
    """Call `took(generation, seconds)` after every collection of the process, until left.

    Real time, whatever clock the rest runs on: a collection takes as long as it takes.
    """
    started = 0.0

    def hook(phase: str, info: dict[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        else:
            took(info["generation"], time.perf_counter() - started)

    gc.callbacks.append(hook)
    try:
        yield
    finally:
        gc.callbacks.remove(hook)
