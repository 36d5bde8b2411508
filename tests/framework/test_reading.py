"""A run reads only what its controller has waited for."""

import asyncio

import pytest

from kaito.framework.controller import Controller
from kaito.framework.reading import NotAwaited, allow_incomplete
from kaito.framework.reconcile import Done
from kaito.framework.sources import at_start, for_object, reads
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, SECRETS
from tests.framework.world import World, configmap, key, running

SECRET = {"metadata": {"namespace": "default", "name": "s"}}


class Looking:
    """Does what it is given, once, and remembers what came of it."""

    def __init__(self, look):
        self.look, self.found = look, asyncio.get_running_loop().create_future()

    async def reconcile(self, key):
        if not self.found.done():
            try:
                self.found.set_result(await self.look())
            except LookupError as error:
                self.found.set_exception(error)
        return Done()


async def found(world, manager, look, *sources):
    reconciler = Looking(look)
    manager.add(Controller("looker", reconciler, [at_start(ObjectKey("", "x")), *sources]))
    async with running(manager):
        await asyncio.wait([reconciler.found], timeout=60)
    return reconciler.found.result()


READS = {
    "get": lambda store: store.get(ObjectKey("default", "s")),
    "list": lambda store: store.list(),
    "list of a namespace": lambda store: store.list(namespace="default"),
    "by_index": lambda store: store.by_index("all", "x"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_kind_that_another_controller_waits_for_is_not_read(read):
    """However long it has been complete: the mistake is found in every run, not in unlucky ones."""
    world = World()
    manager = world.manager()
    indexes = {"all": lambda record: ("x",)}
    manager.add(
        Controller("owner", Looking(asyncio.Event().wait), [for_object(SECRETS, indexes=indexes)])
    )

    async def look():
        await world.clock.sleep(30)
        return read(manager.client.store(SECRETS))

    with pytest.raises(NotAwaited, match="looker reads secrets"):
        await found(world, manager, look)


@pytest.mark.parametrize("source", [for_object, reads])
async def test_a_kind_that_is_a_source_is_read_and_is_complete(source):
    """`reads` caches the kind and holds runs back, but wakes nobody."""
    world = World()
    await world.client.create(SECRETS, SECRET)
    manager = world.manager()

    async def look():
        return len(manager.client.store(SECRETS).list())

    assert await found(world, manager, look, source(SECRETS)) == 1
    queued = manager._controllers["looker"].queue.stats.adds
    assert queued == (1 if source is reads else 2)


async def test_the_tasks_of_a_run_are_held_to_the_same():
    """What a run starts reads on its behalf."""
    world = World()
    manager = world.manager()
    manager.cache.informer(SECRETS)

    async def read():
        return manager.client.store(SECRETS).list()

    async def look():
        return await asyncio.get_running_loop().create_task(read())

    with pytest.raises(NotAwaited):
        await found(world, manager, look)


async def test_a_run_may_wait_for_a_kind_by_itself():
    """A kind that is declared while the program runs is read after waiting for its informer; what
    its handlers do is no part of the run."""
    world = World()
    await world.client.create(SECRETS, SECRET)
    await world.client.create(CONFIGMAPS, configmap("a"))
    manager = world.manager()
    heard = []

    async def look():
        informer = manager.cache.informer(SECRETS)
        informer.subscribe(lambda event: heard.append(manager.cache.store(CONFIGMAPS).list()))
        await informer.synced()
        return len(informer.store.list())

    manager.cache.informer(CONFIGMAPS)
    assert await found(world, manager, look) == 1
    assert len(heard) == 1


async def test_a_run_may_make_do_with_less_than_everything():
    """By saying so: `allow_incomplete`."""
    world = World()
    manager = world.manager()
    manager.cache.informer(SECRETS)

    async def look():
        store = manager.client.store(SECRETS)
        allow_incomplete(store)
        return store.list()

    assert await found(world, manager, look) == []


async def test_writing_to_a_kind_asks_for_no_more_than_is_known():
    """Preconditions come from the cache where there is one; nobody has to declare them."""
    world = World()
    await world.client.create(CONFIGMAPS, configmap("a"))
    manager = world.manager()
    manager.cache.informer(CONFIGMAPS)

    async def look():
        patched = await manager.client.merge_patch(CONFIGMAPS, key("a"), {"data": {"x": "1"}})
        await manager.client.delete(CONFIGMAPS, key("a"))
        return patched.get("data", "x")

    assert await found(world, manager, look) == "1"


async def test_outside_of_runs_everything_is_read():
    """Probes, tests and handlers see what there is."""
    world = World()
    manager = world.manager()
    informer = manager.cache.informer(SECRETS)
    async with running(manager):
        await informer.synced()
        assert manager.client.store(SECRETS).list() == []
