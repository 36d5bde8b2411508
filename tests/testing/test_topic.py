"""The example with an outside, an index, two versions and webhooks: all of it in virtual time."""

from random import Random

import pytest

from kaito.framework import kit
from kaito.framework.webhooks.inject import unpublished
from kaito.framework.webhooks.rotation import BUNDLE
from kaito.framework.webhooks.secret import content_of
from kaito.kube.clock import LoopClock
from kaito.kube.errors import Invalid
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import (
    CONFIGMAPS,
    CRDS,
    EVENTS,
    MUTATINGWEBHOOKCONFIGURATIONS,
    NAMESPACES,
    SECRETS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
)
from kaito.testing.crashing import CrashPlan
from kaito.testing.operating import operating
from tests.testing.example import topic

ALPHA = topic.TOPICS._replace(version="v1alpha1")
NEWS = ObjectKey("default", "news")
LABELS = {"example.com/broker": ""}


class Broker:
    """What is outside: it outlives every crash of the operator."""

    def __init__(self):
        self.topics, self.calls = {}, 0

    async def keep(self, address, name, partitions):
        self.calls += 1
        if partitions > 100:
            raise topic.Refused("at most 100 partitions")
        self.topics[name] = (address, partitions)

    async def remove(self, address, name):
        self.calls += 1
        self.topics.pop(name, None)


def news(**spec):
    metadata = {"namespace": NEWS.namespace, "name": NEWS.name}
    return {"metadata": metadata, "spec": {"broker": "main", **spec}}


def broker(address):
    metadata = {"namespace": "default", "name": "main", "labels": LABELS}
    return {"metadata": metadata, "data": {"address": address}}


def setup_with(outside):
    return lambda manager: manager.add(topic.controller(manager, outside))


def ready(found):
    return next(iter(found.get("status", "conditions") or ()), {})


def because(reason):
    return lambda found: ready(found)["reason"] == reason


async def install(api):
    api.webhooks(topic.register)
    await api.install(topic.CRD)
    for kind, path in (
        (VALIDATINGWEBHOOKCONFIGURATIONS, "/validate"),
        (MUTATINGWEBHOOKCONFIGURATIONS, "/mutate"),
    ):
        await api.client.create(kind, topic.configuration(path))


async def test_it_waits_for_its_broker_and_follows_it(embedded_api):
    """Through an index: a ConfigMap that comes or changes wants the topics it is for."""
    outside = Broker()
    async with embedded_api() as api:
        await install(api)
        await api.client.create(topic.TOPICS, news(partitions=3))
        async with api.operator(setup_with(outside)):
            found = await api.wait(topic.TOPICS, NEWS, because("NoBroker"))
            assert found.meta.finalizers == ()
            told = await api.until(EVENTS, lambda events: len(events) == 1)
            assert [event.get("type") for event in told.values()] == ["Warning"]
            await api.client.create(CONFIGMAPS, broker("one:9092"))
            found = await api.wait(topic.TOPICS, NEWS, because("Kept"))
            assert found.meta.finalizers == (topic.FINALIZER,)
            assert outside.topics == {"default/news": ("one:9092", 3)}
            change = {"data": {"address": "two:9092"}}
            await api.client.merge_patch(CONFIGMAPS, ObjectKey("default", "main"), change)
            await api.clock.sleep(1)
            assert outside.topics == {"default/news": ("two:9092", 3)}


async def test_what_was_lost_outside_is_put_back_within_the_hour(embedded_api):
    """Nothing in the cluster tells of it; and looking costs the API server nothing."""
    outside = Broker()
    async with embedded_api() as api:
        await install(api)
        await api.client.create(CONFIGMAPS, broker("one:9092"))
        await api.client.create(topic.TOPICS, news())
        async with api.operator(setup_with(outside)):
            await api.wait(topic.TOPICS, NEWS, because("Kept"))
            outside.topics.clear()
            api.requests.clear()
            await api.clock.sleep(3601)
            assert outside.topics == {"default/news": ("one:9092", 1)}
            assert api.requests.writes() == []


async def test_what_is_refused_is_told_and_not_tried_again(embedded_api):
    """Until the topic changes."""
    outside = Broker()
    async with embedded_api() as api:
        await install(api)
        await api.client.create(CONFIGMAPS, broker("one:9092"))
        await api.client.create(topic.TOPICS, news(partitions=101))
        async with api.operator(setup_with(outside)):
            found = await api.wait(topic.TOPICS, NEWS, because("Refused"))
            assert ready(found)["message"] == "at most 100 partitions"
            await api.clock.sleep(24 * 3600)
            assert outside.calls == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_nothing_is_left_outside_wherever_it_crashes(embedded_api, when):
    """Made, then deleted: the last trace goes before the finalizer does."""
    for number in range(1, 5):
        outside = Broker()
        plan = CrashPlan(number, when, counted=lambda write: "/topics" in write)
        async with embedded_api(seed=number) as api:
            await install(api)
            await api.client.create(CONFIGMAPS, broker("one:9092"))
            async with api.operator(setup_with(outside), crash=plan) as operator:
                await api.client.create(topic.TOPICS, news())
                if number < 3:
                    await api.wait(topic.TOPICS, NEWS, because("Kept"))
                    assert outside.topics
                await api.client.delete(topic.TOPICS, NEWS)
                await api.gone(topic.TOPICS, NEWS)
                assert outside.topics == {}
                assert operator.lives <= 2


async def test_both_versions_are_one_topic_and_the_webhooks_see_the_newer(embedded_api):
    """Written as v1alpha1, read as v1, labelled by the one webhook and refused by the other."""
    async with embedded_api() as api:
        await install(api)
        old = await api.client.create(ALPHA, news(shards=4))
        assert old.get("spec") == {"broker": "main", "shards": 4}
        assert old.meta.labels == {"example.com/broker": "main"}
        new = await api.client.get(topic.TOPICS, NEWS)
        assert new.get("spec") == {"broker": "main", "partitions": 4}
        with pytest.raises(Invalid, match="a topic only grows"):
            await api.client.merge_patch(ALPHA, NEWS, {"spec": {"shards": 3}})


async def test_its_certificates_are_made_and_published_by_the_operator(embedded_api):
    """One call: a Secret with a certificate, and its bundle in all three configurations."""
    async with embedded_api() as api:
        await install(api)
        await api.client.create(NAMESPACES, {"metadata": {"name": "topics"}})
        manager = kit.Manager(api.transport(), clock=LoopClock(), random=Random(1))
        topic.serve_webhooks(manager)
        manager._webhooks = None  # no sockets on a virtual loop
        async with operating(lambda _: manager, api.transport):
            key = ObjectKey("topics", "topic-operator-certificates")
            secret = await api.wait(SECRETS, key)
            bundle = content_of(secret)[BUNDLE]
            for kind, name in (
                (VALIDATINGWEBHOOKCONFIGURATIONS, "topics.example.com"),
                (MUTATINGWEBHOOKCONFIGURATIONS, "topics.example.com"),
                (CRDS, topic.TOPICS.group_resource),
            ):
                await api.wait(
                    kind, ObjectKey("", name), lambda found: not unpublished(found, bundle)
                )
