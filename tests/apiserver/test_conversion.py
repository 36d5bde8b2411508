"""Conversion webhooks, from the API server's side; their words are in the contract suite."""

import asyncio
import json
from itertools import groupby

import pytest

from kaito.apiserver.webhookcalls import CallFailed
from kaito.kube.clock import LoopClock
from kaito.kube.transport import Response
from tests.apiserver.support import Api

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "cups.example.com"
CUPS = "/apis/example.com/%s/namespaces/default/cups"


def definition(storage="v1", **conversion):
    webhook = {
        "conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://hooks/convert"},
    }
    fields = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": fields}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "cups", "kind": "Cup"},
            "conversion": {"strategy": "Webhook", "webhook": webhook, **conversion},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == storage,
                    "subresources": {"status": {}},
                    "schema": schema,
                    "selectableFields": [{"jsonPath": f".spec.{field}"}],
                }
                for version, field in FIELDS.items()
            ],
        },
    }


FIELDS = {"v1": "color", "v2": "colour"}


def cup(name, version="v1", color="red", **meta):
    return {
        "apiVersion": f"example.com/{version}",
        "kind": "Cup",
        "metadata": {"name": name, **meta},
        "spec": {FIELDS[version]: color},
    }


class Converter:
    """Renames a field; `before` is awaited before each answer."""

    def __init__(self):
        self.reviews, self.before = [], None

    async def post(self, endpoint, body):
        review = json.loads(body)
        request = review["request"]
        self.reviews.append((review["apiVersion"], request))
        if self.before is not None:
            await self.before()
        wanted = request["desiredAPIVersion"].rpartition("/")[2]
        for obj in request["objects"]:
            given = obj["apiVersion"].rpartition("/")[2]
            obj["spec"][FIELDS[wanted]] = obj["spec"].pop(FIELDS[given])
            obj["apiVersion"] = request["desiredAPIVersion"]
        response = {
            "uid": request["uid"],
            "convertedObjects": request["objects"],
            "result": {"status": "Success"},
        }
        return Response(status=200, body=json.dumps({**review, "response": response}).encode())

    @property
    def sizes(self):
        return [len(request["objects"]) for _, request in self.reviews]


async def begun():
    """A server that has the definition, and its webhook."""
    found = Api()
    found.hooks = found.server.webhooks = Converter()
    await found.ok("POST", DEFINITIONS, definition())
    return found


async def test_a_list_is_converted_in_few_reviews_and_then_remembered():
    """A hundred objects at a time; what was converted once is known to lists and watches, while a
    read of one object asks each time, as on a real server."""
    world = await begun()
    for index in range(250):
        await world.ok("POST", CUPS % "v1", cup(f"c{index:03}"))
    assert world.hooks.reviews == []
    found = await world.ok("GET", CUPS % "v2")
    assert [item["spec"] for item in found["items"]] == [{"colour": "red"}] * 250
    assert world.hooks.sizes == [100, 100, 50]
    await world.ok("GET", CUPS % "v2")
    assert len(world.hooks.reviews) == 3
    await world.ok("GET", f"{CUPS % 'v2'}/c001")
    await world.ok("GET", f"{CUPS % 'v2'}/c001")
    assert world.hooks.sizes[3:] == [1, 1]


async def test_a_page_and_a_field_selector_convert_no_more_than_they_must():
    """A page its own objects; a selector of fields all that namespace and labels leave."""
    world = await begun()
    for index in range(4):
        await world.ok("POST", CUPS % "v1", cup(f"c{index}", labels={"even": str(index % 2 == 0)}))
    await world.ok("GET", f"{CUPS % 'v2'}?limit=1")
    assert world.hooks.sizes == [1]
    query = "fieldSelector=spec.colour=red&labelSelector=even=True"
    found = await world.ok("GET", f"{CUPS % 'v2'}?{query}")
    assert [item["metadata"]["name"] for item in found["items"]] == ["c0", "c2"]
    assert world.hooks.sizes == [1, 1]


async def test_a_write_asks_once_for_each_direction_and_commits_once():
    """There and back: what is answered is what the next read shows. However long the webhook takes,
    the object has one uid and one birth, and there is one event."""
    world = await begun()
    clock = LoopClock()
    world.hooks.before = lambda: clock.sleep(5)
    async with world.watch(f"{CUPS % 'v1'}?resourceVersion=") as events:
        made = await world.ok("POST", CUPS % "v2", cup("a", "v2"))
        event = await anext(events)
    assert made["spec"] == {"colour": "red"}
    assert event["object"]["spec"] == {"color": "red"}
    assert event["object"]["metadata"] == made["metadata"]
    assert [r["desiredAPIVersion"] for _, r in world.hooks.reviews] == [
        "example.com/v1",
        "example.com/v2",
    ]
    history = world.server.core.storage.bucket(NAME).changes
    assert [change.type for change in history] == ["ADDED"]


async def test_watches_are_told_in_their_own_version_and_each_change_is_converted_once():
    """However many watch; objects that enter and leave a selector of fields included."""
    world = await begun()
    red = f"{CUPS % 'v2'}?resourceVersion=1&fieldSelector=spec.colour=red"
    async with (
        world.watch(f"{CUPS % 'v2'}?resourceVersion=1") as all_,
        world.watch(f"{CUPS % 'v2'}?resourceVersion=1") as same,
        world.watch(red) as chosen,
    ):
        await world.ok("POST", CUPS % "v1", cup("a"))
        await world.patch(f"{CUPS % 'v1'}/a", {"spec": {"color": "blue"}})
        await world.ok("DELETE", f"{CUPS % 'v1'}/a")
        told = [[await anext(events) for _ in range(3)] for events in (all_, same)]
        picked = [await anext(chosen) for _ in range(2)]
    for events in told:
        assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
        assert [e["object"]["spec"]["colour"] for e in events] == ["red", "blue", "blue"]
        assert {e["object"]["apiVersion"] for e in events} == {"example.com/v2"}
    assert [(e["type"], e["object"]["spec"]["colour"]) for e in picked] == [
        ("ADDED", "red"),
        ("DELETED", "red"),
    ]


async def test_a_watch_that_cannot_convert_says_so_and_ends():
    """An error event with the `Status`: the watcher lists, and is told why it cannot."""
    world = await begun()
    async with world.watch(f"{CUPS % 'v2'}?resourceVersion=1") as events:

        async def fail():
            raise CallFailed("dial tcp: connection refused")

        world.hooks.before = fail
        await world.ok("POST", CUPS % "v1", cup("a"))
        event = await anext(events)
        assert [rest async for rest in events] == []
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 500
    assert event["object"]["message"] == (
        "conversion webhook for example.com/v1, Kind=Cup failed: "
        'Post "https://hooks/convert?timeout=30s": dial tcp: connection refused'
    )


async def test_the_webhook_has_thirty_seconds():
    """In virtual time, and nothing else waits."""
    world = await begun()
    clock = LoopClock()
    await world.ok("POST", CUPS % "v1", cup("a"))
    world.hooks.before = lambda: clock.sleep(1000)
    start = clock.monotonic()
    told = await world.refused("GET", f"{CUPS % 'v2'}/a")
    assert told["message"].endswith("context deadline exceeded")
    assert clock.monotonic() - start == pytest.approx(30)


async def test_what_changes_while_the_webhook_thinks_is_not_overwritten():
    """The write starts again from what is stored by then."""
    world = await begun()
    await world.ok("POST", CUPS % "v1", cup("a"))
    other, began = Api(world.server), asyncio.Event()

    async def interfere():
        if not began.is_set():
            began.set()
            await other.patch(f"{CUPS % 'v1'}/a", {"metadata": {"labels": {"by": "other"}}})

    world.hooks.before = interfere
    made = await world.patch(f"{CUPS % 'v2'}/a", {"spec": {"colour": "blue"}})
    assert made["metadata"]["labels"] == {"by": "other"}
    assert (await world.ok("GET", f"{CUPS % 'v1'}/a"))["spec"] == {"color": "blue"}


def stored(world):
    scanned = world.server.core.storage.bucket(NAME).scan()
    return {one.key.name: (one.written, one.json()["spec"]) for one in scanned}


async def test_objects_stay_as_they_were_stored_until_they_are_written_again():
    """A new storage version rewrites nothing; a write that changes nothing migrates, and only once;
    the old version may leave the definition when nothing is stored in it any more."""
    world = await begun()
    for name in "ab":
        await world.ok("POST", CUPS % "v1", cup(name))
    await world.patch(f"{DEFINITIONS}/{NAME}", {"spec": definition("v2")["spec"]})
    assert stored(world) == {name: ("example.com/v1", {"color": "red"}) for name in "ab"}
    assert (await world.ok("GET", f"{CUPS % 'v2'}/a"))["spec"] == {"colour": "red"}
    before = await world.ok("GET", f"{CUPS % 'v1'}/a")
    versions = []
    for _ in range(2):
        made = await world.patch(f"{CUPS % 'v1'}/a", {})
        versions.append(made["metadata"]["resourceVersion"])
    assert int(versions[0]) > int(before["metadata"]["resourceVersion"])
    assert versions[0] == versions[1]
    assert stored(world) == {
        "a": ("example.com/v2", {"colour": "red"}),
        "b": ("example.com/v1", {"color": "red"}),
    }
    crd = await world.ok("GET", f"{DEFINITIONS}/{NAME}")
    assert crd["status"]["storedVersions"] == ["v1", "v2"]


async def test_a_definition_that_changes_ends_its_watches_and_is_asked_anew():
    """As on a real server: another webhook may convert otherwise, and another bundle is trusted."""
    world = await begun()
    await world.ok("POST", CUPS % "v1", cup("a"))
    await world.ok("GET", CUPS % "v2")
    async with world.watch(f"{CUPS % 'v1'}?resourceVersion=") as events:
        assert (await anext(events))["type"] == "ADDED"
        await world.patch(
            f"{DEFINITIONS}/{NAME}",
            {"spec": {"conversion": {"webhook": {"conversionReviewVersions": ["v1beta1", "v1"]}}}},
        )
        assert [event async for event in events] == []
    world.hooks.reviews.clear()
    await world.ok("GET", CUPS % "v2")
    assert [version for version, _ in world.hooks.reviews] == ["apiextensions.k8s.io/v1beta1"]


async def test_without_a_webhook_versions_differ_in_their_name_alone():
    """The definition may change its mind: from then on nobody is asked."""
    world = await begun()
    await world.ok("POST", CUPS % "v1", cup("a"))
    strategy = {"strategy": "None", "webhook": None}
    await world.patch(f"{DEFINITIONS}/{NAME}", {"spec": {"conversion": strategy}})
    found = await world.ok("GET", f"{CUPS % 'v2'}/a")
    assert (found["apiVersion"], found["spec"]) == ("example.com/v2", {"color": "red"})
    assert world.hooks.reviews == []


async def test_a_collection_is_converted_before_the_first_of_it_goes():
    """Or a second attempt would find less to delete; finalizers keep what they keep."""
    world = await begun()
    await world.ok("POST", CUPS % "v1", cup("a"))
    await world.ok("POST", CUPS % "v1", cup("b", finalizers=["example.com/keep"]))
    found = await world.ok("DELETE", CUPS % "v2")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]
    left = (await world.ok("GET", CUPS % "v1"))["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]
    assert left[0]["metadata"]["deletionTimestamp"]
    made = await world.patch(f"{CUPS % 'v2'}/b", {"metadata": {"finalizers": []}})
    assert made["spec"] == {"colour": "red"}
    assert stored(world) == {}


async def test_a_definition_that_goes_takes_its_objects_with_it_whoever_converts_them():
    """A webhook that is gone already cannot keep them."""
    world = await begun()
    await world.ok("POST", CUPS % "v1", cup("a"))
    await world.patch(f"{DEFINITIONS}/{NAME}", {"spec": definition("v2")["spec"]})
    world.server.webhooks = None
    assert (await world.refused("GET", f"{CUPS % 'v2'}/a"))["code"] == 500
    await world.ok("DELETE", f"{DEFINITIONS}/{NAME}")
    assert (await world.refused("GET", f"{DEFINITIONS}/{NAME}"))["code"] == 404
    types = [change.type for change in world.server.core.storage.bucket(NAME).changes]
    assert [kind for kind, _ in groupby(types)] == ["ADDED", "DELETED"]
