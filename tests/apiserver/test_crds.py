"""Custom resource definitions: kinds that come and go."""

from typing import Any

from tests.apiserver.support import Api, Json

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FOOS = "/apis/x.io/v1/namespaces/default/foos"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def crd(**spec: Any) -> Json:
    """Two served versions, the second deprecated; status, scale and printer columns."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    columns = [
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.x.io"},
        "spec": {
            "group": "x.io",
            "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo", "shortNames": ["fo"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": schema,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                        },
                    },
                    "additionalPrinterColumns": columns,
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                },
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": False,
                    "deprecated": True,
                    "schema": schema,
                },
            ],
            **spec,
        },
    }


def foo(name: str, **spec: Any) -> Json:
    return {"apiVersion": "x.io/v1", "kind": "Foo", "metadata": {"name": name}, "spec": spec}


async def test_a_definition_is_served_at_once() -> None:
    """Its conditions say so, discovery lists it, and objects can be made in every version."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    stored = await api.ok("GET", f"{CRDS}/foos.x.io")
    told = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
    assert told == {"NamesAccepted": "True", "Established": "True"}
    assert stored["spec"]["names"]["singular"] == "foo"
    groups = await api.ok("GET", "/apis/x.io")
    assert [version["version"] for version in groups["versions"]] == ["v1", "v1alpha1"]
    made = await api.ok("POST", FOOS, foo("a", replicas=2))
    assert made["metadata"]["generation"] == 1
    old = await api.send("GET", "/apis/x.io/v1alpha1/namespaces/default/foos/a")
    assert b'"apiVersion":"x.io/v1alpha1"' in old.body
    assert old.headers["warning"] == '299 - "x.io/v1alpha1 Foo is deprecated; use x.io/v1 Foo"'


async def test_generation_counts_what_is_not_status() -> None:
    """Spec changes count; metadata and status changes do not."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    await api.ok("POST", FOOS, foo("a", replicas=2))
    await api.patch(f"{FOOS}/a", {"metadata": {"labels": {"a": "b"}}})
    after = await api.patch(f"{FOOS}/a/status", {"status": {"replicas": 1}, "spec": {"x": 1}})
    assert after["metadata"]["generation"] == 1
    assert after["spec"] == {"replicas": 2}
    after = await api.patch(f"{FOOS}/a", {"spec": {"replicas": 3}, "status": {"replicas": 9}})
    assert (after["metadata"]["generation"], after["status"]) == (2, {"replicas": 1})


async def test_scale_reads_and_writes_the_paths_of_the_definition() -> None:
    """GET shows both counts, PATCH sets the wanted one."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    await api.ok("POST", FOOS, foo("a", replicas=2))
    scale = await api.ok("GET", f"{FOOS}/a/scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 2},
        {"replicas": 0},
    )
    await api.patch(f"{FOOS}/a/scale", {"spec": {"replicas": 5}})
    assert (await api.ok("GET", f"{FOOS}/a"))["spec"]["replicas"] == 5


async def test_tables_have_the_columns_of_the_definition() -> None:
    """A column without a value is empty; ages are told in words."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    await api.ok("POST", FOOS, foo("a", replicas=2))
    condition = {"conditions": [{"type": "Other", "status": "x"}, {"type": "Ready", "status": "y"}]}
    await api.ok("POST", FOOS, foo("b"))
    await api.patch(f"{FOOS}/b/status", {"status": condition})
    table = await api.ok("GET", FOOS, accept=TABLE)
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names == ["Name", "Replicas", "Ready", "Age"]
    assert [row["cells"] for row in table["rows"]] == [["a", 2, None, "0s"], ["b", None, "y", "0s"]]


async def test_selectable_fields_select() -> None:
    """Fields that the definition lists can stand in a field selector."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    await api.ok("POST", FOOS, foo("a", color="red"))
    await api.ok("POST", FOOS, foo("b", color="blue"))
    found = await api.ok("GET", f"{FOOS}?fieldSelector=spec.color=blue")
    assert [item["metadata"]["name"] for item in found["items"]] == ["b"]


async def test_a_deleted_definition_takes_its_objects_along() -> None:
    """It waits for finalizers, takes no new objects meanwhile, and then is served no more."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    held = foo("a")
    held["metadata"]["finalizers"] = ["x.io/f"]
    await api.ok("POST", FOOS, held)
    await api.ok("POST", FOOS, foo("b"))
    await api.ok("DELETE", f"{CRDS}/foos.x.io")
    assert (await api.refused("GET", f"{FOOS}/b"))["code"] == 404
    assert (await api.ok("GET", f"{FOOS}/a"))["metadata"]["deletionTimestamp"]
    status = await api.refused("POST", FOOS, foo("c"))
    assert "create not allowed while custom resource definition is terminating" in status["message"]
    await api.patch(f"{FOOS}/a", {"metadata": {"finalizers": None}})
    assert (await api.send("GET", FOOS)).body == b"404 page not found\n"
    assert (await api.refused("GET", f"{CRDS}/foos.x.io"))["code"] == 404
    await api.ok("POST", CRDS, crd())
    assert (await api.ok("GET", FOOS))["items"] == []


async def test_an_update_must_say_what_it_replaces() -> None:
    """Custom objects have no unconditional PUT."""
    api = Api()
    await api.ok("POST", CRDS, crd())
    await api.ok("POST", FOOS, foo("a"))
    status = await api.refused("PUT", f"{FOOS}/a", foo("a"))
    assert status["message"] == (
        'foos.x.io "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified '
        "for an update"
    )
