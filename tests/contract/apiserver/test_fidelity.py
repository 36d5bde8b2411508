"""What every controller relies on, on the embedded server and on a real one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import pytest

from kaito.apiserver.door import in_process
from kaito.apiserver.server import ApiServer
from kaito.kube.clock import LoopClock
from kaito.kube.transport import Request, Transport
from tests.contract.apiserver.drawn import CRDS
from tests.contract.apiserver.drawn.writes import definition
from tests.contract.apiserver.real import users

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
DEPLOYMENT = {
    "metadata": {"name": "d"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    },
}
BOTH = [
    "embedded",
    pytest.param("real", marks=[pytest.mark.realtime, pytest.mark.controlplane]),
]


@dataclass
class There:
    """One of the servers, in a namespace of its own."""

    transport: Transport
    namespace: str
    forget: Callable[[], None]

    async def ask(self, method: str, path: str, body: Any = None, media: str = "") -> Json:
        path, _, query = path.partition("?")
        if not path.startswith("/"):
            group = "apis/apps" if path.startswith("deployments") else "api"
            path = f"/{group}/v1/namespaces/{self.namespace}/{path}"
        request = Request(
            method=method,
            path=path,
            query=tuple(parse_qsl(query)),
            headers={"content-type": media or "application/json"},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        text = (await self.transport.send(request, timeout=60)).body.decode()
        if "watch=1" in query:
            return {"events": [json.loads(line) for line in text.splitlines()]}
        found: Json = json.loads(text) if text.startswith("{") else {}
        return found

    async def configmap(self, name: str, **metadata: object) -> Json:
        return await self.ask("POST", "configmaps", {"metadata": {"name": name, **metadata}})

    async def things(self) -> str:
        """Where a kind lives whose history is as young as this test, once it is served."""
        group = f"{self.namespace}.io"
        await self.ask("POST", CRDS, definition(group))
        path = f"/apis/{group}/v1/namespaces/{self.namespace}/things"
        for _ in range(600):
            if "items" in await self.ask("GET", path):
                break
            await asyncio.sleep(0.1)
        return path

    async def told(self, query: str) -> list[tuple[str, str]]:
        """(type, name) of what a watch of a second is told."""
        answer = await self.ask("GET", f"configmaps?watch=1&timeoutSeconds=1&{query}")
        return [(e["type"], e["object"]["metadata"]["name"]) for e in answer["events"]]


@asynccontextmanager
async def _embedded() -> AsyncIterator[There]:
    server = ApiServer(clock=LoopClock(), random=Random(1))
    there = There(in_process(server), "n", server.core.storage.forget)
    await there.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    yield there


@pytest.fixture(params=BOTH)
def server(request):
    """Where a test runs, once on each of the two."""
    if request.param == "embedded":
        return _embedded

    up = request.getfixturevalue("real")

    @asynccontextmanager
    async def there() -> AsyncIterator[There]:
        namespace = f"t{Random().randrange(10**8):08d}"
        async with users(up) as transports:
            found = There(transports["admin"], namespace, up.forget)
            await found.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            yield found

    return there


async def test_s80_generation_counts_changes_of_the_spec_alone(server):
    """Labels and status leave it, a spec that is sent again too."""
    async with server() as there:
        made = await there.ask("POST", "deployments", DEPLOYMENT)
        assert made["metadata"]["generation"] == 1
        for body, wanted in (
            ({"metadata": {"labels": {"x": "y"}}}, 1),
            ({"spec": {"replicas": 1}}, 1),
            ({"spec": {"replicas": 2}}, 2),
        ):
            changed = await there.ask("PATCH", "deployments/d", body, MERGE)
            assert changed["metadata"]["generation"] == wanted
        status = {"status": {"replicas": 2}}
        told = await there.ask("PATCH", "deployments/d/status", status, MERGE)
        assert told["metadata"]["generation"] == 2


async def test_s80_status_and_spec_are_apart(server):
    """Each path changes its own part, and silently leaves the other."""
    async with server() as there:
        made = await there.ask("POST", "deployments", {**DEPLOYMENT, "status": {"replicas": 5}})
        assert made["status"] == {}
        both = {"spec": {"replicas": 3}, "status": {"replicas": 3, "observedGeneration": 1}}
        spec = await there.ask("PATCH", "deployments/d", both, MERGE)
        assert (spec["spec"]["replicas"], spec["status"]) == (3, {})
        both = {"spec": {"replicas": 9}, "status": {"replicas": 3}}
        status = await there.ask("PATCH", "deployments/d/status", both, MERGE)
        assert (status["spec"]["replicas"], status["status"]) == (3, {"replicas": 3})


async def test_s80_a_finalizer_holds_what_is_deleted(server):
    """It is marked; no finalizer may be added; without the last one it is gone."""
    async with server() as there:
        await there.configmap("held", finalizers=["example.com/a"])
        marked = await there.ask("DELETE", "configmaps/held")
        assert marked["metadata"]["deletionTimestamp"]
        more = {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}
        refused = await there.ask("PATCH", "configmaps/held", more, MERGE)
        assert refused["reason"] == "Invalid"
        again = await there.ask("DELETE", "configmaps/held")
        assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
        await there.ask("PATCH", "configmaps/held", {"metadata": {"finalizers": None}}, MERGE)
        assert (await there.ask("GET", "configmaps/held"))["code"] == 404


async def test_s80_generated_names_differ(server):
    """Each gets its own five letters."""
    async with server() as there:
        names = set()
        for _ in range(5):
            made = await there.ask("POST", "configmaps", {"metadata": {"generateName": "x-"}})
            names.add(made["metadata"]["name"])
        assert len(names) == 5
        assert all(len(name) == 7 for name in names)


async def test_s80_a_generated_name_that_is_taken_is_drawn_again():
    """A chance that repeats itself draws the same name twice; the second object gets another."""
    server = ApiServer(clock=LoopClock(), random=Random(1))
    there = There(in_process(server), "n", server.core.storage.forget)
    await there.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    state = server.core.random.getstate()
    first = await there.ask("POST", "configmaps", {"metadata": {"generateName": "x-"}})
    server.core.random.setstate(state)
    second = await there.ask("POST", "configmaps", {"metadata": {"generateName": "x-"}})
    assert second["kind"] == "ConfigMap"
    assert second["metadata"]["name"] != first["metadata"]["name"]


async def test_s80_versions_are_preconditions(server):
    """Of replacing, patching and deleting; an old one is a conflict."""
    async with server() as there:
        old = (await there.configmap("c"))["metadata"]
        await there.ask("PATCH", "configmaps/c", {"data": {"a": "1"}}, MERGE)
        stale = {"metadata": {"name": "c", "resourceVersion": old["resourceVersion"]}}
        precondition = {"preconditions": {"resourceVersion": old["resourceVersion"]}}
        for method, body, media in (
            ("PUT", stale, ""),
            ("PATCH", stale, MERGE),
            ("DELETE", precondition, ""),
            ("DELETE", {"preconditions": {"uid": "other"}}, ""),
        ):
            refused = await there.ask(method, "configmaps/c", body, media)
            assert (refused["code"], refused["reason"]) == (409, "Conflict")


async def test_s80_applied_fields_have_owners(server):
    """Another's field is a conflict, force takes it, and what is not applied again goes."""

    def config(**data: str) -> Json:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}

    async with server() as there:
        path = "configmaps/c?fieldManager=%s&force=%s"
        await there.ask("PATCH", path % ("m", "false"), config(a="1", b="1"), APPLY)
        refused = await there.ask("PATCH", path % ("n", "false"), config(a="2"), APPLY)
        assert refused["reason"] == "Conflict"
        assert [cause["field"] for cause in refused["details"]["causes"]] == [".data.a"]
        taken = await there.ask("PATCH", path % ("n", "true"), config(a="2"), APPLY)
        assert taken["data"] == {"a": "2", "b": "1"}
        left = await there.ask("PATCH", path % ("m", "false"), config(), APPLY)
        assert left["data"] == {"a": "2"}


async def test_s80_a_watch_goes_on_from_an_old_version(server):
    """Everything since, in order; before all history it is refused as too old."""
    async with server() as there:
        start = (await there.ask("GET", "configmaps"))["metadata"]["resourceVersion"]
        await there.configmap("a")
        await there.ask("PATCH", "configmaps/a", {"data": {"x": "y"}}, MERGE)
        await there.ask("DELETE", "configmaps/a")
        told = await there.told(f"resourceVersion={start}")
        assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_s80_a_watch_from_before_all_history(server):
    """It is told that its version is too old, and ends."""
    async with server() as there:
        things = await there.things()
        there.forget()
        query = f"{things}?watch=1&timeoutSeconds=1&resourceVersion=1"
        (event,) = (await there.ask("GET", query))["events"]
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert event["object"]["reason"] == "Expired"


async def test_s80_objects_enter_and_leave_a_selection(server):
    """A change of labels adds to one watch what it takes from another."""
    async with server() as there:
        start = (await there.ask("GET", "configmaps"))["metadata"]["resourceVersion"]
        await there.configmap("a", labels={"x": "in"})
        for value in ("out", "in", None):
            body = {"metadata": {"labels": {"x": value}}}
            await there.ask("PATCH", "configmaps/a", body, MERGE)
        inside = await there.told(f"resourceVersion={start}&labelSelector=x%3Din")
        assert inside == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]
        outside = await there.told(f"resourceVersion={start}&labelSelector=x!%3Din")
        assert outside == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


async def test_s80_a_token_that_is_too_old(server):
    """It is refused with a token that goes on with what is there now."""
    async with server() as there:
        things = await there.things()
        head = {"apiVersion": f"{there.namespace}.io/v1", "kind": "Thing"}
        for name in "abc":
            await there.ask("POST", things, {**head, "metadata": {"name": name}})
        there.forget()
        page = (await there.ask("GET", f"{things}?limit=1"))["metadata"]["continue"]
        said = json.loads(base64.urlsafe_b64decode(page + "=="))
        token = base64.urlsafe_b64encode(json.dumps({**said, "rv": 2}).encode()).decode()
        token = token.rstrip("=")
        expired = await there.ask("GET", f"{things}?limit=1&continue={token}")
        assert (expired["code"], expired["reason"]) == (410, "Expired")
        fresh = expired["metadata"]["continue"]
        rest = await there.ask("GET", f"{things}?limit=2&continue={fresh}")
        assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]


async def test_s80_events_go_after_an_hour():
    """As with the real server's `--event-ttl`, which nobody waits for here."""
    async with _embedded() as there:
        body = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "n", "name": "x"}}
        await there.ask("POST", "events", body)
        clock = LoopClock()
        await clock.sleep(3500)
        assert (await there.ask("GET", "events"))["items"]
        await clock.sleep(200)
        assert (await there.ask("GET", "events"))["items"] == []
