"""Create, read, replace, patch, delete."""

from tests.apiserver.support import CONFIGMAPS, PODS, Api, configmap


async def test_a_created_object_is_read_back() -> None:
    """What is created has a uid, a version and a time, and is read back unchanged."""
    api = Api()
    made = await api.ok("POST", CONFIGMAPS, configmap("a", x="y"))
    assert made["metadata"]["namespace"] == "default"
    assert made["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert await api.ok("GET", f"{CONFIGMAPS}/a") == made


async def test_what_exists_cannot_be_created_again() -> None:
    """409 AlreadyExists in the real server's words."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, configmap("a"))
    status = await api.refused("POST", CONFIGMAPS, configmap("a"))
    assert (status["code"], status["reason"]) == (409, "AlreadyExists")
    assert status["message"] == 'configmaps "a" already exists'


async def test_an_absent_object_is_not_found() -> None:
    """404 names resource and object."""
    status = await Api().refused("GET", "/apis/apps/v1/namespaces/default/deployments/x")
    assert status["message"] == 'deployments.apps "x" not found'
    assert status["details"] == {"name": "x", "group": "apps", "kind": "deployments"}


async def test_nothing_is_created_in_an_absent_namespace() -> None:
    """404 names the namespace."""
    status = await Api().refused("POST", "/api/v1/namespaces/no/configmaps", configmap("a"))
    assert status["message"] == 'namespaces "no" not found'


async def test_a_stale_replace_conflicts() -> None:
    """PUT with an older version is refused, without a version it wins."""
    api = Api()
    made = await api.ok("POST", CONFIGMAPS, configmap("a"))
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"k": "w"}})
    status = await api.refused("PUT", f"{CONFIGMAPS}/a", made)
    assert status["reason"] == "Conflict"
    assert "the object has been modified; please apply" in status["message"]
    assert (await api.ok("PUT", f"{CONFIGMAPS}/a", configmap("a")))["data"] == {"k": "v"}


async def test_a_change_that_changes_nothing_writes_nothing() -> None:
    """The version stays, and no watcher hears of it."""
    api = Api()
    made = await api.ok("POST", CONFIGMAPS, configmap("a"))
    again = await api.patch(f"{CONFIGMAPS}/a", {"data": {"k": "v"}})
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_generated_names_are_free() -> None:
    """generateName gives five characters, and never a name that is taken."""
    api = Api()
    names = set()
    for _ in range(50):
        made = await api.ok("POST", CONFIGMAPS, {"metadata": {"generateName": "a-"}})
        names.add(made["metadata"]["name"])
    assert len(names) == 50
    assert all(len(name) == 7 and name.startswith("a-") for name in names)


async def test_finalizers_hold_a_deleted_object() -> None:
    """It stays, marked, until the last finalizer goes; no new one may be added."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, {"metadata": {"name": "a", "finalizers": ["x.io/y"]}})
    marked = await api.ok("DELETE", f"{CONFIGMAPS}/a")
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    status = await api.refused(
        "PATCH",
        f"{CONFIGMAPS}/a",
        {"metadata": {"finalizers": ["x.io/y", "x.io/z"]}},
        content_type="application/merge-patch+json",
    )
    assert "no new finalizers can be added if the object is being deleted" in status["message"]
    await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}})
    assert (await api.refused("GET", f"{CONFIGMAPS}/a"))["code"] == 404


async def test_status_and_spec_are_written_apart() -> None:
    """PUT and PATCH of the main resource leave status alone, and the other way round."""
    api = Api()
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await api.ok("POST", PODS, pod)
    phase = {"status": {"phase": "Running"}, "spec": {"nodeName": "n"}}
    after = await api.patch(f"{PODS}/p/status", phase)
    assert after["status"]["phase"] == "Running"
    assert "nodeName" not in after["spec"]
    after = await api.patch(f"{PODS}/p", {"status": {"phase": "Failed"}})
    assert after["status"]["phase"] == "Running"


async def test_a_bound_pod_is_deleted_gracefully() -> None:
    """It waits for its grace period, which a second delete can only shorten; zero ends it."""
    api = Api()
    spec = {
        "nodeName": "n",
        "containers": [{"name": "c", "image": "i"}],
        "terminationGracePeriodSeconds": 30,
    }
    await api.ok("POST", PODS, {"metadata": {"name": "p"}, "spec": spec})
    marked = await api.ok("DELETE", f"{PODS}/p")
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    await api.ok("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert (await api.refused("GET", f"{PODS}/p"))["code"] == 404


async def test_preconditions_guard_a_delete() -> None:
    """A wrong uid or version is a conflict and nothing is deleted."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, configmap("a"))
    for wrong in ({"uid": "x"}, {"resourceVersion": "1"}):
        status = await api.refused("DELETE", f"{CONFIGMAPS}/a", {"preconditions": wrong})
        assert status["reason"] == "Conflict"
    answer = await api.ok("DELETE", f"{CONFIGMAPS}/a")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")


async def test_dry_run_stores_nothing() -> None:
    """The answer is what would have been; the store has nothing."""
    api = Api()
    made = await api.ok("POST", f"{CONFIGMAPS}?dryRun=All", configmap("a"))
    assert "resourceVersion" not in made["metadata"]
    assert (await api.refused("GET", f"{CONFIGMAPS}/a"))["code"] == 404


async def test_lists_are_paged_as_of_one_moment() -> None:
    """What changes between two pages shows in neither."""
    api = Api()
    for name in "abcd":
        await api.ok("POST", CONFIGMAPS, configmap(name))
    first = await api.ok("GET", f"{CONFIGMAPS}?limit=2")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 2
    await api.ok("DELETE", f"{CONFIGMAPS}/c")
    await api.ok("POST", CONFIGMAPS, configmap("e"))
    token = first["metadata"]["continue"]
    second = await api.ok("GET", f"{CONFIGMAPS}?limit=2&continue={token}")
    assert [item["metadata"]["name"] for item in second["items"]] == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]


async def test_selectors_choose() -> None:
    """By labels and by the fields that the kind offers; other fields are refused."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, configmap("a", app="x"))
    await api.ok("POST", CONFIGMAPS, configmap("b", app="y"))
    one = await api.ok("GET", f"{CONFIGMAPS}?labelSelector=app%3Dx".replace("%3D", "="))
    assert [item["metadata"]["name"] for item in one["items"]] == ["a"]
    one = await api.ok("GET", f"{CONFIGMAPS}?fieldSelector=metadata.name=b")
    assert [item["metadata"]["name"] for item in one["items"]] == ["b"]
    status = await api.refused("GET", f"{CONFIGMAPS}?fieldSelector=spec.foo=b")
    assert status["message"] == (
        '"spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace"'
    )
