"""Server-side apply and field ownership, as a real API server (1.36) does them."""

import json

import pytest

from tests.apiserver.support import Api

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/d"


def config_map(data=None, **metadata):
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}}
    return obj if data is None else {**obj, "data": data}


def deployment(containers=None, **spec):
    labels = {"a": "b"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers or [CONTAINER]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


CONTAINER = {"name": "c", "image": "i:1"}


class Desk(Api):
    async def applied(self, path, obj, manager="m1", *, force=False):
        return await self.ok("PATCH", *self._apply(path, obj, manager, force), **APPLY)

    async def conflict(self, path, obj, manager="m1", *, force=False):
        return await self.refused("PATCH", *self._apply(path, obj, manager, force), **APPLY)

    def _apply(self, path, obj, manager, force):
        told = str(force).lower()
        return f"{path}?fieldManager={manager}&force={told}", json.dumps(obj).encode()


APPLY = {"content_type": "application/apply-patch+yaml"}


def owners(obj):
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", [])
    }


async def test_an_apply_creates_and_owns_what_it_says():
    """Created with exactly the applied fields owned; defaults belong to nobody."""
    desk = Desk()
    made = await desk.applied(DEPLOYMENT, deployment(replicas=2))

    assert made["spec"]["progressDeadlineSeconds"] == 600
    assert owners(made) == {
        ("m1", "Apply"): {
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}},
                        },
                    },
                },
            },
        },
    }


async def test_the_same_apply_again_changes_nothing():
    """Neither resourceVersion nor timestamps move, even where quantities are respelt."""
    desk = Desk()
    limits = {"resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}}
    obj = deployment([{**CONTAINER, **limits}])
    first = await desk.applied(DEPLOYMENT, obj)
    await desk.server.core.clock.sleep(60)

    assert await desk.applied(DEPLOYMENT, obj) == first


async def test_what_another_applier_owns_is_a_conflict():
    """409 names the manager and the field; force takes it."""
    desk = Desk()
    await desk.applied(DEPLOYMENT, deployment(replicas=2))

    status = await desk.conflict(DEPLOYMENT, deployment(replicas=3), "m2")
    assert status["message"] == ('Apply failed with 1 conflict: conflict with "m1": .spec.replicas')
    assert status["reason"] == "Conflict"
    assert status["details"] == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "m1"',
                "field": ".spec.replicas",
            }
        ]
    }

    taken = await desk.applied(DEPLOYMENT, deployment(replicas=3), "m2", force=True)
    assert taken["spec"]["replicas"] == 3
    assert "f:replicas" not in owners(taken)["m1", "Apply"]["f:spec"]


async def test_an_update_makes_its_manager_the_owner():
    """What a patch changed belongs to its field manager, and conflicts name its version."""
    desk = Desk()
    await desk.ok("POST", f"{MAPS}?fieldManager=creator", config_map({"a": "1", "b": "2"}))

    status = await desk.conflict(f"{MAPS}/c", config_map({"a": "2"}))
    assert status["message"] == (
        'Apply failed with 1 conflict: conflict with "creator" using v1: .data.a'
    )

    await desk.patch(f"{MAPS}/c?fieldManager=editor", {"data": {"a": "3"}})
    found = await desk.ok("GET", f"{MAPS}/c")
    assert owners(found) == {
        ("creator", "Update"): {"f:data": {".": {}, "f:b": {}}},
        ("editor", "Update"): {"f:data": {"f:a": {}}},
    }


async def test_what_is_no_longer_applied_is_removed():
    """... unless somebody else owns it too."""
    desk = Desk()
    await desk.applied(f"{MAPS}/c", config_map({"a": "1", "b": "2"}))
    await desk.applied(f"{MAPS}/c", config_map({"b": "2"}), "m2")

    left = await desk.applied(f"{MAPS}/c", config_map())

    assert left["data"] == {"b": "2"}
    assert owners(left) == {("m2", "Apply"): {"f:data": {"f:b": {}}}}


async def test_items_of_keyed_lists_are_owned_one_by_one():
    """Two appliers share a list; the order is that of the last one for what it mentions."""
    desk = Desk()
    await desk.applied(DEPLOYMENT, deployment())
    extra = {"name": "z", "image": "z:1"}
    part = deployment([extra])
    del part["spec"]["selector"]

    both = await desk.applied(DEPLOYMENT, part, "m2")
    names = [one["name"] for one in both["spec"]["template"]["spec"]["containers"]]
    assert names == ["c", "z"]

    del part["spec"]
    left = await desk.applied(DEPLOYMENT, part, "m2")
    assert [one["name"] for one in left["spec"]["template"]["spec"]["containers"]] == ["c"]


async def test_an_object_that_nobody_tracked_belongs_to_before_first_apply():
    """Managed fields that were reset stay away until somebody applies."""
    desk = Desk()
    await desk.ok("POST", MAPS, config_map({"a": "1"}))
    reset = await desk.patch(f"{MAPS}/c", {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in reset["metadata"]
    patched = await desk.patch(f"{MAPS}/c", {"data": {"b": "2"}})
    assert "managedFields" not in patched["metadata"]

    applied = await desk.applied(f"{MAPS}/c", config_map({"a": "1"}))

    assert owners(applied) == {
        ("m1", "Apply"): {"f:data": {"f:a": {}}},
        ("before-first-apply", "Update"): {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
    }


async def test_status_is_owned_through_its_subresource():
    """The entry says so, and a write of the object itself does not own its status."""
    desk = Desk()
    await desk.applied(DEPLOYMENT, deployment())
    status = {"status": {"replicas": 1}}
    await desk.patch(f"{DEPLOYMENT}/status?fieldManager=ctl", status)

    found = await desk.ok("GET", DEPLOYMENT)

    entry = found["metadata"]["managedFields"][1]
    assert (entry["manager"], entry["subresource"]) == ("ctl", "status")
    assert entry["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    part = {**deployment(), **status}
    assert ("m1", "Apply") in owners(await desk.applied(DEPLOYMENT, part))


async def test_kubectl_takes_over_from_its_client_side_apply():
    """Fields that equal the last-applied annotation are no conflict for `kubectl`."""
    desk = Desk()
    last = json.dumps(config_map({"a": "1"}))
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": last}
    made = config_map({"a": "1"}, annotations=annotations)
    await desk.ok("POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", made)

    status = await desk.conflict(f"{MAPS}/c", config_map({"a": "2"}), "other")
    assert status["code"] == 409
    applied = await desk.applied(f"{MAPS}/c", config_map({"a": "2"}), "kubectl")

    assert applied["data"] == {"a": "2"}
    text = applied["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert json.loads(text)["data"] == {"a": "2"}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"spec": {"foo": 1}},
            500,
            (
                "failed to create typed patch object (/d; apps/v1, Kind=Deployment): "
                ".spec.foo: field not declared in schema"
            ),
        ),
        (
            {"spec": {"replicas": "x"}},
            500,
            (
                "failed to create typed patch object (/d; apps/v1, Kind=Deployment): "
                ".spec.replicas: expected numeric (int or float), got string"
            ),
        ),
        (
            {"spec": {"template": {"spec": {"containers": [CONTAINER, CONTAINER]}}}},
            500,
            (
                "failed to create typed patch object (/d; apps/v1, Kind=Deployment): "
                '.spec.template.spec.containers: duplicate entries for key [name="c"]'
            ),
        ),
        ({"kind": "Foo"}, 400, "invalid object type: apps/v1, Kind=Foo"),
        (
            {"metadata": {"name": "d", "managedFields": []}},
            400,
            "metadata.managedFields must be nil",
        ),
        (
            {"metadata": {"name": "d", "uid": "abc"}},
            409,
            (
                'Operation cannot be fulfilled on deployments.apps "d": uid mismatch: the provided '
                "object specified uid abc, and no existing object was found"
            ),
        ),
    ],
)
async def test_what_cannot_be_applied_is_refused(change, code, message):
    """In the real server's words."""
    desk = Desk()
    status = await desk.conflict(DEPLOYMENT, {**deployment(), **change})

    assert (status["code"], status["message"]) == (code, message)


async def test_an_apply_needs_a_manager():
    """422 without `fieldManager`."""
    desk = Desk()
    body = json.dumps(deployment()).encode()
    status = await desk.refused("PATCH", DEPLOYMENT, body, **APPLY)

    assert status["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: '
        "fieldManager: Required value: is required for apply patch"
    )


async def test_old_updaters_are_merged_into_one():
    """More than ten update managers never pile up."""
    desk = Desk()
    await desk.ok("POST", MAPS, config_map({"z": "1"}))
    for number in range(14):
        await desk.server.core.clock.sleep(1)
        body = {"data": {f"k{number}": "v"}}
        found = await desk.patch(f"{MAPS}/c?fieldManager=m{number}", body)

    names = [entry["manager"] for entry in found["metadata"]["managedFields"]]
    assert len(names) == 10
    assert names[0] == "ancient-changes"
