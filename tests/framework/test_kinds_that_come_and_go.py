"""A CustomResourceDefinition is deleted and comes back, under an operator that goes on living."""

import asyncio

import pytest
from pydantic import BaseModel

from kaito.framework.controller import Controller
from kaito.framework.reading import NotAwaited
from kaito.framework.reconcile import Done
from kaito.framework.sources import for_object
from kaito.kube.objects import ObjectKey, Resource
from kaito.kube.resources import CONFIGMAPS, CRDS
from kaito.kube.schema.definition import definition
from tests.framework.lab import settings

V1 = Resource("example.com", "v1", "cups", "Cup")
V2 = Resource("example.com", "v2", "cups", "Cup")
NAME = ObjectKey("", "cups.example.com")


class Cup(BaseModel):
    class Spec(BaseModel):
        size: int = 1

    spec: Spec


def served(*resources):
    """One definition; the last version is the one that is stored."""
    documents = [definition(resource, Cup) for resource in resources]
    versions = [
        {**document["spec"]["versions"][0], "storage": number == len(documents)}
        for number, document in enumerate(documents, 1)
    ]
    return {**documents[0], "spec": {**documents[0]["spec"], "versions": versions}}


def cup(name, resource):
    metadata = {"name": name, "namespace": "default"}
    head = {"apiVersion": resource.api_version, "kind": "Cup", "metadata": metadata}
    return {**head, "spec": {"size": 1}}


class Seeing:
    """Remembers each key with whether the object was there."""

    def __init__(self, manager, resource):
        self.manager, self.resource, self.seen = manager, resource, []
        self.changed = asyncio.Event()

    async def reconcile(self, key):
        cup = self.manager.client.store(self.resource).get(key)
        self.seen.append((key.name, cup is not None))
        self.changed.set()
        return Done()

    async def sees(self, *what):
        async with asyncio.timeout(120):
            while what not in self.seen:
                self.changed.clear()
                await self.changed.wait()


async def test_s24_a_controller_survives_its_kind_and_works_on_when_it_returns(embedded_api):
    """Deleted with its objects, absent for a while, back with another version stored: the objects
    are seen to go, other kinds are worked on, readiness says what is missing, then all is well."""
    async with embedded_api() as api:
        await api.install(served(V1))
        await api.client.create(V1, cup("a", V1))
        reconcilers = []

        def setup(manager):
            reconcilers.append(Seeing(manager, V1))
            sources = [for_object(V1), for_object(CONFIGMAPS, namespaces=("default",))]
            manager.add(Controller("cups", reconcilers[0], sources))

        async with api.operator(setup) as operator:
            (seeing,) = reconcilers
            await seeing.sees("a", True)

            await api.client.delete(CRDS, NAME)
            await seeing.sees("a", False)
            await api.clock.sleep(600)
            await api.client.create(CONFIGMAPS, settings("other"))
            await seeing.sees("other", False)
            assert "404" in operator.manager.cache.problems()["cups.example.com"]

            await api.install(served(V1, V2))
            await api.client.create(V2, cup("b", V2))
            await seeing.sees("b", True)
            assert operator.manager.cache.problems() == {}
            await api.client.delete(V2, ObjectKey("default", "b"))
            await seeing.sees("b", False)
            assert operator.lives == 1


async def test_s24_a_controller_follows_its_kind_to_another_version(embedded_api):
    """The version that was watched is no longer served: the old source ends, its cache is dropped,
    a new source begins, and runs read what it holds; before that, to read it is an error."""
    async with embedded_api() as api:
        await api.install(served(V1))
        await api.client.create(V1, cup("a", V1))
        made = []

        def setup(manager):
            seeing = Seeing(manager, V1)
            made.extend((seeing, Controller("cups", seeing, [for_object(V1)])))
            manager.add(made[1])

        async with api.operator(setup) as operator:
            seeing, controller = made
            await seeing.sees("a", True)
            await api.client.delete(CRDS, NAME)
            await seeing.sees("a", False)
            await api.install(served(V2))
            await api.client.create(V2, cup("b", V2))

            controller.unwatch(V1)
            await operator.manager.cache.forget(V1)
            seeing.resource = V2
            await controller.watch(for_object(V2))
            await seeing.sees("b", True)
            api.requests.clear()
            await api.clock.sleep(3600)
            assert {each.resource for each in api.requests.all} <= {"cups"}
            assert all(each.code == 200 for each in api.requests.all), "nobody asks for v1"


async def test_a_source_that_is_added_late_is_readable_once_it_is_complete(embedded_api):
    """Not earlier, whoever declared the kind."""
    async with embedded_api() as api:
        await api.client.create(CONFIGMAPS, settings("a"))
        outcomes = []

        class Reading:
            async def reconcile(self, key):
                try:
                    found = self.manager.client.store(CONFIGMAPS).get(key)
                except NotAwaited as error:
                    outcomes.append(error)
                else:
                    outcomes.append(found)
                told.set()
                return Done()

        reading, told = Reading(), asyncio.Event()
        controller = Controller("late", reading, [])

        def setup(manager):
            reading.manager = manager
            manager.cache.informer(CONFIGMAPS)
            manager.add(controller)

        async with api.operator(setup):
            await api.clock.sleep(10)
            controller.enqueue(ObjectKey("default", "a"))
            await told.wait()
            assert isinstance(outcomes.pop(), NotAwaited)
            told.clear()
            await controller.watch(for_object(CONFIGMAPS))
            await told.wait()
            assert outcomes[0].meta.name == "a"
    with pytest.raises(RuntimeError, match="has stopped"):
        await controller.watch(for_object(CONFIGMAPS))
    with pytest.raises(RuntimeError, match="not added"):
        await Controller("x", reading, []).watch(for_object(CONFIGMAPS))


async def nothing(key):
    return Done()


async def test_a_source_that_never_becomes_complete_can_be_given_up(embedded_api):
    """A kind that nobody serves: waiting for it is cancelled, and then nobody listens to it."""
    async with embedded_api() as api:
        controller = Controller("late", nothing, [])
        async with api.operator(lambda manager: manager.add(controller)) as operator:
            await api.clock.sleep(1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(300):
                    await controller.watch(for_object(V1))
            (informer,) = operator.manager.cache.informers(V1)
            assert informer._subscriptions == []
            await operator.manager.cache.forget(V1)
