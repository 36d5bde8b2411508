"""OpenAPI documents: what kubectl reads before it explains, validates or applies."""

from tests.apiserver.support import Api

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A thing.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"x-kubernetes-int-or-string": True},
                                    "maybe": {"type": "string", "nullable": True},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def document(api, where):
    index = await api.ok("GET", "/openapi/v3")
    return await api.ok("GET", index["paths"][where]["serverRelativeURL"])


async def test_every_group_version_has_a_complete_document():
    """Each document names every kind it serves and defines all that it refers to."""
    api = Api()
    await api.ok("POST", CRDS, CRD)
    index = await api.ok("GET", "/openapi/v3")
    assert {"api/v1", "apis/apps/v1", "apis/example.com/v1"} <= set(index["paths"])

    for where in index["paths"]:
        found = await document(api, where)
        schemas = found["components"]["schemas"]
        for reference in references(found):
            assert reference.removeprefix("#/components/schemas/") in schemas


async def test_kubectl_finds_kind_and_parameters_by_path():
    """The patch of a kind tells its kind, its media types, and that it validates fields."""
    api = Api()
    await api.ok("POST", CRDS, CRD)

    found = await document(api, "apis/example.com/v1")

    patch = found["paths"]["/apis/example.com/v1/namespaces/{namespace}/things/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "example.com",
        "version": "v1",
        "kind": "Thing",
    }
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    thing = found["components"]["schemas"]["com.example.v1.Thing"]
    assert thing["description"] == "A thing."
    assert thing["properties"]["metadata"]["allOf"][0]["$ref"].endswith("ObjectMeta")


async def test_a_documents_address_changes_with_its_content():
    """Clients keep documents by hash; an old hash is sent on to the new one."""
    api = Api()
    await api.ok("POST", CRDS, CRD)
    before = (await api.ok("GET", "/openapi/v3"))["paths"]
    await api.patch(f"{CRDS}/things.example.com", {"spec": {"names": {"shortNames": ["t"]}}})
    version = {**CRD["spec"]["versions"][0], "schema": {"openAPIV3Schema": {"type": "object"}}}
    await api.patch(f"{CRDS}/things.example.com", {"spec": {"versions": [version]}})
    after = (await api.ok("GET", "/openapi/v3"))["paths"]

    assert before["apis/apps/v1"] == after["apis/apps/v1"]
    old, new = (paths["apis/example.com/v1"]["serverRelativeURL"] for paths in (before, after))
    assert old != new
    moved = await api.send("GET", old)
    assert (moved.status, moved.headers["location"]) == (301, new)


async def test_the_older_document_is_complete_too():
    """v2 defines all that it refers to; what may be null has no type there."""
    api = Api()
    await api.ok("POST", CRDS, CRD)

    found = await api.ok("GET", "/openapi/v2")

    assert found["swagger"] == "2.0"
    for reference in references(found):
        assert reference.removeprefix("#/definitions/") in found["definitions"]
    spec = found["definitions"]["com.example.v1.Thing"]["properties"]["spec"]
    assert spec["properties"]["maybe"] == {}


async def test_what_asks_for_protobuf_gets_a_document_without_kinds():
    """kubectl asks so about kinds that v3 does not know; there are none."""
    api = Api()

    answer = await api.send("GET", "/openapi/v2", accept="application/x-protobuf")

    assert answer.status == 200
    assert answer.body.startswith(b"\n\x032.0")


async def test_an_unknown_document_is_not_found():
    """404, as for any path that is not there."""
    assert (await Api().send("GET", "/openapi/v3/apis/nope/v1")).status == 404
    assert (await Api().send("GET", "/openapi/v4")).status == 404


async def test_a_document_that_a_client_has_is_not_sent_again():
    """By its entity tag it is not modified; under its own hash it may be kept for ever."""
    api = Api()
    url = (await api.ok("GET", "/openapi/v3"))["paths"]["apis/apps/v1"]["serverRelativeURL"]
    first = await api.send("GET", url)
    assert first.headers["cache-control"] == "public, immutable"
    assert first.headers["etag"].strip('"') == url.partition("=")[2]

    again = await api.send("GET", url, if_none_match=first.headers["etag"])

    assert (again.status, again.body) == (304, b"")
