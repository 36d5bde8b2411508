"""A reconciler reads its own writes and waits for them, never for anybody else's."""

import asyncio
from collections.abc import Callable

import pytest

from kaito.framework.cache import Cache
from kaito.kube.errors import (
    AlreadyExists,
    Conflict,
    Invalid,
    NotFound,
    ServerError,
    TransportError,
)
from kaito.kube.objects import ObjectKey, Record
from kaito.kube.resources import CONFIGMAPS, PODS
from kaito.kube.transport import Request, Response
from tests.framework.lab import key, laboratory, settings

CM = CONFIGMAPS


def lost(method: str) -> Callable[[Request, Response], None]:
    """The server acts on requests of this method, but its answer never arrives."""

    def after(request: Request, response: Response) -> None:
        if request.method == method:
            raise TransportError("connection reset by peer")

    return after


def data(record: Record | None) -> object:
    return record.get("data") if record else None


async def test_s58_a_write_is_seen_at_once_and_never_by_a_live_read() -> None:
    """With watches five seconds late: the run that wrote sees what it wrote, by key and in lists;
    its key's next run is held back until the cache does; no read goes to the server."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        store = lab.client.store(CM)
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("x", k="1"))
            assert data(store.get(key("x"))) == {"k": "1"}
            await lab.client.merge_patch(CM, key("x"), {"data": {"k": "2"}})
            assert data(store.get(key("x"))) == {"k": "2"}
            assert [data(record) for record in store.list(namespace="default")] == [{"k": "2"}]
        assert await lab.waited("a") == pytest.approx(5.0)
        assert data(store.get(key("x"))) == {"k": "2"}
        assert [told.split()[0] for told in lab.network.told()] == ["POST", "PATCH"]


async def test_s58_no_other_key_waits() -> None:
    """A key that has written nothing runs at once, however late the watches are."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("x"))
        assert lab.client.behind(key("b")) is None
        assert await lab.waited("a") > 0


async def test_s59_what_was_deleted_stays_gone() -> None:
    """Without finalizers: gone at once for the run, and the next run waits until the cache has
    heard. It even stays gone when the cache has yet to hear that it was ever there."""
    async with laboratory() as lab:
        await lab.direct.create(CM, settings("old"))
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        store = lab.client.store(CM)
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("new"))
            assert await lab.client.delete(CM, key("new")) is None
            assert await lab.client.delete(CM, key("old")) is None
            assert store.list(namespace="default") == []
        sizes: set[int] = set()
        store.observe(lambda _: sizes.add(len(store.list(namespace="default"))))
        assert await lab.waited("a") == pytest.approx(5.0)
        assert sizes == {0}, "nobody ever saw either of them again"


async def test_s59_a_deletion_with_finalizers_leaves_the_object_deleting() -> None:
    """The answer is the object with its deletionTimestamp; that is what is read, and waited for."""
    async with laboratory() as lab:
        obj = settings("x")
        obj["metadata"]["finalizers"] = ["example.org/hold"]
        await lab.direct.create(CM, obj)
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        async with lab.run_of("a"):
            left = await lab.client.delete(CM, key("x"))
            assert left is not None
            assert left.meta.deleting
            seen = lab.client.store(CM).get(key("x"))
            assert seen is not None
            assert seen.meta.deleting
        assert await lab.waited("a") == pytest.approx(5.0)


async def test_s59_the_event_of_a_deletion_may_come_before_its_answer() -> None:
    """The watch is faster than the response: nobody waits for an event that has been."""
    async with laboratory() as lab:
        await lab.direct.create(CM, settings("x"))
        await asyncio.sleep(1)
        send = lab.network.inner.send

        async def slow(request: Request, *, timeout: float | None = None) -> Response:
            response = await send(request, timeout=timeout)
            await asyncio.sleep(3)
            return response

        lab.network.inner.send = slow  # type: ignore[method-assign]  # a slow way back
        async with lab.run_of("a"):
            assert await lab.client.delete(CM, key("x")) is None
        assert lab.client.behind(key("a")) is None
        assert lab.client.store(CM).get(key("x")) is None


async def test_s59_a_namesake_is_never_deleted_or_patched() -> None:
    """Every write carries the uid of the object that the cache shows: a successor of the same
    name is not touched, and nobody waits afterwards."""
    async with laboratory() as lab:
        await lab.direct.create(CM, settings("x"))
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        await lab.direct.delete(CM, key("x"))
        await lab.direct.create(CM, settings("x"))
        async with lab.run_of("a"):
            with pytest.raises(Conflict):
                await lab.client.delete(CM, key("x"))
            with pytest.raises(Conflict) as raised:
                await lab.client.merge_patch(CM, key("x"), {"data": {"k": "1"}})
            assert (raised.value.code, raised.value.reason) == (409, "Conflict")
            with pytest.raises(Invalid):
                await lab.client.json_patch(
                    CM, key("x"), [{"op": "add", "path": "/data", "value": {"k": "1"}}]
                )
        assert lab.client.behind(key("a")) is None
        assert not data(await lab.direct.get(CM, key("x")))


async def test_s59_deleting_what_is_gone_already() -> None:
    """NotFound for an object the cache still shows: the run sees it gone, the next run waits."""
    async with laboratory() as lab:
        await lab.direct.create(CM, settings("x"))
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        await lab.direct.delete(CM, key("x"))
        async with lab.run_of("a"):
            with pytest.raises(NotFound):
                await lab.client.delete(CM, key("x"))
            assert lab.client.store(CM).get(key("x")) is None
        assert await lab.waited("a") == pytest.approx(5.0)


async def test_s60_a_conflict_leaves_nobody_waiting() -> None:
    """The outcome of a refused write is known: it did nothing."""
    async with laboratory() as lab:
        await lab.direct.create(CM, settings("x"))
        await asyncio.sleep(1)
        async with lab.run_of("a"):
            with pytest.raises(AlreadyExists):
                await lab.client.create(CM, settings("x"))
            with pytest.raises(Conflict):
                await lab.client.merge_patch(CM, key("x"), {"data": {}}, resource_version="1")
            with pytest.raises(Conflict):
                await lab.client.replace(CM, settings("x", version="1"))
        assert lab.client.behind(key("a")) is None
        assert lab.counted == []


@pytest.mark.parametrize("committed", [True, False])
async def test_s60_a_lost_answer_costs_one_list_and_strands_nobody(committed: bool) -> None:
    """No answer to a create: before the key runs again one consistent list of one item tells
    until when to wait; whether the object exists is then read from the cache."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        if committed:
            lab.network.after = lost("POST")
        else:

            def lost_on_the_way(request: Request) -> None:
                if request.method == "POST":
                    raise TransportError("connection reset by peer")

            lab.network.before = lost_on_the_way
        async with lab.run_of("a"):
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("x"))
        # Something else happens to the kind, so that a watch of it moves on.
        await lab.direct.create(CM, settings("other"))
        lab.network.requests.clear()
        assert await lab.waited("a") == pytest.approx(5.0)
        assert lab.network.told() == ["GET /api/v1/configmaps?limit=1"]
        assert lab.counted == ["consistent_list"]
        assert (lab.client.store(CM).get(key("x")) is not None) is committed


async def test_s60_a_server_error_and_a_cancelled_write_leave_marks() -> None:
    """A 500 may come after the commit, and whoever is cancelled in the middle knows nothing."""
    async with laboratory() as lab:

        def failing(request: Request, response: Response) -> None:
            if request.method == "POST":
                raise ServerError("etcdserver: request timed out", code=500)

        lab.network.after = failing
        async with lab.run_of("a"):
            with pytest.raises(ServerError):
                await lab.client.create(CM, settings("x"))
        lab.network.after = lambda request, response: None
        send = lab.network.inner.send

        async def slow(request: Request, *, timeout: float | None = None) -> Response:
            if request.method == "POST":
                await asyncio.sleep(60)
            return await send(request, timeout=timeout)

        lab.network.inner.send = slow  # type: ignore[method-assign]  # a slow way there
        async with lab.run_of("b"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await lab.client.create(CM, settings("y"))
        for name in ("a", "b"):
            await lab.waited(name)
        assert lab.counted == ["consistent_list"] * 2


async def test_s60_finding_out_is_tried_until_it_works() -> None:
    """The list itself may fail: then it is tried again, and the key stays parked."""
    async with laboratory() as lab:
        lab.network.after = lost("POST")
        async with lab.run_of("a"):
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("x"))
        failures = 0

        def failing(request: Request) -> None:
            nonlocal failures
            if request.param("limit") == "1" and failures < 12:
                failures += 1
                raise TransportError("connection refused", sent=False)

        lab.network.before = failing
        assert await lab.waited("a") > 1
        assert failures == 12
        assert lab.client.store(CM).get(key("x")) is not None


def labelled(cache: Cache) -> object:
    return cache.informer(CM, label_selector="app=web")


def with_label(name: str, app: str) -> dict:
    obj = settings(name)
    obj["metadata"]["labels"] = {"app": app}
    return obj


async def test_s61_what_the_cache_does_not_select_is_not_waited_for() -> None:
    """Selectors are judged here: what is outside before and after will never be seen."""
    async with laboratory(declare=labelled) as lab:
        lab.network.lag = 5.0
        async with lab.run_of("a"):
            await lab.client.create(CM, with_label("x", "db"))
            await lab.client.merge_patch(CM, key("x"), {"data": {"k": "1"}})
            assert lab.client.store(CM).get(key("x")) is None
        assert lab.client.behind(key("a")) is None
        async with lab.run_of("b"):
            await lab.client.create(PODS, _pod("p"))
        assert lab.client.behind(key("b")) is None, "nobody watches pods here"


async def test_s61_leaving_and_entering_a_selector_are_waited_for() -> None:
    """A write that moves an object out of the selector, or into it, has a visible effect."""
    async with laboratory(declare=labelled) as lab:
        await lab.direct.create(CM, with_label("in", "web"))
        await lab.direct.create(CM, with_label("out", "db"))
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        store = lab.client.store(CM)
        async with lab.run_of("a"):
            await lab.client.merge_patch(CM, key("in"), {"metadata": {"labels": {"app": "db"}}})
            assert store.list() == []
        assert await lab.waited("a") == pytest.approx(5.0)
        async with lab.run_of("a"):
            await lab.client.merge_patch(CM, key("out"), {"metadata": {"labels": {"app": "web"}}})
            assert [record.meta.name for record in store.list()] == ["out"]
        assert await lab.waited("a") == pytest.approx(5.0)
        assert [record.meta.name for record in store.list()] == ["out"]


async def test_s61_a_namespaced_cache_waits_for_its_namespaces_only() -> None:
    """Written to another namespace: not waited for."""

    def elsewhere(cache: Cache) -> object:
        return cache.informer(CM, namespaces=("kube-system", "kube-public"))

    async with laboratory(declare=elsewhere) as lab:
        lab.network.lag = 5.0
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("x"))
        assert lab.client.behind(key("a")) is None
        inside = settings("x")
        inside["metadata"]["namespace"] = "kube-public"
        async with lab.run_of("a"):
            await lab.client.create(CM, inside)
            assert lab.client.store(CM).get(ObjectKey("kube-public", "x")) is not None
        assert await lab.waited("a") == pytest.approx(5.0)


async def test_s62_reads_never_wait_and_writers_starve_nobody() -> None:
    """While somebody writes without end, and watches are late, another key that wrote once waits
    exactly for its own write, and every read answers at once."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        store = lab.client.store(CM)

        async def write_for_ever() -> None:
            async with lab.run_of("writer"):
                await lab.client.create(CM, settings("w"))
                for n in range(1_000_000):
                    await lab.client.merge_patch(CM, key("w"), {"data": {"k": str(n)}})
                    await asyncio.sleep(0.5)

        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write_for_ever())
            await asyncio.sleep(10)
            async with lab.run_of("reader"):
                await lab.client.create(CM, settings("x"))
                before = asyncio.get_running_loop().time()
                assert store.get(key("x")) is not None
                assert asyncio.get_running_loop().time() == before
            assert await lab.waited("reader") == pytest.approx(5.0)
            writing.cancel()


async def test_s63_the_wait_ends_with_a_relist_too_and_survives_a_new_owner() -> None:
    """The event itself may never come: a list that shows a later state is as good. A key whose
    object was made anew is waited for all the same."""
    async with laboratory() as lab:
        lab.network.lag = 1_000.0
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("a"))
            await lab.client.delete(CM, key("a"))
            await lab.client.create(CM, settings("a"))
        waiting = lab.client.behind(key("a"))
        assert waiting is not None
        lab.network.lag = 2.0
        lab.network.cut_watches()
        began = asyncio.get_running_loop().time()
        await waiting
        assert asyncio.get_running_loop().time() - began < 10
        assert lab.client.behind(key("a")) is None
        assert len(lab.client.store(CM).list()) >= 1


async def test_s63_stopping_a_kind_releases_whoever_waits_for_it() -> None:
    """A cache that is no longer followed will not catch up."""
    async with laboratory() as lab:
        lab.network.lag = 1_000.0
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("x"))
            await lab.client.delete(CM, key("x"))
        waiting = lab.client.behind(key("a"))
        assert waiting is not None
        async with asyncio.TaskGroup() as tasks:

            async def stop() -> None:
                await asyncio.sleep(1)
                await lab.cache.stop(CM)

            tasks.create_task(stop())
            await waiting
        assert lab.client.behind(key("a")) is None


async def test_the_fence_is_asked_before_every_write() -> None:
    """Behind a shut fence nothing is sent, and nothing is unknown."""
    async with laboratory() as lab:
        lab.fence.shut = True
        async with lab.run_of("a"):
            for write in (
                lambda: lab.client.create(CM, settings("x")),
                lambda: lab.client.replace(CM, settings("x")),
                lambda: lab.client.apply(CM, settings("x"), field_manager="m", force=False),
                lambda: lab.client.merge_patch(CM, key("x"), {}),
                lambda: lab.client.json_patch(CM, key("x"), []),
                lambda: lab.client.delete(CM, key("x")),
            ):
                with pytest.raises(RuntimeError, match="fenced"):
                    await write()
        assert lab.network.requests == []
        assert lab.client.behind(key("a")) is None


async def test_answers_that_overtake_each_other_do_not_turn_back_what_is_read() -> None:
    """Two writes at once; the older answer arrives last: the newer state stays visible."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        first = await lab.direct.create(CM, settings("x", k="1"))
        second = await lab.direct.merge_patch(CM, key("x"), {"data": {"k": "2"}})
        store = lab.client.store(CM)
        shard = store.shards[0]
        store.overlay(shard, second)
        store.overlay(shard, first)
        assert data(store.get(key("x"))) == {"k": "2"}


async def test_a_live_read_is_explicit_and_counted() -> None:
    """`get_live` asks the server, answers None for what is not there, and is counted."""
    async with laboratory() as lab:
        await lab.direct.create(CM, settings("x", k="1"))
        assert await lab.client.get_live(CM, key("x")) is not None
        assert await lab.client.get_live(CM, key("y")) is None
        assert "managedFields" in (await lab.client.get_live_json(CM, key("x")))["metadata"]
        assert await lab.client.get_live_json(CM, key("y")) is None
        assert lab.counted == ["live_get"] * 4


def _pod(name: str) -> dict:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
