"""What every Cloud must do; here Azure's, through both doors of the embedded ARM endpoint."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kaito.provisioner.azure.cloud import AzureOptions
from kaito.provisioner.cloud import (
    AllocationFailed,
    Busy,
    CloudError,
    ClusterNotFound,
    InvalidRequest,
    NameTaken,
    NodePoolLimitReached,
    NotPermitted,
    QuotaExceeded,
    SkuUnavailable,
    State,
    Taint,
    Throttled,
    Unreachable,
)
from kaito.simulator.arm import answers
from kaito.simulator.arm.answers import ArmError
from kaito.simulator.arm.faults import Fault
from kaito.simulator.arm.pools import ArmOptions
from tests.contract.cloud.worlds import A100, DOORS, World, world

pytestmark = pytest.mark.parametrize("door", DOORS)


SLOW = ArmOptions(create_seconds=1e9)
"""Through the real door time passes; here nothing happens in it."""


def writes(w: World) -> list[tuple[str, int]]:
    return [(method, status) for method, _, status in w.arm.requests if method != "GET"]


async def test_a_machine_lives_from_launch_to_termination(door: str) -> None:
    """Launch returns at once; the machine becomes ready, is terminated, and is gone."""
    async with world(door) as w:
        taint = Taint(key="sku", value="gpu", effect="NoSchedule")
        started = await w.cloud.launch(w.request(labels={"a": "b"}, taints=(taint,)))
        assert started.state is State.CREATING
        assert started.owner_uid == "uid-1"

        ready = await w.until("ws1", State.READY)
        assert ready is not None
        assert ready.vm_size == A100
        assert ready.labels["a"] == "b"
        assert ready.simulated

        ending = await w.cloud.terminate(ready)
        assert ending is not None
        assert ending.state is State.DELETING
        await w.until("ws1", None)
        assert w.arm.meter.pools_created == 1
        assert w.arm.states() == {}


async def test_launching_twice_makes_one_machine(door: str) -> None:
    """A repeated launch of the same owner returns the machine as it is, and changes nothing."""
    async with world(door, arm=SLOW) as w:
        first = await w.cloud.launch(w.request())
        again = await w.cloud.launch(w.request())

        assert again.owner_uid == first.owner_uid
        assert w.arm.meter.pools_created == 1


async def test_a_lost_answer_of_a_launch_makes_no_second_machine(door: str) -> None:
    """The outcome was unknown; the next try finds what the first one made."""
    async with world(door, arm=SLOW) as w:
        w.arm.faults.inject(Fault(method="PUT", lose="answer"))

        launched = await w.cloud.launch(w.request())

        assert launched.owner_uid == "uid-1"
        assert w.arm.meter.pools_created == 1


async def test_a_lost_request_is_sent_again(door: str) -> None:
    """A broken connection is no failure of the machine."""
    async with world(door, arm=SLOW) as w:
        w.arm.faults.inject(Fault(method="PUT", lose="request"))

        assert (await w.cloud.launch(w.request())).state is State.CREATING


async def test_a_strangers_pool_is_never_updated(door: str) -> None:
    """A pool of that name which is not ours is left exactly as it is."""
    async with world(door, arm=SLOW) as w:
        w.arm.add_pool("ws1")
        before = await w.cloud.get("ws1")

        with pytest.raises(NameTaken, match="was not made for this NodeClaim"):
            await w.cloud.launch(w.request())

        assert (await w.cloud.get("ws1")) == before
        assert w.arm.meter.pools_created == 0


@pytest.mark.parametrize("ours", [True, False])
async def test_a_machine_that_runs_is_not_updated_by_a_launch(door: str, ours: bool) -> None:
    """Azure's PUT would update it; the condition on the request forbids that."""
    async with world(door) as w:
        await w.cloud.launch(w.request())
        before = await w.until("ws1", State.READY)
        request = w.request(uid="uid-1" if ours else "uid-2", os_disk_gib=512)

        if ours:
            assert await w.cloud.launch(request) == before
        else:
            with pytest.raises(NameTaken):
                await w.cloud.launch(request)
        assert await w.cloud.get("ws1") == before


async def test_another_claims_machine_is_not_ours(door: str) -> None:
    """Ownership is the UID of the claim, not its name."""
    async with world(door, arm=SLOW) as w:
        await w.cloud.launch(w.request(uid="uid-1"))

        with pytest.raises(NameTaken):
            await w.cloud.launch(w.request(uid="uid-2"))


async def test_absent_is_none(door: str) -> None:
    """No such machine is an answer, not an error."""
    async with world(door) as w:
        assert await w.cloud.get("ws1") is None


@pytest.mark.parametrize(
    "not_found",
    [
        answers.pool_not_found(bare=True),
        answers.pool_not_found(bare=False),
        answers.group_not_found("kaito"),
        answers.cluster_not_found("embedded", "kaito"),
        ArmError(code="", message="", status=404),
    ],
)
async def test_every_form_of_not_found_is_none(door: str, not_found: ArmError) -> None:
    """AKS and ARM say it in different words."""
    async with world(door, arm=SLOW) as w:
        launched = await w.cloud.launch(w.request())
        w.arm.faults.inject(Fault(method="GET", refusal=not_found))
        w.arm.faults.inject(Fault(method="DELETE", refusal=not_found))

        assert await w.cloud.get("ws1") is None
        assert await w.cloud.terminate(launched) is None


async def test_terminating_what_is_gone_is_none(door: str) -> None:
    """Deletion is idempotent."""
    async with world(door) as w:
        launched = await w.cloud.launch(w.request())
        w.arm.remove_pool("ws1")
        await w.until("ws1", None)

        assert await w.cloud.terminate(replace(launched, etag="")) is None


async def test_what_is_being_deleted_is_left_to_it(door: str) -> None:
    """No second DELETE is sent."""
    async with world(door, arm=replace(SLOW, delete_seconds=1e9)) as w:
        await w.cloud.launch(w.request())
        w.arm.remove_pool("ws1")
        seen = await w.cloud.get("ws1")
        assert seen is not None

        assert await w.cloud.terminate(seen) == seen
        assert writes(w) == [("PUT", 201)]


async def test_a_machine_that_changed_since_it_was_seen_is_not_deleted(door: str) -> None:
    """Exactly what was judged is deleted, or nothing."""
    async with world(door) as w:
        seen = await w.cloud.launch(w.request())
        await w.until("ws1", State.READY)

        with pytest.raises(Busy):
            await w.cloud.terminate(seen)

        assert w.arm.states() == {"ws1": "Succeeded"}


async def test_a_machine_can_be_deleted_while_it_is_created(door: str) -> None:
    """The etag of the creating pool is good for its deletion."""
    async with world(door, arm=SLOW) as w:
        await w.cloud.terminate(await w.cloud.launch(w.request()))

        await w.until("ws1", None)
        assert w.arm.current() == ()


async def test_where_the_cloud_refuses_that_it_is_busy(door: str) -> None:
    """The caller comes back."""
    async with world(door, arm=replace(SLOW, delete_while_creating=False)) as w:
        launched = await w.cloud.launch(w.request())

        with pytest.raises(Busy, match="in progress"):
            await w.cloud.terminate(launched)


async def test_list_sees_everything_on_every_page(door: str) -> None:
    """Strangers' pools too, and never a part of them."""
    async with world(door, arm=ArmOptions(page_size=2)) as w:
        w.arm.add_pool("system", mode="System")
        for number in range(4):
            await w.cloud.launch(w.request(f"ws{number}"))

        listed = await w.cloud.list()

        assert [seen.name for seen in listed] == ["system", "ws0", "ws1", "ws2", "ws3"]
        assert [seen.owner_uid for seen in listed] == ["", *["uid-1"] * 4]


async def test_an_error_in_one_page_is_an_error_of_the_list(door: str) -> None:
    """A partial list would make living machines look dead."""
    async with world(door, arm=ArmOptions(page_size=1)) as w:
        for number in range(3):
            await w.cloud.launch(w.request(f"ws{number}"))
        w.arm.faults.inject(Fault(method="GET", pool="", times=None, refusal=answers.throttled(60)))

        with pytest.raises(Throttled):
            await w.cloud.list()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (answers.sku_not_available(A100, "eastus"), SkuUnavailable),
        (answers.vm_size_not_supported(A100, "eastus"), SkuUnavailable),
        (answers.allocation_failed(A100, "eastus"), AllocationFailed),
        (answers.not_authorized(), NotPermitted),
        (answers.cluster_not_found("embedded", "kaito"), ClusterNotFound),
        (answers.operation_in_progress("other", "Updating"), Busy),
        (answers.cluster_stopped(), Busy),
        (answers.too_many_pools(100), NodePoolLimitReached),
        (answers.invalid_parameter("vmSize", "No."), InvalidRequest),
    ],
)
async def test_a_refused_launch_is_an_error_by_meaning(
    door: str, refusal: ArmError, kind: type[CloudError]
) -> None:
    """One request, one error; nothing was made."""
    async with world(door) as w:
        w.arm.faults.inject(Fault(method="PUT", refusal=refusal))

        with pytest.raises(kind) as raised:
            await w.cloud.launch(w.request())

        assert raised.value.told.startswith(f"{kind.reason}: ")
        assert [method for method, _ in writes(w)] == ["PUT"]
        assert w.arm.states() == {}


async def test_a_used_up_quota_names_what_to_raise(door: str) -> None:
    """Family, region and amount are in the message, and raising it cures."""
    async with world(door, arm=SLOW) as w:
        w.arm.set_quota(A100, 0)
        with pytest.raises(QuotaExceeded) as raised:
            await w.cloud.launch(w.request())
        assert '"standardNCADSA100v4Family" in eastus by at least 24' in raised.value.told

        w.arm.set_quota(A100, 24)
        assert (await w.cloud.launch(w.request())).state is State.CREATING


async def test_a_failure_that_comes_later_is_told_by_the_machine(door: str) -> None:
    """Nobody has to remember the operation: the failed pool says why."""
    async with world(door, arm=ArmOptions(late_quota=True)) as w:
        w.arm.set_quota(A100, 24)
        await w.cloud.launch(w.request("ws1"))
        await w.cloud.launch(w.request("ws2"))

        failed = await w.until("ws2", State.FAILED)

        assert failed is not None
        assert isinstance(failed.failure, QuotaExceeded)
        assert "to at least 48 vCPUs" in failed.failure.told


async def test_the_limit_of_pools_is_told(door: str) -> None:
    """A cluster has no more than a hundred."""
    async with world(door, arm=ArmOptions(max_pools=1)) as w:
        await w.cloud.launch(w.request("ws1"))

        with pytest.raises(NodePoolLimitReached):
            await w.cloud.launch(w.request("ws2"))


async def test_a_short_throttle_is_waited_for(door: str) -> None:
    """A second is not worth a trip through the work queue."""
    async with world(door) as w:
        w.arm.faults.inject(Fault(refusal=answers.throttled(0)))

        assert await w.cloud.list() == []


async def test_a_long_throttle_is_the_callers(door: str) -> None:
    """The seam does not sleep for minutes; it says how long."""
    async with world(door) as w:
        w.arm.faults.inject(Fault(refusal=answers.throttled(120)))

        with pytest.raises(Throttled) as raised:
            await w.cloud.list()

        assert raised.value.retry_after == 120
        assert len(w.arm.requests) == 1


async def test_tries_are_bounded(door: str) -> None:
    """Azure answers some bad requests with 500: no storm of retries."""
    async with world(door, azure=AzureOptions(attempts=2, longest_wait=0.01)) as w:
        broken = ArmError(code="InternalServerError", message="Sorry.", status=500)
        w.arm.faults.inject(Fault(times=None, refusal=broken))

        with pytest.raises(Unreachable, match="Sorry"):
            await w.cloud.get("ws1")

        assert len(w.arm.requests) == 2


async def test_no_call_outlasts_its_deadline(door: str) -> None:
    """Workers are never blocked by a cloud that does not answer."""
    async with world(door, azure=AzureOptions(deadline=0.05)) as w:
        w.arm.faults.inject(Fault(times=None, delay=100_000))

        with pytest.raises(Unreachable, match="no answer within"):
            await w.cloud.get("ws1")


async def test_a_fenced_process_changes_nothing_but_may_look(door: str) -> None:
    """The fence is asked before every single mutation, tries included."""

    class Fenced(Exception):
        pass

    raised: list[Callable[[], None]] = []

    def fence() -> None:
        if raised:
            raise Fenced

    async with world(door, fence=fence, arm=SLOW) as w:
        launched = await w.cloud.launch(w.request())
        raised.append(fence)

        with pytest.raises(Fenced):
            await w.cloud.launch(w.request("ws2"))
        with pytest.raises(Fenced):
            await w.cloud.terminate(launched)

        assert await w.cloud.get("ws1") is not None
        assert writes(w) == [("PUT", 201)]


async def test_a_wrong_cluster_is_told_as_such(door: str) -> None:
    """A list of nothing would be a lie that kills machines."""
    async with world(door) as w:
        w.cloud._where = ("kaito", "elsewhere")

        with pytest.raises(ClusterNotFound, match="elsewhere"):
            await w.cloud.list()
        with pytest.raises(ClusterNotFound):
            await w.cloud.launch(w.request())


async def test_a_stopped_cluster_keeps_its_machines(door: str) -> None:
    """Stopped is a state, not an absence."""
    async with world(door) as w:
        await w.cloud.launch(w.request())
        await w.until("ws1", State.READY)

        w.arm.stop_cluster()
        assert (await w.until("ws1", State.STOPPED)) is not None
        assert w.arm.current() == ()

        w.arm.start_cluster()
        assert (await w.until("ws1", State.READY)) is not None
        await w.arm.changed(())
        assert [machine.pool for machine in w.arm.current()] == ["ws1"]
