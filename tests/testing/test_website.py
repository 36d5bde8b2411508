"""The example operator, from its creation to its end, in virtual time."""

from random import Random

import pytest
import yaml

from kaito.framework.manager import Manager
from kaito.kube.client import Client
from kaito.kube.clock import LoopClock
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, CRDS, DEPLOYMENTS, EVENTS, SERVICES
from kaito.testing.crashing import CrashPlan
from kaito.testing.faults import WRITES, Which
from kaito.testing.operating import operating
from kaito.testing.waiting import Waiting
from tests.testing.example import FOLDER, website

HELLO = ObjectKey("default", "hello")
KINDS = (CONFIGMAPS, DEPLOYMENTS, SERVICES)


def hello(**spec):
    obj = yaml.safe_load((FOLDER / "website.yaml").read_text(encoding="utf-8"))
    obj["metadata"]["namespace"] = "default"
    obj["spec"].update(spec)
    return obj


def ready(site):
    return next((c for c in site.get("status", "conditions") if c["type"] == "Ready"), None)


async def served(api, available=2):
    """What the cluster's controllers would do: the web servers become available."""
    counts = {"replicas": 2, "readyReplicas": available, "availableReplicas": available}
    status = {"status": counts}
    await api.client.merge_patch(DEPLOYMENTS, HELLO, status, subresource="status")


async def create(api, **spec):
    await api.install(website.CRD)
    return await api.client.create(website.WEBSITES, hello(**spec))


async def complete(api):
    for kind in KINDS:
        await api.wait(kind, HELLO)
    return await api.wait(website.WEBSITES, HELLO, ready)


async def test_it_creates_what_a_site_consists_of(embedded_api):
    """Three objects owned by the site, a condition that counts, an event for each; then silence."""
    async with embedded_api() as api:
        site = await create(api)
        async with api.operator(website.setup):
            found = await complete(api)
            assert ready(found)["message"] == "0 of 2 web servers are available"
            for kind in KINDS:
                child = await api.client.get(kind, HELLO)
                assert child.meta.controller.uid == site.meta.uid
            await served(api)
            found = await api.wait(website.WEBSITES, HELLO, lambda s: ready(s)["status"] == "True")
            assert ready(found)["observedGeneration"] == found.meta.generation
            told = await api.until(EVENTS, lambda events: len(events) == 3)
            assert {event.get("reason") for event in told.values()} == {"Created"}
            api.requests.clear()
            await api.clock.sleep(3600)
            assert api.requests.writes() == []


async def test_it_heals_what_somebody_changed_or_deleted(embedded_api):
    """Whatever is done to its objects, they are again as the site says."""
    async with embedded_api() as api:
        await create(api)
        async with api.operator(website.setup):
            await complete(api)
            await api.client.merge_patch(DEPLOYMENTS, HELLO, {"spec": {"replicas": 7}})
            await api.wait(DEPLOYMENTS, HELLO, lambda d: d.get("spec", "replicas") == 2)
            await api.client.delete(CONFIGMAPS, HELLO)
            await api.wait(CONFIGMAPS, HELLO)


async def test_a_change_of_the_site_reaches_its_objects(embedded_api):
    """The message is served anew, and a generation that was not observed is not Ready."""
    async with embedded_api() as api:
        await create(api)
        async with api.operator(website.setup):
            await complete(api)
            change = {"spec": {"message": "Bye.", "replicas": 3}}
            await api.client.merge_patch(website.WEBSITES, HELLO, change)
            await api.wait(CONFIGMAPS, HELLO, lambda c: c.get("data", "index.html") == "Bye.")
            await api.wait(DEPLOYMENTS, HELLO, lambda d: d.get("spec", "replicas") == 3)
            await api.wait(
                website.WEBSITES, HELLO, lambda s: ready(s)["message"].startswith("0 of 3")
            )


async def test_what_belongs_to_somebody_else_is_left_alone(embedded_api):
    """A Service of that name that is not the site's stays; the status says whose it is."""
    async with embedded_api() as api:
        stranger = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]},
        }
        before = await api.client.create(SERVICES, stranger)
        await create(api)
        async with api.operator(website.setup):
            site = await api.wait(website.WEBSITES, HELLO, ready)
            assert ready(site)["reason"] == "NameConflict"
            after = await api.client.get(SERVICES, HELLO)
            assert after.meta.resource_version == before.meta.resource_version


async def test_a_deleted_site_takes_everything_with_it(embedded_api):
    """The operator does nothing: the garbage collector follows the owner references."""
    from kaito.simulator.controllers.group import add_control_plane

    async with embedded_api() as api:
        await create(api)
        async with (
            api.operator(add_control_plane, name="control-plane"),
            api.operator(website.setup),
        ):
            await complete(api)
            await api.client.delete(website.WEBSITES, HELLO)
            for kind in KINDS:
                await api.gone(kind, HELLO)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_it_survives_a_crash_at_every_write(embedded_api, when):
    """Wherever it dies, its next life ends in the same state, with nothing made twice."""
    for number in range(1, 6):
        plan = CrashPlan(number, when, counted=lambda write: "/events" not in write)
        async with embedded_api(seed=number) as api:
            await create(api)
            async with api.operator(website.setup, crash=plan) as operator:
                await complete(api)
                await served(api)
                await api.wait(website.WEBSITES, HELLO, lambda s: ready(s)["status"] == "True")
                await api.clock.sleep(60)
                assert operator.lives == 2, plan.writes
                made = [r.resource for r in api.requests.all if r.code == 201]
                assert sorted(set(made) - {"events"}) == ["configmaps", "deployments", "services"]
                assert len(made) - made.count("events") == len(KINDS)


async def test_it_survives_what_networks_do(embedded_api):
    """Lost requests, lost answers, refusals, cut watches and a forgotten history change nothing."""
    async with embedded_api() as api:
        await create(api)
        api.faults.drop(WRITES)
        api.faults.drop(WRITES, carried_out=True)
        api.faults.refuse(429, WRITES, retry_after=3)
        api.faults.refuse(500, Which(path="configmaps"), times=2)
        api.faults.delay(20, Which(path="services"))
        async with api.operator(website.setup):
            await complete(api)
            api.faults.expire_history()
            assert api.faults.cut_watches(Which(agent="operator")) >= 4
            await api.client.merge_patch(website.WEBSITES, HELLO, {"spec": {"message": "Bye."}})
            await api.wait(CONFIGMAPS, HELLO, lambda c: c.get("data", "index.html") == "Bye.")
    assert {kind for kind, _, _ in api.faults.met} == {"drop", "refuse", "delay", "cut"}


async def test_the_definition_refuses_what_the_type_refuses(embedded_api):
    """The type's bounds are the server's: nobody has to write them twice."""
    from kaito.kube.errors import Invalid

    async with embedded_api() as api:
        await api.install(website.CRD)
        with pytest.raises(Invalid, match=r"spec\.replicas"):
            await api.client.create(website.WEBSITES, hello(replicas=11))
        with pytest.raises(Invalid, match=r"spec\.message"):
            await api.client.create(website.WEBSITES, hello(message=""))


async def test_a_site_becomes_ready_in_a_whole_cluster():
    """With the cluster's controllers and a node, the web servers run and the site is Ready."""
    from kaito.simulator.cluster import Cluster

    clock = LoopClock()
    async with Cluster(clock=clock, random=Random(1)) as cluster:
        client = Client(cluster.transport(), clock=clock, random=Random(2))
        await client.create(CRDS, website.CRD)

        def make(transport):
            manager = Manager(transport, clock=clock, random=Random(3))
            website.setup(manager)
            return manager

        async with operating(make, cluster.transport):
            await client.create(website.WEBSITES, hello())
            waiting = Waiting(client)
            site = await waiting.wait(
                website.WEBSITES, HELLO, lambda s: ready(s)["status"] == "True", seconds=600
            )
            assert ready(site)["message"] == "2 of 2 web servers are available"
