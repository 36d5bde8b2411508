"""What a key waits for after unusual writes, how it finds out, and what is not remembered."""

import asyncio
import itertools

import pytest

from kaito.framework import catchup
from kaito.framework.cache import Cache
from kaito.kube.errors import Forbidden, ServerError, TransportError
from kaito.kube.objects import Json
from kaito.kube.resources import CONFIGMAPS, DEPLOYMENTS, PODS
from kaito.kube.transport import Request, Response
from tests.framework.lab import Lab, key, laboratory, settings

CM = CONFIGMAPS

VERBS = {
    "create": lambda client: client.create(
        CM, settings("x"), field_manager="m", dry_run=True, subresource="sub"
    ),
    "replace": lambda client: client.replace(
        CM, settings("x"), field_manager="m", subresource="sub"
    ),
    "apply": lambda client: client.apply(
        CM, settings("x"), field_manager="m", force=True, dry_run=True, subresource="sub"
    ),
    "merge_patch": lambda client: client.merge_patch(
        CM, key("x"), {"data": {"k": "1"}}, field_manager="m", subresource="sub"
    ),
    "json_patch": lambda client: client.json_patch(
        CM, key("x"), [{"op": "remove", "path": "/data"}], field_manager="m", subresource="sub"
    ),
    "delete": lambda client: client.delete(
        CM, key("x"), uid="u", resource_version="7", propagation="Orphan", grace_seconds=3
    ),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_sends_what_the_plain_client_sends(verb: str) -> None:
    """Every argument reaches the server; nothing is added for an object that is not known."""

    def never(request: Request) -> None:
        raise RuntimeError("not sent")

    async with laboratory() as lab:
        lab.network.before = never
        for client in (lab.client, lab.client.live):
            with pytest.raises(RuntimeError, match="not sent"):
                await VERBS[verb](client)
        ours, plain = lab.network.requests
        assert (ours.method, ours.target, ours.body) == (plain.method, plain.target, plain.body)
        assert ours.headers == plain.headers


async def test_a_rehearsal_is_answered_and_leaves_nothing_behind() -> None:
    """A dry run passes the fence and answers as the write would; nobody sees or awaits it."""
    async with laboratory() as lab:
        async with lab.run_of("a"):
            record = await lab.client.create(CM, settings("x", k="1"), dry_run=True)
            assert record.get("data") == {"k": "1"}
            assert lab.client.store(CM).get(key("x")) is None
            lab.network.after = lost
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("x"), dry_run=True)
            lab.fence.shut = True
            with pytest.raises(RuntimeError, match="fenced"):
                await lab.client.create(CM, settings("x"), dry_run=True)
        assert lab.client.behind(key("a")) is None


async def deployed(lab: Lab) -> None:
    labels = {"app": "x"}
    await lab.direct.create(
        DEPLOYMENTS,
        {
            "metadata": {"name": "x", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
        },
    )


@pytest.mark.parametrize("known", [True, False])
async def test_a_subresource_of_another_kind_is_waited_for_but_not_shown(known: bool) -> None:
    """A Scale has the version of the Deployment but is none: until the watch brings the effect the
    old object is read, and the key waits; of an object that the cache never showed nothing."""
    async with laboratory(declare=lambda cache: cache.informer(DEPLOYMENTS)) as lab:
        if not known:
            lab.network.lag = 5.0
        await deployed(lab)
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        store = lab.client.store(DEPLOYMENTS)
        async with lab.run_of("a"):
            answer = await lab.client.merge_patch(
                DEPLOYMENTS, key("x"), {"spec": {"replicas": 3}}, subresource="scale"
            )
            assert answer.kind == "Scale"
            assert [record.get("spec", "replicas") for record in store.list()] == [1] * known
        assert await lab.waited("a") == pytest.approx(5.0 if known else 0.0)
        if known:
            assert store.list()[0].get("spec", "replicas") == 3


def labelled(cache: Cache) -> object:
    return cache.informer(CM, label_selector="app=web")


async def test_s61_entering_and_leaving_a_selector_in_one_run_is_never_seen() -> None:
    """Created inside, then moved out, while the watch knows of neither: what it brings of the
    first is already over when it comes."""
    async with laboratory(declare=labelled) as lab:
        lab.network.lag = 5.0
        store = lab.client.store(CM)
        obj: Json = settings("x")
        obj["metadata"]["labels"] = {"app": "web"}
        async with lab.run_of("a"):
            await lab.client.create(CM, obj)
            await lab.client.merge_patch(CM, key("x"), {"metadata": {"labels": {"app": "db"}}})
            assert store.list() == []
        sizes: set[int] = set()
        store.observe(lambda _: sizes.add(len(store.list())))
        assert await lab.waited("a") == pytest.approx(5.0)
        assert sizes == {0}


async def test_s59_a_pod_without_grace_is_gone_though_it_was_answered() -> None:
    """Some kinds are answered with their last state: deleting, and nothing that could hold it."""
    pod: Json = {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    async with laboratory(declare=lambda cache: cache.informer(PODS)) as lab:
        await lab.direct.create(PODS, pod)
        await asyncio.sleep(1)
        lab.network.lag = 5.0
        async with lab.run_of("a"):
            assert await lab.client.delete(PODS, key("p"), grace_seconds=0) is None
            assert lab.client.store(PODS).get(key("p")) is None
        assert await lab.waited("a") == pytest.approx(5.0)


async def test_s59_deleting_what_the_cache_has_not_heard_of() -> None:
    """By name: nothing says when the cache will know, so that is found out. By a uid that no
    cache shows: nothing that is shown can be outdated by it."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        store = lab.client.store(CM)
        await lab.direct.create(CM, settings("x"))
        live = await lab.direct.create(CM, settings("y"))
        async with lab.run_of("a"):
            assert await lab.client.delete(CM, key("x")) is None
        async with lab.run_of("b"):
            assert await lab.client.delete(CM, key("y"), uid=live.meta.uid) is None
        assert lab.client.behind(key("b")) is None
        await lab.direct.create(CM, settings("other"))
        assert await lab.waited("a") == pytest.approx(5.0)
        assert lab.counted == ["consistent_list"]
        assert [record.meta.name for record in store.list()] == ["other"]


async def test_s59_deleting_what_another_key_has_just_made() -> None:
    """The cache knows neither: whoever deleted it waits until both have been brought, and nobody
    ever sees it again. A write outside of any run is remembered for nobody."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        store = lab.client.store(CM)
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("x"))
        async with lab.run_of("b"):
            assert await lab.client.delete(CM, key("x")) is None
        sizes: set[int] = set()
        store.observe(lambda _: sizes.add(len(store.list(namespace="default"))))
        assert await lab.waited("b") == pytest.approx(5.0)
        assert sizes == {0}
        await lab.waited("a")
        await lab.client.create(CM, settings("y"))
        assert lab.client._catch_up._ledgers == {}


def lost(request: Request, response: Response) -> None:
    if request.method == "POST":
        raise TransportError("connection reset by peer")


async def test_s60_the_pauses_between_attempts_to_find_out_double() -> None:
    """One second, two, four, up to thirty: a server in trouble is not asked ever faster."""
    async with laboratory() as lab:
        lab.network.after = lost
        async with lab.run_of("a"):
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("x"))
        loop, asked = asyncio.get_running_loop(), []

        def failing(request: Request) -> None:
            if request.param("limit") == "1":
                asked.append(loop.time())
                if len(asked) < 9:
                    raise ServerError("no leader", code=500)

        lab.network.before = failing
        await lab.waited("a")
        pauses = [later - sooner for sooner, later in itertools.pairwise(asked)]
        assert pauses == [pytest.approx(pause) for pause in (1, 2, 4, 8, 16, 30, 30, 30)]


async def test_s60_finding_out_needs_no_more_rights_than_the_cache_has() -> None:
    """A cache of some namespaces lists one of those: versions are those of the whole kind."""

    def some(cache: Cache) -> object:
        return cache.informer(CM, namespaces=("default", "kube-system"))

    async with laboratory(declare=some) as lab:
        lab.network.after = lost
        async with lab.run_of("a"):
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("x"))
        lab.network.requests.clear()
        await lab.waited("a")
        assert lab.network.told() == ["GET /api/v1/namespaces/default/configmaps?limit=1"]
        assert lab.client.store(CM).get(key("x")) is not None


@pytest.mark.parametrize("how", ["forbidden", "forgotten"])
async def test_s60_what_cannot_be_found_out_holds_nobody_up(how: str, lines) -> None:
    """No permission to list, or nobody follows the kind any more: said once, and the key runs."""
    async with laboratory() as lab:
        lab.network.after = lost
        async with lab.run_of("a"):
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("x"))
            with pytest.raises(TransportError):
                await lab.client.create(PODS, settings("nobody-watches-pods"))
        if how == "forbidden":

            def forbidden(request: Request) -> None:
                if request.param("limit") == "1":
                    raise Forbidden("no", code=403)

            lab.network.before = forbidden
        else:
            await lab.cache.forget(CM)
        assert await lab.waited("a") == 0
        told = [line for line in lines if "what became of a write" in line["event"]]
        assert len(told) == (how == "forbidden")


async def test_a_lost_answer_of_a_kind_that_nobody_watches_parks_nobody() -> None:
    """There is no cache that could be behind."""
    async with laboratory() as lab:
        lab.network.after = lost
        async with lab.run_of("a"):
            with pytest.raises(TransportError):
                await lab.client.create(PODS, settings("x"))
        assert lab.client.behind(key("a")) is None


@pytest.mark.parametrize("lag", [5, 130])
async def test_a_key_that_waits_for_long_is_reported_once(lag: int, lines) -> None:
    """Two minutes are two bookmarks; a wait that has ended by then is not worth a word."""
    async with laboratory() as lab:
        lab.network.lag = lag
        async with lab.run_of("a"):
            await lab.client.create(CM, settings("x"))
        await lab.waited("a")
        await asyncio.sleep(300)
        told = [line["key"] for line in lines if line["event"].startswith("a key waits long")]
        assert told == (["default/a"] if lag > 120 else [])


async def test_keys_that_never_run_again_are_forgotten(monkeypatch) -> None:
    """What is settled is thrown away now and then; what is not stays, whoever else writes."""
    monkeypatch.setattr(catchup, "_SWEEP", 20)
    async with laboratory() as lab:
        lab.network.after = lost
        async with lab.run_of("late"):
            with pytest.raises(TransportError):
                await lab.client.create(CM, settings("late"))
        lab.network.after = lambda request, response: None
        lab.network.lag = 1.0
        for number in range(100):
            async with lab.run_of(f"a{number}"):
                await lab.client.create(CM, settings(f"x{number}"))
            await asyncio.sleep(2)
        assert len(lab.client._catch_up._ledgers) <= 22
        await lab.waited("late")
        assert lab.counted == ["consistent_list"], "it still knew that it had to find out"
