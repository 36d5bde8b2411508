"""Watches: state, changes, bookmarks, expiry, selectors, cancellation."""

from kaito.apiserver.storage import Window
from tests.apiserver.support import CONFIGMAPS, Api, configmap, make_server


async def test_a_watch_begins_with_what_is_there_and_goes_on() -> None:
    """Without a version: synthetic ADDED events, then changes in order."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, configmap("a"))
    async with api.watch(f"{CONFIGMAPS}?timeoutSeconds=5") as events:
        assert (await anext(events))["object"]["metadata"]["name"] == "a"
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"k": "w"}})
        await api.ok("DELETE", f"{CONFIGMAPS}/a")
        assert (await anext(events))["type"] == "MODIFIED"
        gone = await anext(events)
        assert gone["type"] == "DELETED"
        assert gone["object"]["data"] == {"k": "w"}
        assert [event async for event in events] == []


async def test_a_watch_list_ends_its_state_with_a_bookmark() -> None:
    """sendInitialEvents: the state, then the annotated bookmark."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, configmap("a"))
    path = (
        f"{CONFIGMAPS}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        "&allowWatchBookmarks=true&timeoutSeconds=10"
    )
    async with api.watch(path) as events:
        assert (await anext(events))["type"] == "ADDED"
        mark = await anext(events)
        assert mark["type"] == "BOOKMARK"
        annotations = {"k8s.io/initial-events-end": "true"}
        assert mark["object"]["metadata"]["annotations"] == annotations


async def test_bookmarks_come_every_minute() -> None:
    """And shortly before the watch ends, so that the next one can go on from there."""
    api = Api()
    version = (await api.ok("GET", CONFIGMAPS))["metadata"]["resourceVersion"]
    path = f"{CONFIGMAPS}?resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=150"
    async with api.watch(path) as events:
        assert [event["type"] async for event in events] == ["BOOKMARK"] * 3


async def test_objects_enter_and_leave_a_selector() -> None:
    """Entering is ADDED, leaving is DELETED with the last selected state and the new version."""
    api = Api()
    await api.ok("POST", CONFIGMAPS, configmap("a", app="y"))
    async with api.watch(f"{CONFIGMAPS}?labelSelector=app=x&timeoutSeconds=5") as events:
        entered = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"app": "x"}}})
        left = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"app": "y"}}})
        event = await anext(events)
        assert (event["type"], event["object"]) == ("ADDED", entered)
        event = await anext(events)
        assert event["type"] == "DELETED"
        assert event["object"]["metadata"]["labels"] == {"app": "x"}
        version = left["metadata"]["resourceVersion"]
        assert event["object"]["metadata"]["resourceVersion"] == version
        assert [event async for event in events] == []


async def test_a_version_that_history_has_lost_is_expired() -> None:
    """The stream says 410 in an ERROR event, and ends."""
    api = Api(make_server(window=Window(changes=2)))
    first = await api.ok("POST", CONFIGMAPS, configmap("a"))
    for value in "bcd":
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"k": value}})
    version = first["metadata"]["resourceVersion"]
    async with api.watch(f"{CONFIGMAPS}?resourceVersion={version}") as events:
        [event] = [event async for event in events]
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


async def test_a_watch_can_be_resumed_where_it_stopped() -> None:
    """Nothing is missed and nothing is told twice."""
    api = Api()
    made = await api.ok("POST", CONFIGMAPS, configmap("a"))
    await api.patch(f"{CONFIGMAPS}/a", {"data": {"k": "w"}})
    version = made["metadata"]["resourceVersion"]
    path = f"{CONFIGMAPS}?resourceVersion={version}&timeoutSeconds=1"
    async with api.watch(path) as events:
        assert [event["object"]["data"]["k"] async for event in events] == ["w"]


async def test_closing_a_watch_leaves_nothing_behind() -> None:
    """The server forgets a watcher as soon as its reader goes."""
    api = Api()
    async with api.watch(CONFIGMAPS) as events:
        await api.ok("POST", CONFIGMAPS, configmap("a"))
        await anext(events)
        assert api.server.core.storage.bucket("configmaps").watchers == 1
    assert api.server.core.storage.bucket("configmaps").watchers == 0
