"""The fault plan does what it says, and only to those it is meant for."""

import asyncio
from random import Random

import pytest

from kaito.kube.client import Client
from kaito.kube.errors import Gone, NotFound, ServerError, TransportError
from kaito.kube.objects import ObjectKey
from kaito.kube.resources import CONFIGMAPS
from kaito.kube.transport import Request
from kaito.testing.faults import WRITES, Which

KEY = ObjectKey("default", "a")
A = {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "v"}}
LIST = Request(method="GET", path="/api/v1/configmaps")


def stranger(api, agent="stranger"):
    return Client(api.transport(), clock=api.clock, random=Random(9), user_agent=agent)


async def test_a_dropped_write_does_not_happen_and_a_carried_out_one_does(embedded_api):
    """The two halves of an unknown outcome."""
    async with embedded_api() as api:
        api.faults.drop(WRITES, times=5)
        with pytest.raises(TransportError) as lost:
            await stranger(api).create(CONFIGMAPS, A)
        assert not lost.value.sent
        with pytest.raises(NotFound):
            await api.client.get(CONFIGMAPS, KEY)
        api.faults.clear()
        api.faults.drop(WRITES, carried_out=True)
        with pytest.raises(TransportError) as forgotten:
            await stranger(api).create(CONFIGMAPS, A)
        assert forgotten.value.sent
        assert (await api.client.get(CONFIGMAPS, KEY)).get("data", "k") == "v"


async def test_a_refusal_is_an_answer_with_a_status_and_a_time_to_wait(embedded_api):
    """429 with Retry-After is waited for by whoever respects it; 500 has a Status as its body."""
    async with embedded_api() as api:
        api.faults.refuse(429, retry_after=7)
        before = api.clock.monotonic()
        await stranger(api).list(CONFIGMAPS)
        assert api.clock.monotonic() - before >= 7
        api.faults.refuse(500, times=None)
        answer = await api.transport().send(LIST)
        assert answer.status == 500
        assert b'"reason":"InternalError"' in answer.body
        with pytest.raises(ServerError):
            await stranger(api).list(CONFIGMAPS)


async def test_a_delay_passes_on_the_servers_clock(embedded_api):
    """An hour of delay costs no time where time is virtual."""
    async with embedded_api() as api:
        api.faults.delay(20, Which(path="configmaps"))
        before = api.clock.monotonic()
        await stranger(api).list(CONFIGMAPS)
        assert api.clock.monotonic() - before == pytest.approx(20, abs=1)


async def test_a_fault_is_only_for_whom_it_is_meant(embedded_api):
    """By method, path and program; and never for the test's own client."""
    async with embedded_api() as api:
        api.faults.refuse(500, Which(agent="bad", path="configmaps"), times=None)
        await stranger(api, "good").list(CONFIGMAPS)
        await api.client.list(CONFIGMAPS)
        with pytest.raises(ServerError):
            await stranger(api, "bad").list(CONFIGMAPS)


async def test_a_cut_watch_breaks_and_an_expired_one_is_told_so(embedded_api):
    """Whoever comes back after the history was forgotten gets 410, and has to list."""
    async with embedded_api() as api:
        client = stranger(api)
        listed = await client.list(CONFIGMAPS)

        async def watch():
            watching = client.watch(
                CONFIGMAPS,
                resource_version=listed.resource_version,
                timeout_seconds=600,
                idle_timeout=900,
            )
            async with watching as events:
                return [event async for event in events]

        async with asyncio.TaskGroup() as group:
            broken = group.create_task(asyncio.wait_for(_caught(watch()), 60))
            await api.clock.sleep(1)
            assert api.faults.cut_watches() == 1
        assert isinstance(broken.result(), TransportError)
        await api.client.create(CONFIGMAPS, A)
        api.faults.expire_history()
        told = await _caught(watch())
        assert isinstance(told, Gone) or [event.status.code for event in told] == [410]
        assert api.faults.cut_watches() == 0


async def _caught(coming):
    try:
        return await coming
    except (TransportError, Gone) as error:
        return error


async def test_requests_are_counted_by_program_verb_and_kind(embedded_api):
    """The test's own are left out."""
    async with embedded_api() as api:
        await api.client.create(CONFIGMAPS, A)
        client = stranger(api)
        await client.list(CONFIGMAPS)
        await client.merge_patch(CONFIGMAPS, KEY, {"data": {"k": "w"}})
        assert api.requests.counts(agent="stranger") == {
            ("list", "configmaps"): 1,
            ("patch", "configmaps"): 1,
        }
        assert api.requests.writes() == ["patch configmaps a"]
        assert api.requests.counts(agent="other") == {}


async def test_waiting_tells_what_was_there_instead(embedded_api):
    """A wait that fails says what it wanted, for how long, and what it saw."""
    async with embedded_api() as api:
        with pytest.raises(AssertionError, match=r"there are no configmaps"):
            await api.wait(CONFIGMAPS, KEY, seconds=5)
        await api.client.create(CONFIGMAPS, A)
        with pytest.raises(AssertionError, match=r"ConfigMap default/a did not go within 5 s"):
            await api.gone(CONFIGMAPS, KEY, seconds=5)
        assert api.clock.monotonic() == pytest.approx(10, abs=0.1)


async def test_waiting_ends_when_it_comes(embedded_api):
    """Created, changed and deleted later: each is seen as it happens, not by asking again."""
    async with embedded_api() as api:

        async def later():
            await api.clock.sleep(100)
            await api.client.create(CONFIGMAPS, A)
            await api.clock.sleep(100)
            await api.client.merge_patch(CONFIGMAPS, KEY, {"data": {"k": "w"}})
            await api.clock.sleep(100)
            await api.client.delete(CONFIGMAPS, KEY)

        async with asyncio.TaskGroup() as group:
            group.create_task(later())
            await api.wait(CONFIGMAPS, KEY, seconds=500)
            assert api.clock.monotonic() == pytest.approx(100)
            await api.wait(CONFIGMAPS, KEY, lambda c: c.get("data", "k") == "w", seconds=500)
            assert api.clock.monotonic() == pytest.approx(200)
            await api.gone(CONFIGMAPS, KEY, seconds=500)
            assert api.clock.monotonic() == pytest.approx(300)
