"""The consistent client and `ensure`, judged on the embedded API server and on a real one."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.framework.applying import (
    ApplyOptions,
    Created,
    NameConflict,
    Terminating,
    Unchanged,
    Updated,
    ensure,
)
from kaito.framework.cache import Cache
from kaito.framework.consistent import ConsistentClient
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock, SystemClock
from kaito.kube.errors import Conflict, TransportError
from kaito.kube.resources import CONFIGMAPS
from tests.contract.apiserver.real import users
from tests.framework.lab import Gate, Lab, Network, key, settings

OURS, OLD, HASH = "test-controller", "old-controller", "example.org/applied"
US = "00000000-0000-4000-8000-000000000001"


@asynccontextmanager
async def lab_over(transport, clock, server=None):
    """A synced cache of ConfigMaps and a consistent client, behind a network that can fail."""
    network, counted, fence = Network(transport), [], Gate()
    client = Client(network, clock=clock, random=Random(1))
    cache = Cache(client, clock=clock, random=Random(1))
    cache.informer(CONFIGMAPS, namespaces=("default",))
    consistent = ConsistentClient(
        client, cache, fence=fence, clock=clock, metrics=lambda what, _: counted.append(what)
    )
    direct = Client(transport, clock=clock, random=Random(1))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cache.run())
        await cache.synced()
        network.requests.clear()
        yield Lab(server, direct, network, cache, consistent, fence, counted)
        running.cancel()


async def seen(lab, holds):
    """Wait until what the cache says of everything holds."""
    informer = next(lab.cache.informers(CONFIGMAPS))
    told = asyncio.Event()
    subscription = informer.subscribe(lambda _: told.set())
    async with asyncio.timeout(120):
        while not holds(informer.store):
            told.clear()
            await told.wait()
    informer.unsubscribe(subscription)


async def caught_up(lab, name):
    """What watches were kept from telling is told: before, that key had to wait."""
    behind = lab.client.behind(key(name))
    assert behind is not None
    lab.network.passing.set()
    await behind
    assert lab.client.behind(key(name)) is None


def intent(name, **data):
    owner = {"apiVersion": "example.org/v1", "kind": "Widget", "name": "boss", "uid": US}
    obj = settings(name, **data)
    obj["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    return obj


async def ensured(lab, wanted):
    async with lab.run_of(wanted["metadata"]["name"]):
        return await ensure(
            lab.client,
            CONFIGMAPS,
            wanted,
            owner_uid=US,
            field_manager=OURS,
            options=ApplyOptions(hash_annotation=HASH, adopt_managers=(OLD,)),
        )


async def own_writes_are_read(lab):
    """At once within the run; before the next one the watch has brought them; no live read."""
    lab.network.passing.clear()
    store = lab.client.store(CONFIGMAPS)
    async with lab.run_of("own"):
        made = await lab.client.create(CONFIGMAPS, settings("own", a="1"))
        assert store.get(key("own")).meta.uid == made.meta.uid
        changed = await lab.client.merge_patch(CONFIGMAPS, key("own"), {"data": {"a": "2"}})
        assert store.get(key("own")).get("data", "a") == "2"
    await caught_up(lab, "own")
    assert store.known(key("own")).meta.resource_version == changed.meta.resource_version
    lab.network.passing.clear()
    async with lab.run_of("own"):
        await lab.client.delete(CONFIGMAPS, key("own"))
        assert store.get(key("own")) is None
    await caught_up(lab, "own")
    assert store.get(key("own")) is None
    assert lab.counted == []


async def an_unknown_outcome_is_found_out(lab, *, committed):
    """One consistent list tells the version to wait for; then the cache says what happened."""
    name = f"unknown-{committed}".lower()

    def lost(request, _response=None):
        if request.method == "POST":
            raise TransportError("the connection broke")

    lab.network.passing.clear()
    setattr(lab.network, "after" if committed else "before", lost)
    async with lab.run_of(name):
        with pytest.raises(TransportError):
            await lab.client.create(CONFIGMAPS, settings(name))
    await caught_up(lab, name)
    assert lab.counted == ["consistent_list"]
    assert (lab.client.store(CONFIGMAPS).get(key(name)) is not None) == committed


async def an_intent_is_kept(lab):
    """Absent: created. As intended: nothing is sent. Changed: applied, less what it leaves out."""
    created = await ensured(lab, intent("kept", a="1", b="2"))
    assert isinstance(created, Created)
    await lab.waited("kept")
    lab.network.requests.clear()
    assert isinstance(await ensured(lab, intent("kept", a="1", b="2")), Unchanged)
    assert lab.network.requests == []
    assert isinstance(await ensured(lab, intent("kept", a="9")), Updated)
    live = await lab.direct.get(CONFIGMAPS, key("kept"))
    assert live.get("data") == {"a": "9"}
    assert live.meta.uid == created.record.meta.uid


async def ours_that_the_cache_has_not_seen_is_joined(lab):
    """A cache that lags makes no stranger of what we have made ourselves."""
    lab.network.passing.clear()
    made = await lab.direct.apply(
        CONFIGMAPS, intent("unseen", a="1"), field_manager=OURS, force=False
    )
    outcome = await ensured(lab, intent("unseen", a="2"))
    assert outcome.record.meta.uid == made.meta.uid
    assert outcome.record.get("data", "a") == "2"


async def a_strangers_object_is_left_alone(lab, *, is_seen):
    """Whether the cache has seen it or not, and whether fields are contested or not."""
    if not is_seen:
        lab.network.passing.clear()
    for number, data in enumerate(({"a": "1"}, {"other": "1"})):
        name = f"stranger-{number}-{int(is_seen)}"
        before = await lab.direct.create(CONFIGMAPS, settings(name, **data), field_manager="them")
        if is_seen:
            await seen(lab, lambda store, name=name: store.known(key(name)))
        assert isinstance(await ensured(lab, intent(name, a="2")), NameConflict)
        after = await lab.direct.get(CONFIGMAPS, key(name))
        assert after.meta.resource_version == before.meta.resource_version


async def a_terminating_object_is_waited_for(lab, *, is_seen):
    """Nothing is written to it, and nothing is made in its place before it has gone."""
    name = f"ending-{int(is_seen)}"
    await ensured(lab, intent(name, a="1"))
    held = {"metadata": {"finalizers": ["example.org/slow"]}}
    await lab.direct.merge_patch(CONFIGMAPS, key(name), held, field_manager="them")
    await seen(lab, lambda store: (one := store.known(key(name))) and one.meta.finalizers)
    if not is_seen:
        lab.network.passing.clear()
    await lab.direct.delete(CONFIGMAPS, key(name))
    if is_seen:
        await seen(lab, lambda store: store.known(key(name)).meta.deleting)
    assert isinstance(await ensured(lab, intent(name, a="2")), Terminating)
    lab.network.passing.set()
    await lab.direct.merge_patch(CONFIGMAPS, key(name), {"metadata": {"finalizers": None}})
    await seen(lab, lambda store: store.known(key(name)) is None)
    await lab.waited(name)
    assert isinstance(await ensured(lab, intent(name, a="2")), Created)


async def what_was_deleted_is_not_applied_into_being(lab):
    """The uid goes along: an apply meant for one object makes none, and touches no successor."""
    first = await ensured(lab, intent("gone", a="1"))
    await lab.waited("gone")
    lab.network.passing.clear()
    await lab.direct.delete(CONFIGMAPS, key("gone"), uid=first.record.meta.uid)
    with pytest.raises(Conflict):
        await ensured(lab, intent("gone", a="2"))
    successor = await lab.direct.create(CONFIGMAPS, settings("gone"))
    with pytest.raises(Conflict):
        await ensured(lab, intent("gone", a="2"))
    async with lab.run_of("gone"):
        with pytest.raises(Conflict):
            await lab.client.delete(CONFIGMAPS, key("gone"))
        with pytest.raises(Conflict):
            await lab.client.merge_patch(CONFIGMAPS, key("gone"), {"data": {"a": "3"}})
    live = await lab.direct.get(CONFIGMAPS, key("gone"))
    assert live.meta.resource_version == successor.meta.resource_version


async def a_former_programs_object_is_adopted(lab):
    """Its fields become ours by way of managedFields, so that leaving one out removes it."""
    await lab.direct.create(CONFIGMAPS, intent("adopted", a="1", b="2"), field_manager=OLD)
    await seen(lab, lambda store: store.known(key("adopted")))
    outcome = await ensured(lab, intent("adopted", a="1"))
    assert isinstance(outcome, Updated)
    assert outcome.adopted
    live = await lab.direct.get_json(CONFIGMAPS, key("adopted"))
    assert live["data"] == {"a": "1"}
    assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {OURS}


SCENARIOS = {
    "own writes are read": own_writes_are_read,
    "unknown, committed": lambda lab: an_unknown_outcome_is_found_out(lab, committed=True),
    "unknown, lost": lambda lab: an_unknown_outcome_is_found_out(lab, committed=False),
    "an intent is kept": an_intent_is_kept,
    "ours, unseen": ours_that_the_cache_has_not_seen_is_joined,
    "a stranger's, seen": lambda lab: a_strangers_object_is_left_alone(lab, is_seen=True),
    "a stranger's, unseen": lambda lab: a_strangers_object_is_left_alone(lab, is_seen=False),
    "terminating, seen": lambda lab: a_terminating_object_is_waited_for(lab, is_seen=True),
    "terminating, unseen": lambda lab: a_terminating_object_is_waited_for(lab, is_seen=False),
    "deleted meanwhile": what_was_deleted_is_not_applied_into_being,
    "adopted": a_former_programs_object_is_adopted,
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_on_the_embedded_server(scenario):
    """Each scenario holds, in virtual time."""
    clock = LoopClock()
    server = ApiServer(clock=clock, random=Random(1))
    async with lab_over(in_process(server), clock, server) as lab:
        await scenario(lab)


@pytest.mark.controlplane
@pytest.mark.realtime
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_on_a_real_server(scenario, real):
    """The same over HTTPS."""
    async with users(real) as transports, lab_over(transports["admin"], SystemClock()) as lab:
        await scenario(lab)
