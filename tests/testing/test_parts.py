"""The parts that the example is made of, each at its edges."""

import asyncio
import json
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from kaito.framework.children import child
from kaito.framework.conditions import Condition
from kaito.framework.program import main
from kaito.framework.reporting import report
from kaito.kube.errors import Conflict
from kaito.kube.objects import ObjectKey, Resource, record_of
from kaito.kube.resources import CONFIGMAPS, NAMESPACES
from kaito.kube.schema.definition import Conditions, definition
from kaito.testing.loop import cut_connections
from tests.testing.example import website

GADGETS = Resource("example.com", "v2", "gadgets", "Gadget", namespaced=False)
HELLO = ObjectKey("default", "hello")


class Gadget(BaseModel):
    size: Annotated[int, Field(ge=1)]


class Watched(BaseModel):
    class Status(BaseModel):
        conditions: Conditions | None = None

    status: Status | None = None


def owner(**metadata):
    meta = {"name": "hello", "namespace": "default", "uid": "u1", **metadata}
    return record_of({"apiVersion": "example.com/v1", "kind": "Website", "metadata": meta})


# ---- definitions


def test_a_definition_says_what_the_resource_and_the_type_say():
    """Names, scope and version from the one, the schema from the other."""
    document = definition(GADGETS, Gadget, short_names=["gg"], columns={"Size": ".size"})
    spec = document["spec"]
    assert document["metadata"]["name"] == "gadgets.example.com"
    assert spec["scope"] == "Cluster"
    assert spec["names"]["shortNames"] == ["gg"]
    assert spec["names"]["listKind"] == "GadgetList"
    (version,) = spec["versions"]
    assert [column["name"] for column in version["additionalPrinterColumns"]] == ["Size", "Age"]
    assert "subresources" not in version
    size = version["schema"]["openAPIV3Schema"]["properties"]["size"]
    assert size == {"type": "integer", "minimum": 1}


def test_a_type_with_a_status_has_it_as_a_subresource_and_conditions_are_a_map():
    """So that a status is written apart, and two writers own a condition each."""
    (version,) = definition(GADGETS, Watched)["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    conditions = status["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "lastTransitionTime" in conditions["items"]["required"]


async def test_a_definition_is_accepted_and_served(embedded_api):
    """The server takes the document, and an object of the new kind."""
    async with embedded_api() as api:
        await api.install(definition(GADGETS, Gadget))
        await api.client.create(GADGETS, {"metadata": {"name": "one"}, "size": 3})
        assert (await api.client.get(GADGETS, ObjectKey("", "one"))).get("size") == 3


# ---- children


def test_a_child_has_the_name_the_namespace_and_the_owner():
    """And what is in it is left as it was."""
    content = {"data": {"k": "v"}}
    made = child(owner(), CONFIGMAPS, content, name="other", labels={"a": "b"})
    assert made["metadata"]["name"] == "other"
    assert made["metadata"]["namespace"] == "default"
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert made["data"] == {"k": "v"}
    assert content == {"data": {"k": "v"}}


def test_a_child_without_namespace_of_an_owner_with_one_is_refused():
    """The garbage collector would delete it at once."""
    with pytest.raises(ValueError, match="not in its namespace"):
        child(owner(), NAMESPACES, {})


# ---- reports


async def test_a_status_is_written_once_and_only_where_it_differs(embedded_api):
    """What others wrote stays, None removes, and saying the same again costs nothing."""
    async with embedded_api() as api:
        await api.install(website.CRD)
        manager = api.manager(api.transport())
        site = await api.client.create(
            website.WEBSITES,
            {"metadata": {"name": "hello", "namespace": "default"}, "spec": {"message": "m"}},
        )

        async def say(record, **status):
            ready = Condition(type="Ready", status="True", reason="Fine")
            return await report(
                manager.client,
                website.WEBSITES,
                record,
                status,
                conditions=[ready],
                clock=api.clock,
            )

        assert await say(site, available=2)
        first = await api.client.get(website.WEBSITES, HELLO)
        assert first.get("status", "available") == 2
        api.requests.clear()
        assert not await say(first, available=2)
        assert api.requests.all == []
        with pytest.raises(Conflict):
            await say(site, available=3)
        assert await say(first, available=None)
        last = await api.client.get(website.WEBSITES, HELLO)
        assert last.get("status", "available") is None
        assert last.get("status", "conditions") == first.get("status", "conditions")


# ---- programs


def test_a_program_prints_its_definitions_for_kubectl(capsys):
    """One document that `kubectl apply -f -` takes; no cluster is needed."""
    status = main("gadget", lambda manager: None, definitions=[website.CRD], arguments=["--crds"])
    listed = json.loads(capsys.readouterr().out)
    assert status == 0
    assert listed["kind"] == "List"
    assert listed["items"] == [website.CRD]


@pytest.mark.realtime
def test_a_program_without_a_cluster_says_what_to_do(tmp_path, capsys):
    """One sentence and status 1, no traceback."""
    environ = {"HOME": str(tmp_path)}
    assert main("gadget", lambda manager: None, arguments=[], environ=environ) == 1
    assert "--kubeconfig" in capsys.readouterr().err


def test_a_program_refuses_unknown_options(capsys):
    """Status 2, as every command does."""
    with pytest.raises(SystemExit) as ended:
        main("gadget", lambda manager: None, arguments=["--frobnicate"])
    assert ended.value.code == 2
    assert "--frobnicate" in capsys.readouterr().err


@pytest.mark.realtime
async def test_connections_are_cut_before_a_loop_is_closed():
    """Also one that waits for its peer: nobody is left to close it, but for the collector."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    transport = writer.transport
    ours = transport._sock

    await cut_connections()

    assert ours.fileno() == -1
    assert transport.is_closing()
    server.close()
