"""`ensure`: creation, correction, adoption, conflict, and nothing at all when all is well."""

import asyncio

import pytest

from kaito.framework.applying import (
    ApplyOptions,
    Created,
    NameConflict,
    Outcome,
    Terminating,
    Unchanged,
    Updated,
    digest_of,
    ensure,
    owner_of,
)
from kaito.framework.cache import Cache
from kaito.framework.rewrites import Rewrites
from kaito.kube.errors import Conflict, NotFound
from kaito.kube.objects import Json, ObjectKey, record_of
from kaito.kube.resources import CONFIGMAPS, SERVICES
from tests.framework.lab import Lab, key, laboratory

HASH = "example.org/applied"
MANAGER = "test-controller"
US = "00000000-0000-4000-8000-000000000001"
OPTIONS = ApplyOptions(hash_annotation=HASH, adopt_managers=("old-controller",))


def owner(uid: str = US, name: str = "boss") -> Json:
    return {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "name": name,
        "uid": uid,
        "controller": True,
    }


def intent(name: str = "x", **data: str) -> Json:
    metadata = {"name": name, "namespace": "default", "ownerReferences": [owner()]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def ensured(lab: Lab, wanted: Json, resource=CONFIGMAPS) -> Outcome:
    """One run of a controller that wants this; what it wrote has then been seen."""
    name = wanted["metadata"]["name"]
    async with lab.run_of(name):
        outcome = await ensure(
            lab.client,
            resource,
            wanted,
            owner_uid=US,
            field_manager=MANAGER,
            options=OPTIONS,
        )
    await lab.waited(name)
    return outcome


async def cached(lab: Lab, name: str, resource=CONFIGMAPS) -> None:
    """Wait until the cache shows what the server has."""
    try:
        live = await lab.direct.get(resource, key(name))
    except NotFound:
        live = None
    store = lab.client.store(resource)
    for _ in range(200):
        known = store.get(key(name))
        if (known and known.meta.resource_version) == (live and live.meta.resource_version):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the cache never caught up")


async def live_data(lab: Lab, name: str = "x") -> dict[str, str]:
    return (await lab.direct.get(CONFIGMAPS, key(name))).get("data")


async def test_an_absent_object_is_created_with_one_request_and_then_left_alone() -> None:
    """One apply without force; afterwards the same intent costs nothing, at once and later."""
    async with laboratory() as lab:
        outcome = await ensured(lab, intent(a="1"))
        assert isinstance(outcome, Created)
        assert outcome.rewritten == ()
        assert outcome.record.meta.annotations[HASH] == digest_of(intent(a="1"))
        assert len(lab.network.told()) == 1
        assert "force" not in lab.network.told()[0]
        assert isinstance(await ensured(lab, intent(a="1")), Unchanged)
        await cached(lab, "x")
        assert isinstance(await ensured(lab, intent(a="1")), Unchanged)
        assert len(lab.network.told()) == 1


async def test_a_changed_intent_is_applied_and_what_it_leaves_out_is_removed() -> None:
    """A known object is applied by force and by uid; a field that was ours and is not wanted any
    more disappears."""
    async with laboratory() as lab:
        first = await ensured(lab, intent(a="1", b="2"))
        assert isinstance(first, Created)
        second = await ensured(lab, intent(a="9"))
        assert isinstance(second, Updated)
        assert not second.adopted
        assert second.record.meta.uid == first.record.meta.uid
        assert second.record.get("data") == {"a": "9"}
        assert "force=true" in lab.network.told()[1]
        assert len(lab.network.told()) == 2


async def test_drift_is_corrected_and_additions_of_others_are_not_touched() -> None:
    """Somebody changes what we intend: put right. Somebody adds what we say nothing about: left."""
    async with laboratory() as lab:
        await ensured(lab, intent(a="1"))
        await lab.direct.merge_patch(CONFIGMAPS, key("x"), {"data": {"other": "z"}})
        await cached(lab, "x")
        assert isinstance(await ensured(lab, intent(a="1")), Unchanged)
        await lab.direct.merge_patch(CONFIGMAPS, key("x"), {"data": {"a": "bent"}})
        await cached(lab, "x")
        assert isinstance(await ensured(lab, intent(a="1")), Updated)
        assert await live_data(lab) == {"a": "1", "other": "z"}


@pytest.mark.parametrize("in_cache", [True, False])
async def test_a_strangers_object_is_never_written(in_cache: bool) -> None:
    """The name is taken by another controller's object: its owner is named, nothing is written;
    one live read at most, and none at all once the cache shows it."""
    async with laboratory() as lab:
        theirs = intent(a="theirs")
        theirs["metadata"]["ownerReferences"] = [owner("uid-of-another", "somebody")]
        if not in_cache:
            lab.network.lag = 30.0
        made = await lab.direct.create(CONFIGMAPS, theirs)
        if in_cache:
            await cached(lab, "x")
        outcome = await ensured(lab, intent(a="1"))
        assert outcome == NameConflict(owner="Widget somebody")
        live = await lab.direct.get(CONFIGMAPS, key("x"))
        assert live.meta.resource_version == made.meta.resource_version
        verbs = [told.split()[0] for told in lab.network.told()]
        assert verbs == ([] if in_cache else ["PATCH", "GET"])


async def test_a_strangers_object_without_an_owner_is_named_by_its_writer() -> None:
    """Made by hand: nobody controls it; whoever wrote the fields in question is named."""
    async with laboratory() as lab:
        theirs = intent(a="theirs")
        del theirs["metadata"]["ownerReferences"]
        lab.network.lag = 30.0
        await lab.direct.create(CONFIGMAPS, theirs, field_manager="kubectl-create")
        assert await ensured(lab, intent(a="1")) == NameConflict(owner="kubectl-create")
        assert await live_data(lab) == {"a": "theirs"}


async def test_a_strangers_object_is_not_joined_where_no_field_is_contested() -> None:
    """It has no owner and none of our fields: an apply would just add ours. Nothing is written."""
    async with laboratory() as lab:
        theirs = {
            "metadata": {"name": "x", "namespace": "default"},
            "data": {"theirs": "1"},
        }
        lab.network.lag = 30.0
        made = await lab.direct.create(CONFIGMAPS, theirs, field_manager="kubectl-create")
        assert await ensured(lab, intent(a="1")) == NameConflict(owner="kubectl-create")
        live = await lab.direct.get(CONFIGMAPS, key("x"))
        assert live.meta.resource_version == made.meta.resource_version


async def test_our_object_that_the_cache_has_not_seen_and_is_as_intended_costs_a_read() -> None:
    """Whatever hides it from the cache, a selector or a delay: it is found to be right."""
    async with laboratory() as lab:
        lab.network.lag = 30.0
        ours = intent(a="1")
        ours["metadata"]["annotations"] = {HASH: digest_of(intent(a="1"))}
        await lab.direct.create(CONFIGMAPS, ours, field_manager=MANAGER)
        assert isinstance(await ensured(lab, intent(a="1")), Unchanged)
        assert [told.split()[0] for told in lab.network.told()] == ["PATCH", "GET"]


async def test_our_object_that_the_cache_has_not_seen_is_not_a_stranger() -> None:
    """Made by our former self, by a create: the first apply conflicts, the live object turns
    out to be our owner's, and is adopted, though nothing was in the cache."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        await lab.direct.create(
            CONFIGMAPS, intent(a="old", b="gone"), field_manager="old-controller"
        )
        outcome = await ensured(lab, intent(a="1"))
        assert isinstance(outcome, Updated)
        assert outcome.adopted
        assert await live_data(lab) == {"a": "1"}
        verbs = [told.split()[0] for told in lab.network.told()]
        assert verbs == ["PATCH", "GET", "PATCH", "PATCH"]


async def test_an_object_of_a_former_program_is_adopted_with_its_fields() -> None:
    """Known, controlled by our owner, never applied by us: its former manager's fields become
    ours first, so that what the new intent leaves out goes away; once, and then silence."""
    async with laboratory() as lab:
        await lab.direct.create(
            CONFIGMAPS, intent(a="old", b="gone"), field_manager="old-controller"
        )
        await cached(lab, "x")
        outcome = await ensured(lab, intent(a="1"))
        assert isinstance(outcome, Updated)
        assert outcome.adopted
        assert await live_data(lab) == {"a": "1"}
        live = await lab.direct.get_json(CONFIGMAPS, key("x"))
        managers = {
            (entry["manager"], entry["operation"]) for entry in live["metadata"]["managedFields"]
        }
        assert managers == {(MANAGER, "Apply")}
        before = len(lab.network.told())
        assert isinstance(await ensured(lab, intent(a="1")), Unchanged)
        assert len(lab.network.told()) == before


@pytest.mark.parametrize("in_cache", [True, False])
async def test_a_terminating_object_is_waited_for(in_cache: bool) -> None:
    """An apply onto it would be answered 200 and lost with it."""
    async with laboratory() as lab:
        held = intent(a="1")
        held["metadata"]["finalizers"] = ["example.org/hold"]
        if not in_cache:
            lab.network.lag = 5.0
        await lab.direct.create(CONFIGMAPS, held, field_manager=MANAGER)
        await lab.direct.delete(CONFIGMAPS, key("x"))
        if in_cache:
            await cached(lab, "x")
        outcome = await ensured(lab, intent(a="2"))
        assert isinstance(outcome, Terminating)
        verbs = [told.split()[0] for told in lab.network.told()]
        assert verbs == ([] if in_cache else ["PATCH", "GET"])
        await lab.direct.merge_patch(CONFIGMAPS, key("x"), {"metadata": {"finalizers": None}})
        await cached(lab, "x")
        assert isinstance(await ensured(lab, intent(a="2")), Created)
        assert await live_data(lab) == {"a": "2"}


async def test_an_apply_that_met_a_terminating_object_is_known_to_be_lost() -> None:
    """The cache did not know yet that it is being deleted; the answer says so."""
    async with laboratory() as lab:
        await ensured(lab, intent(a="1"))
        held = {"metadata": {"finalizers": ["example.org/slow"]}}
        await lab.direct.merge_patch(CONFIGMAPS, key("x"), held, field_manager="them")
        await cached(lab, "x")
        lab.network.lag = 5
        await lab.direct.delete(CONFIGMAPS, key("x"))
        outcome = await ensured(lab, intent(a="2"))
        assert isinstance(outcome, Terminating)


async def test_an_object_that_was_made_anew_meanwhile_is_not_touched_by_force() -> None:
    """The cache shows a former object of that name: its uid is sent, so the new one, which may be
    anybody's, answers with a conflict; and a deleted one is not brought back to life."""
    async with laboratory() as lab:
        await ensured(lab, intent(a="1"))
        await cached(lab, "x")
        lab.network.lag = 5.0
        await lab.direct.delete(CONFIGMAPS, key("x"))
        with pytest.raises(Conflict):
            await ensured(lab, intent(a="2"))
        await lab.direct.create(CONFIGMAPS, intent(a="new"))
        with pytest.raises(Conflict):
            await ensured(lab, intent(a="2"))
        assert await live_data(lab) == {"a": "new"}


async def test_a_stranger_who_is_gone_by_the_time_of_the_look_is_a_conflict() -> None:
    """The name was taken and is free again: the next run finds out, this one raises."""
    async with laboratory() as lab:
        lab.network.lag = 30.0
        await lab.direct.create(CONFIGMAPS, intent(a="theirs"))
        send = lab.network.inner.send

        async def meanwhile(request, *, timeout=None):
            if request.method == "GET":
                await lab.direct.delete(CONFIGMAPS, key("x"))
            return await send(request, timeout=timeout)

        lab.network.inner.send = meanwhile  # type: ignore[method-assign]  # a busy moment
        with pytest.raises(Conflict):
            await ensured(lab, intent(a="1"))


async def test_what_is_gone_when_it_is_to_be_adopted_is_not_brought_back() -> None:
    """The cache still shows it; the look finds nothing; the apply by uid is a conflict."""
    async with laboratory() as lab:
        await lab.direct.create(CONFIGMAPS, intent(a="old"), field_manager="old-controller")
        await cached(lab, "x")
        lab.network.lag = 5.0
        await lab.direct.delete(CONFIGMAPS, key("x"))
        with pytest.raises(Conflict):
            await ensured(lab, intent(a="1"))
        with pytest.raises(NotFound):
            await lab.direct.get(CONFIGMAPS, key("x"))


async def test_our_object_without_former_managers_is_just_applied() -> None:
    """Nothing to take over: no patch of managedFields, only the apply by force."""
    async with laboratory() as lab:
        lab.network.lag = 5.0
        await lab.direct.create(CONFIGMAPS, intent(a="old"), field_manager="another")
        assert isinstance(await ensured(lab, intent(a="1")), Updated)
        assert await live_data(lab) == {"a": "1"}
        assert [told.split()[0] for told in lab.network.told()] == ["PATCH", "GET", "PATCH"]


async def test_fields_are_not_taken_over_from_a_state_that_is_past() -> None:
    """Somebody wrote between the look and the patch: a conflict, not their entries lost."""
    async with laboratory() as lab:
        await lab.direct.create(CONFIGMAPS, intent(a="old"), field_manager="old-controller")
        await cached(lab, "x")

        def meanwhile(request, response) -> None:
            if request.method == "GET":
                changes.append({"data": {"b": "theirs"}})

        send, changes = lab.network.inner.send, []

        async def busy(request, *, timeout=None):
            for change in changes:
                await lab.direct.merge_patch(CONFIGMAPS, key("x"), change, field_manager="them")
            changes.clear()
            return await send(request, timeout=timeout)

        lab.network.after = meanwhile
        lab.network.inner.send = busy  # type: ignore[method-assign]  # a busy moment
        with pytest.raises(Conflict):
            await ensured(lab, intent(a="1"))
        live = await lab.direct.get_json(CONFIGMAPS, key("x"))
        assert {entry["manager"] for entry in live["metadata"]["managedFields"]} == {
            "old-controller",
            "them",
        }


def test_an_owner_that_does_not_control_is_better_than_none() -> None:
    """For people: whom to ask about the object in the way."""
    one, two = owner("u1", "first") | {"controller": False}, owner("u2", "second")
    metadata = {"name": "x", "ownerReferences": [one]}
    assert owner_of(record_of({"metadata": metadata})) == "Widget first"
    metadata["ownerReferences"] = [one, two]
    assert owner_of(record_of({"metadata": metadata})) == "Widget second"


def test_what_admission_made_of_thousands_of_objects_is_forgotten_in_order() -> None:
    """Memory is bounded; what was remembered longest ago goes first; what is no news is silent."""
    rewrites = Rewrites(limit=2)
    assert rewrites.remember("u1", "h", ["b", "a"]) == ("a", "b")
    assert rewrites.remember("u2", "h", ["a"]) == ("a",)
    assert rewrites.remember("u1", "h", ["a", "c"]) == ("c",)
    rewrites.remember("u3", "h", ["a"])
    assert rewrites.accepted("u2", "h") == frozenset()
    assert rewrites.accepted("u1", "h") == {"a", "c"}
    assert rewrites.accepted("u1", "another") == frozenset()
    assert rewrites.remember("u1", "h", []) == ()
    assert rewrites.accepted("u1", "h") == frozenset()


def service(port: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "svc", "namespace": "default", "ownerReferences": [owner()]},
        "spec": {
            "selector": {"app": "x"},
            "ports": [{"name": "http", "port": port, "targetPort": 5000}],
        },
    }


def services(cache: Cache) -> object:
    return cache.informer(SERVICES)


async def test_what_the_server_adds_by_default_is_no_difference() -> None:
    """clusterIP, protocol, sessionAffinity and the like are not ours to compare."""
    async with laboratory(declare=services) as lab:
        assert isinstance(await ensured(lab, service(80), SERVICES), Created)
        await cached(lab, "svc", SERVICES)
        assert isinstance(await ensured(lab, service(80), SERVICES), Unchanged)
        assert isinstance(await ensured(lab, service(81), SERVICES), Updated)
        assert len(lab.network.told()) == 2
        live = await lab.direct.get(SERVICES, ObjectKey("default", "svc"))
        assert [port["port"] for port in live.get("spec", "ports")] == [81]


async def test_what_admission_rewrites_is_told_once_and_not_fought() -> None:
    """A field that comes back different from what was sent is remembered for that object and
    intent: no second apply, no second mention; drift anywhere else is still corrected."""
    async with laboratory() as lab:
        send = lab.network.inner.send

        async def admission(request, *, timeout=None):
            body = request.body.replace(b'"img:1"', b'"mirror/img:1"')
            return await send(
                type(request)(
                    method=request.method,
                    path=request.path,
                    query=request.query,
                    headers=request.headers,
                    body=body,
                ),
                timeout=timeout,
            )

        lab.network.inner.send = admission  # type: ignore[method-assign]  # a mutating webhook
        outcome = await ensured(lab, intent(image="img:1", a="1"))
        assert isinstance(outcome, Created)
        assert outcome.rewritten == ("data.image",)
        assert await live_data(lab) == {"image": "mirror/img:1", "a": "1"}
        assert isinstance(await ensured(lab, intent(image="img:1", a="1")), Unchanged)
        await lab.direct.merge_patch(CONFIGMAPS, key("x"), {"data": {"a": "bent"}})
        await cached(lab, "x")
        again = await ensured(lab, intent(image="img:1", a="1"))
        assert isinstance(again, Updated)
        assert again.rewritten == (), "told already"
        changed = await ensured(lab, intent(image="img:1", a="2"))
        assert isinstance(changed, Updated)
        assert changed.rewritten == ("data.image",), "another intent, another story"


def test_the_hash_is_of_the_meaning_not_of_the_order() -> None:
    """Equal JSON has equal hashes; anything else has not."""
    assert digest_of({"a": 1, "b": {"c": 2, "d": 3}}) == digest_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
