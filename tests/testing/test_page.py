"""The operator of forty lines, in virtual time."""

import pytest
import yaml

from kaito.framework import kit
from kaito.kube.errors import Invalid
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import DEPLOYMENTS, EVENTS
from tests.testing.example import FOLDER, PAGE_FILE, page

HELLO = ObjectKey("default", "hello")
CRD = kit.definition(page.PAGES, page.Page)


def hello(**spec):
    obj = yaml.safe_load((FOLDER / "page.yaml").read_text(encoding="utf-8"))
    obj["metadata"]["namespace"] = "default"
    obj["spec"].update(spec)
    return obj


def ready(found):
    return {c["type"]: c for c in found.get("status", "conditions") or ()}.get("Ready")


def test_it_has_no_more_than_forty_lines():
    """Blank ones are not counted; nothing else is left out."""
    lines = PAGE_FILE.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 40


def test_the_columns_come_from_the_type():
    """Title, path and type of what `kubectl get` prints; the age comes last."""
    (version,) = CRD["spec"]["versions"]
    assert version["additionalPrinterColumns"] == [
        {"name": "Text", "jsonPath": ".spec.text", "type": "string"},
        {"name": "Available", "jsonPath": ".status.available", "type": "integer"},
        {
            "name": "Ready",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
            "type": "string",
        },
        {"name": "Age", "jsonPath": ".metadata.creationTimestamp", "type": "date"},
    ]


async def test_a_page_from_its_creation_to_its_change(embedded_api):
    """A child, an event, a status with a condition that has observed the spec; drift is healed, a
    change rolls out, and then it is quiet."""
    async with embedded_api() as api:
        await api.install(CRD)
        created = await api.client.create(page.PAGES, hello())
        async with api.operator(page.setup):
            child = await api.wait(DEPLOYMENTS, HELLO)
            assert child.meta.controller.uid == created.meta.uid
            found = await api.wait(page.PAGES, HELLO, ready)
            assert ready(found)["message"] == "0 of 2 are available"
            told = await api.until(EVENTS, bool)
            assert {event.get("reason") for event in told.values()} == {"Created"}

            counts = {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2}
            await api.client.merge_patch(
                DEPLOYMENTS, HELLO, {"status": counts}, subresource="status"
            )
            found = await api.wait(page.PAGES, HELLO, lambda p: ready(p)["status"] == "True")
            assert ready(found)["observedGeneration"] == found.meta.generation

            await api.client.merge_patch(DEPLOYMENTS, HELLO, {"spec": {"replicas": 7}})
            await api.wait(DEPLOYMENTS, HELLO, lambda d: d.get("spec", "replicas") == 2)
            await api.client.merge_patch(page.PAGES, HELLO, {"spec": {"copies": 3}})
            found = await api.wait(page.PAGES, HELLO, lambda p: ready(p)["status"] == "False")
            assert ready(found)["message"] == "2 of 3 are available"
            await api.clock.sleep(600)  # for the series of events to end
            api.requests.clear()
            await api.clock.sleep(3600)
            assert api.requests.writes() == []


async def test_somebody_elses_deployment_is_left_alone(embedded_api):
    """It counts for nothing, and an event says whose it is."""
    async with embedded_api() as api:
        await api.install(CRD)
        theirs = page.deployment(await api.client.create(page.PAGES, hello()), page.Spec(text="x"))
        del theirs["metadata"]["ownerReferences"]
        before = await api.client.create(DEPLOYMENTS, theirs, field_manager="them")
        async with api.operator(page.setup):
            found = await api.wait(page.PAGES, HELLO, ready)
            assert ready(found)["status"] == "False"
            told = await api.until(EVENTS, bool)
            assert {event.get("reason") for event in told.values()} == {"NameConflict"}
            after = await api.client.get(DEPLOYMENTS, HELLO)
            assert after.meta.resource_version == before.meta.resource_version


async def test_what_the_type_refuses_the_server_refuses(embedded_api):
    """The bounds of the fields are the schema's."""
    async with embedded_api() as api:
        await api.install(CRD)
        with pytest.raises(Invalid, match=r"spec\.copies"):
            await api.client.create(page.PAGES, hello(copies=11))
