"""The verbs: what goes onto the wire, and what comes back."""

import json

import pytest

from kaito.kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Gone,
    Invalid,
    NotFound,
    UnreadableAnswer,
)
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS, NAMESPACES, PODS, STATEFULSETS
from tests.kube.fakes import Scripted, client, ok, status

KEY = ObjectKey("default", "a")
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "a",
        "namespace": "default",
        "resourceVersion": "7",
        "uid": "u",
        "managedFields": [{"manager": "x"}],
    },
    "spec": {"nodeName": "n"},
}


def sent(transport):
    """The last request as (method, target, content type, body)."""
    request = transport.requests[-1]
    body = json.loads(request.body) if request.body else None
    return request.method, request.target, request.headers.get("content-type"), body


async def test_get_hands_out_a_record_without_managed_fields():
    """The common read: decoded metadata, the rest on touch."""
    transport = Scripted([ok(POD)])

    found = await client(transport).get(PODS, KEY)

    assert (found.kind, found.key, found.meta.resource_version) == ("Pod", KEY, "7")
    assert found.get("spec", "nodeName") == "n"
    assert "managedFields" not in found.json()["metadata"]
    assert sent(transport) == ("GET", "/api/v1/namespaces/default/pods/a", None, None)


async def test_get_json_hands_out_everything():
    """For the few callers that need managedFields or want to edit; subresources too."""
    transport = Scripted([ok(POD)])

    assert await client(transport).get_json(PODS, KEY, subresource="status") == POD
    assert transport.requests[-1].path == "/api/v1/namespaces/default/pods/a/status"


async def test_list_gives_one_page_and_the_way_on():
    """Items get the kind that the server leaves out; token, version and rest are handed on."""
    item = {"metadata": {"name": "a", "namespace": "default", "resourceVersion": "3"}}
    page = {
        "kind": "PodList",
        "metadata": {"resourceVersion": "9", "continue": "next", "remainingItemCount": 4},
        "items": [item, {"metadata": {}}, 7],
    }
    transport = Scripted([ok(page)])

    found = await client(transport).list(
        PODS,
        namespace="default",
        label_selector="a=b",
        field_selector="spec.nodeName=n",
        limit=2,
        continue_="this",
        resource_version="0",
    )

    assert [(r.kind, r.api_version, r.key) for r in found.items] == [("Pod", "v1", KEY)]
    assert (found.resource_version, found.continue_, found.remaining) == ("9", "next", 4)
    assert [problem.partition(":")[0] for problem in found.problems] == ["items[1]", "items[2]"]
    assert transport.requests[-1].query == (
        ("labelSelector", "a=b"),
        ("fieldSelector", "spec.nodeName=n"),
        ("limit", "2"),
        ("continue", "this"),
        ("resourceVersion", "0"),
    )


async def test_a_metadata_only_list_asks_for_it_and_keeps_the_kind():
    """PartialObjectMetadata says nothing about the kind, so what was asked for is what it is."""
    item = {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "a", "namespace": "default"},
    }
    transport = Scripted([ok({"items": [item], "metadata": {"resourceVersion": "1"}})])

    found = await client(transport).list(STATEFULSETS, metadata_only=True)

    assert [(r.api_version, r.kind) for r in found.items] == [("apps/v1", "StatefulSet")]
    assert (
        "as=PartialObjectMetadataList;g=meta.k8s.io;v=1"
        in (transport.requests[-1].headers["accept"])
    )


async def test_an_empty_list_may_say_null():
    """Go writes an empty slice as null."""
    transport = Scripted([ok({"metadata": {"resourceVersion": "1"}, "items": None})])

    assert (await client(transport).list(PODS)).items == []


async def test_s75_create_and_replace_send_whole_objects():
    """POST to the collection, PUT to the object, with manager, validation and dry run."""
    transport = Scripted([ok(POD)])
    pods = client(transport)

    await pods.create(
        PODS, {"metadata": {"name": "a", "namespace": "default"}}, field_manager="m", dry_run=True
    )
    assert sent(transport) == (
        "POST",
        "/api/v1/namespaces/default/pods?fieldManager=m&dryRun=All",
        "application/json",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "a", "namespace": "default"},
        },
    )
    await pods.replace(PODS, POD, subresource="status", field_validation="Strict")
    method, target, _, body = sent(transport)
    assert (method, target) == (
        "PUT",
        "/api/v1/namespaces/default/pods/a/status?fieldValidation=Strict",
    )
    assert body == POD


async def test_s75_eviction_and_scale_are_subresources():
    """A create on a subresource goes to the object; scale is read and patched like any other."""
    transport = Scripted([ok({"kind": "Status", "apiVersion": "v1", "status": "Success"})])
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": POD["metadata"]}

    await client(transport).create(PODS, eviction, subresource="eviction")
    method, target, _, body = sent(transport)
    assert (method, target) == ("POST", "/api/v1/namespaces/default/pods/a/eviction")
    assert body["kind"] == "Eviction"

    await client(transport).merge_patch(
        STATEFULSETS, KEY, {"spec": {"replicas": 2}}, subresource="scale"
    )
    assert transport.requests[-1].path.endswith("/statefulsets/a/scale")


async def test_s75_patches_say_what_they_are():
    """Merge patch, JSON patch and apply differ by content type; apply by manager and force."""
    transport = Scripted([ok(POD)])
    pods = client(transport)

    await pods.merge_patch(PODS, KEY, {"metadata": {"labels": {"x": None}}}, field_manager="m")
    assert sent(transport) == (
        "PATCH",
        "/api/v1/namespaces/default/pods/a?fieldManager=m",
        "application/merge-patch+json",
        {"metadata": {"labels": {"x": None}}},
    )
    await pods.json_patch(PODS, KEY, [{"op": "remove", "path": "/x"}])
    assert sent(transport)[2:] == (
        "application/json-patch+json",
        [{"op": "remove", "path": "/x"}],
    )
    await pods.apply(PODS, POD, field_manager="m", force=True, dry_run=True, subresource="status")
    assert sent(transport)[:3] == (
        "PATCH",
        "/api/v1/namespaces/default/pods/a/status?fieldManager=m&dryRun=All&force=true",
        "application/apply-patch+yaml",
    )


async def test_s75_a_conflicting_apply_names_fields_and_managers():
    """The causes of the server's answer reach the caller."""
    body = {
        "code": 409,
        "reason": "Conflict",
        "message": "Apply failed with 1 conflict",
        "details": {
            "causes": [
                {
                    "reason": "FieldManagerConflict",
                    "message": 'conflict with "kubectl"',
                    "field": ".spec.replicas",
                }
            ]
        },
    }
    answer = ok(body)
    transport = Scripted([type(answer)(status=409, body=answer.body)])

    with pytest.raises(Conflict) as caught:
        await client(transport).apply(PODS, POD, field_manager="m", force=False)

    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        (".spec.replicas", 'conflict with "kubectl"')
    ]


async def test_s76_a_merge_patch_can_hold_an_optimistic_lock():
    """uid and resourceVersion in the patch travel as preconditions; a mismatch is a Conflict."""
    transport = Scripted([status(409, "Conflict")])
    lock = {"metadata": {"uid": "u", "resourceVersion": "7"}, "spec": {}}

    with pytest.raises(Conflict):
        await client(transport).merge_patch(PODS, KEY, lock)

    assert sent(transport)[3] == lock
    assert len(transport.requests) == 1


async def test_s77_a_conflict_is_retried_on_a_fresh_read():
    """Every try of `edit` reads live first, and writes onto what it has just read."""
    versions = iter("789")

    def answer(request):
        if request.method == "GET":
            return ok({**POD, "metadata": {**POD["metadata"], "resourceVersion": next(versions)}})
        written = json.loads(request.body)
        if written["metadata"]["resourceVersion"] != "9":
            return status(409, "Conflict")
        return ok(written)

    transport = Scripted([answer])

    def change(obj):
        obj["spec"]["x"] = 1
        return obj

    written = await client(transport).edit(PODS, KEY, change)

    assert written is not None
    assert written.get("spec", "x") == 1
    assert [request.method for request in transport.requests] == ["GET", "PUT"] * 3


async def test_s77_a_conflict_that_stays_is_raised():
    """Five tries, as client-go does; a change that is not wanted writes nothing."""
    transport = Scripted([lambda r: ok(POD) if r.method == "GET" else status(409, "Conflict")])

    with pytest.raises(Conflict):
        await client(transport).edit(PODS, KEY, lambda obj: obj)
    assert len(transport.requests) == 10

    assert await client(transport).edit(PODS, KEY, lambda obj: None) is None
    assert len(transport.requests) == 11


async def test_delete_tells_gone_from_going():
    """A Status means gone; an object means that finalizers or grace hold it."""
    gone = {"kind": "Status", "apiVersion": "v1", "status": "Success"}
    transport = Scripted([ok(gone), ok(POD)])
    pods = client(transport)

    assert await pods.delete(PODS, KEY, uid="u", resource_version="7", grace_seconds=0) is None
    assert sent(transport)[3] == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "gracePeriodSeconds": 0,
    }
    going = await pods.delete(PODS, KEY)
    assert going is not None
    assert going.key == KEY


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", BadRequest),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
    ],
)
async def test_refusals_are_typed(code, reason, kind):
    """By code and reason, with the server's own message."""
    with pytest.raises(kind, match="because"):
        await client(Scripted([status(code, reason, "because")])).get(PODS, KEY)


async def test_an_answer_that_is_no_object_is_one_of_our_errors():
    """A proxy's HTML page with status 200 does not surface as a decoder's error."""
    answer = type(ok(0))(status=200, body=b"<html>welcome</html>")
    for call in ("get", "get_json"):
        with pytest.raises(UnreadableAnswer, match="welcome"):
            await getattr(client(Scripted([answer])), call)(PODS, KEY)
    with pytest.raises(UnreadableAnswer):
        await client(Scripted([answer])).list(PODS)


async def test_an_unreadable_object_is_not_quoted():
    """It may be a Secret."""
    answer = ok({"data": {"k": "czNj"}, "metadata": 5})

    with pytest.raises(UnreadableAnswer, match="object") as caught:
        await client(Scripted([answer])).get(PODS, KEY)
    assert "czNj" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb"])
async def test_a_name_cannot_leave_its_place_in_the_path(name):
    """An empty name would address the whole collection, a slash another object."""
    transport = Scripted([ok(POD)])

    for verb in ("get", "delete"):
        with pytest.raises(ValueError, match=r"name|path"):
            await getattr(client(transport), verb)(NAMESPACES, ObjectKey("", name))
    assert transport.requests == []


async def test_a_namespaced_object_needs_its_namespace():
    """Without one the path would name something else."""
    with pytest.raises(ValueError, match="namespace of ConfigMap"):
        await client(Scripted([ok(POD)])).get(CONFIGMAPS, ObjectKey("", "a"))


async def test_every_request_says_who_asks():
    """The user agent that audit logs and flow control show."""
    transport = Scripted([ok(POD)])

    await client(transport, user_agent="kaito/0.1 (workspace)").get(PODS, KEY)

    assert transport.requests[-1].headers["user-agent"] == "kaito/0.1 (workspace)"
    assert transport.requests[-1].headers["accept"] == "application/json"


async def test_warnings_of_the_server_are_handed_on():
    """One header may carry several, with escaped quotes."""
    told = []
    transport = Scripted([ok(POD, warning='299 - "old \\"v1\\"", 299 - "unfilled"')])

    await client(transport, on_warning=told.append).get(PODS, KEY)

    assert told == ['old "v1"', "unfilled"]
