"""What does not stay for ever."""

import asyncio

from tests.apiserver.support import Api

EVENTS = "/api/v1/namespaces/default/events"
HOUR = 3600.0


def event(name: str) -> dict[str, object]:
    return {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"},
        "reason": "Tested",
        "message": "said",
        "type": "Normal",
    }


async def names(api: Api) -> list[str]:
    return [item["metadata"]["name"] for item in (await api.ok("GET", EVENTS))["items"]]


async def test_events_stay_for_an_hour_after_they_were_written_last() -> None:
    """As under kube-apiserver's `--event-ttl`: a series that goes on stays."""
    api = Api()
    await api.ok("POST", EVENTS, event("once"))
    await api.ok("POST", EVENTS, event("again"))
    await asyncio.sleep(HOUR / 2)
    await api.patch(f"{EVENTS}/again", {"count": 2})

    await asyncio.sleep(HOUR / 2)
    assert await names(api) == ["again"]

    await asyncio.sleep(HOUR / 2)
    assert await names(api) == []
    assert (await api.refused("GET", f"{EVENTS}/again"))["reason"] == "NotFound"


async def test_watchers_are_told_that_an_event_has_gone() -> None:
    """When somebody next comes for events: nothing runs in the background."""
    api = Api()
    await api.ok("POST", EVENTS, event("once"))
    async with api.watch(f"{EVENTS}?timeoutSeconds={2 * HOUR:.0f}") as events:
        assert (await anext(events))["type"] == "ADDED"
        await asyncio.sleep(HOUR)
        await api.ok("POST", EVENTS, event("other"))
        told = [await anext(events), await anext(events)]
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in told] == [
        ("DELETED", "once"),
        ("ADDED", "other"),
    ]


async def test_what_is_created_anew_has_its_own_hour() -> None:
    """An event that was deleted and made again does not go with its predecessor."""
    api = Api()
    await api.ok("POST", EVENTS, event("same"))
    await asyncio.sleep(HOUR / 2)
    await api.ok("DELETE", f"{EVENTS}/same")
    await api.ok("POST", EVENTS, event("same"))
    await asyncio.sleep(HOUR / 2)
    assert await names(api) == ["same"]
